//! What each role may do: the one table. Access tokens carry the permissions, services only compare them.

/// What a member of a workspace may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything, including deleting the workspace.
    Owner,
    /// Everything but ownership.
    Admin,
    /// Writes and publishes posts.
    Editor,
    /// Writes posts that need approval.
    Contributor,
    /// Reads.
    Viewer,
}

/// Roles by the name they have in the database and in access tokens.
const NAMES: [(Role, &str); 5] = [
    (Role::Owner, "owner"),
    (Role::Admin, "admin"),
    (Role::Editor, "editor"),
    (Role::Contributor, "contributor"),
    (Role::Viewer, "viewer"),
];

const READS: [&str; 4] = ["posts.read", "accounts.read", "media.read", "analytics.read"];

impl Role {
    /// All roles, the mightiest first.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Admin, Self::Editor, Self::Contributor, Self::Viewer];

    /// The permissions of the role.
    pub fn permissions(self) -> Vec<&'static str> {
        let more: &[&str] = match self {
            Self::Owner | Self::Admin => &["posts.write", "posts.publish", "accounts.write", "media.write"],
            Self::Editor => &["posts.write", "posts.publish", "media.write"],
            Self::Contributor => &["posts.write", "media.write"],
            Self::Viewer => &[],
        };
        READS.iter().chain(more).copied().collect()
    }

    /// The name in the database and in access tokens.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(role, _)| *role == self).map_or("viewer", |(_, name)| name)
    }

    /// The role of a name; `None` for a name that no role has.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(role, _)| *role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_name_of_its_own() {
        for role in Role::ALL {
            assert_eq!(Role::named(role.name()), Some(role));
        }
        assert_eq!(Role::named("root"), None);
    }

    #[test]
    fn the_table_reads_like_this() {
        let table: Vec<String> =
            Role::ALL.iter().map(|r| format!("{}: {}", r.name(), r.permissions().join(" "))).collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        owner: posts.read accounts.read media.read analytics.read posts.write posts.publish accounts.write media.write
        admin: posts.read accounts.read media.read analytics.read posts.write posts.publish accounts.write media.write
        editor: posts.read accounts.read media.read analytics.read posts.write posts.publish media.write
        contributor: posts.read accounts.read media.read analytics.read posts.write media.write
        viewer: posts.read accounts.read media.read analytics.read
        ");
    }

    #[test]
    fn the_permissions_that_contracts_ask_for_exist() {
        for (path, method) in postmesh_kit::rules::Rules::read(postmesh_proto::pool()).iter() {
            if let postmesh_kit::rules::Rule::Permission(permission) = &method.rule {
                assert!(
                    Role::Owner.permissions().contains(&permission.as_str()),
                    "{path} asks for {permission}"
                );
            }
        }
    }
}
