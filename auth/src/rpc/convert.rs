//! Between stored values and the messages of the contract.

use postmesh_kit::time::to_proto;
use postmesh_proto::auth::v1::{self as proto};

use crate::{
    domain::roles::Role,
    store::users::{UserRow, WorkspaceRow},
    tokens::{Pair, SigningKey},
};

/// A user, without its password hash.
pub(super) fn user(user: UserRow) -> proto::User {
    proto::User {
        id: user.id.to_string(),
        email: user.email,
        display_name: user.display_name,
        create_time: Some(to_proto(user.created_at)),
    }
}

/// A workspace.
pub(super) fn workspace(workspace: WorkspaceRow) -> proto::Workspace {
    proto::Workspace {
        id: workspace.id.to_string(),
        display_name: workspace.display_name,
        create_time: Some(to_proto(workspace.created_at)),
    }
}

/// A pair of tokens.
pub(super) fn session(pair: Pair) -> proto::Session {
    proto::Session {
        access_token: pair.access_token,
        access_token_expire_time: Some(to_proto(pair.access_expires_at)),
        refresh_token: pair.refresh_token,
        refresh_token_expire_time: Some(to_proto(pair.refresh_expires_at)),
    }
}

/// A role.
pub(super) fn role(role: Role) -> proto::Role {
    match role {
        Role::Owner => proto::Role::Owner,
        Role::Admin => proto::Role::Admin,
        Role::Editor => proto::Role::Editor,
        Role::Contributor => proto::Role::Contributor,
        Role::Viewer => proto::Role::Viewer,
    }
}

/// The public part of a signing key.
pub(super) fn key(key: &SigningKey) -> proto::Key {
    proto::Key {
        kid: key.kid.clone(),
        kty: "OKP".to_owned(),
        crv: "Ed25519".to_owned(),
        x: key.x(),
        alg: "EdDSA".to_owned(),
        r#use: "sig".to_owned(),
    }
}
