//! Organizations: who may act for them, how they are called, and how their posts did.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::{HeaderMap, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    NETWORK, auth,
    posts::Post,
    rest::{self, Caller, Refused},
};
use crate::{
    docs::Change,
    web,
    world::{Counts, Ctx, World},
};

/// Scopes that show organizations to those who run them.
const ADMIN: &[&str] = &["rw_organization_admin", "r_organization_admin"];

/// Roles that may post.
pub(super) const POSTERS: &[&str] = &["ADMINISTRATOR", "CONTENT_ADMINISTRATOR"];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Organization {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) vanity: String,
}

impl Organization {
    pub(super) fn urn(&self) -> String {
        format!("urn:li:organization:{}", self.id)
    }
}

/// The organizations of a new account.
pub(super) fn of_account(id: u64, handle: &str, display_name: &str) -> Vec<Change> {
    let first = id % 80_000_000 + 10_000_000;
    let held = [
        ("works", "Works", "ADMINISTRATOR"),
        ("labs", "Labs", "CONTENT_ADMINISTRATOR"),
        ("guild", "Guild", "ANALYST"),
    ];
    let mut changes = Vec::new();
    for (n, (suffix, title, role)) in (first..).zip(held) {
        let organization = Organization {
            id: n.to_string(),
            name: format!("{display_name} {title}"),
            vanity: format!("{handle}-{suffix}"),
        };
        changes.push(Change::put("role", format!("{handle}|{n}"), &role));
        changes.push(Change::put("organization", &organization.id, &organization));
    }
    changes
}

/// An account's organizations with its role in each.
pub(super) fn held<'w>(
    world: &'w World,
    handle: &str,
) -> impl Iterator<Item = (Organization, String)> + use<'w> {
    world.docs.range::<String>(NETWORK, "role", &format!("{handle}|")).filter_map(|(key, role)| {
        let id = key.rsplit('|').next()?;
        Some((world.docs.get(NETWORK, "organization", id)?, role))
    })
}

/// An account's role in one organization.
pub(super) fn role(world: &World, handle: &str, id: &str) -> Option<String> {
    world.docs.get(NETWORK, "role", &format!("{handle}|{id}"))
}

/// How an author is named in the ledger: an organization by its own name, a member by the account's handle.
pub(super) fn name_of(world: &World, author: &str, handle: &str) -> String {
    let id = author.strip_prefix("urn:li:organization:");
    let organization = id.and_then(|id| world.docs.get::<Organization>(NETWORK, "organization", id));
    organization.map_or_else(|| handle.to_owned(), |organization| organization.vanity)
}

pub(super) async fn roles(State(ctx): State<Ctx>, headers: HeaderMap, uri: Uri) -> Result<Response, Refused> {
    let world = ctx.world();
    let caller = auth::settled(&ctx, Caller::versioned(&ctx, &world, &headers, &uri)?)?;
    if !ADMIN.iter().any(|scope| caller.token.covers(scope)) {
        return Err(Refused::denied("organizationAcls.FINDER-roleAssignee.20260901"));
    }
    if rest::query(&uri, "q").as_deref() != Some("roleAssignee") {
        return Err(Refused::new(400, "ILLEGAL_ARGUMENT", "Unknown finder"));
    }
    let wanted = rest::query(&uri, "role");
    let number = |name: &str, default| {
        rest::query(&uri, name).and_then(|text| text.parse::<usize>().ok()).unwrap_or(default)
    };
    let (start, count) = (number("start", 0), number("count", 10).min(100));
    let elements: Vec<Value> = held(&world, &caller.token.account)
        .filter(|(_, role)| wanted.as_ref().is_none_or(|wanted| wanted == role))
        .skip(start)
        .take(count)
        .map(|(organization, role)| {
            json!({
                "role": role,
                "organization": organization.urn(),
                "roleAssignee": caller.person,
                "state": "APPROVED",
            })
        })
        .collect();
    let paging = json!({"start": start, "count": count, "links": []});
    Ok(web::json(StatusCode::OK, &json!({"elements": elements, "paging": paging})))
}

pub(super) async fn organization(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let caller = Caller::versioned(&ctx, &world, &headers, &uri)?;
    let may = ADMIN.iter().any(|scope| caller.token.covers(scope));
    if !may || role(&world, &caller.token.account, &id).is_none() {
        return Err(Refused::denied("organizations.GET.20260901"));
    }
    let found = world.docs.get::<Organization>(NETWORK, "organization", &id);
    let found = found.ok_or_else(|| Refused::not_found(&id))?;
    let number: u64 = found.id.parse().unwrap_or(0);
    let body = json!({
        "id": number,
        "localizedName": found.name,
        "vanityName": found.vanity,
        "primaryOrganizationType": "NONE",
    });
    Ok(web::json(StatusCode::OK, &body))
}

/// Only posts that somebody reacted to are told of.
pub(super) async fn share_statistics(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let caller = Caller::versioned(&ctx, &world, &headers, &uri)?;
    let entity = rest::query(&uri, "organizationalEntity").unwrap_or_default();
    if !caller.may(&world, &entity, "", ADMIN, &["ADMINISTRATOR", "CONTENT_ADMINISTRATOR", "ANALYST"]) {
        return Err(Refused::denied(
            "organizationalEntityShareStatistics.FINDER-organizationalEntity.20260901",
        ));
    }
    let asked: BTreeMap<&str, Vec<String>> = [("share", "shares"), ("ugcPost", "ugcPosts")]
        .into_iter()
        .map(|(kind, name)| Ok((kind, rest::list(&headers, &uri, name)?)))
        .collect::<Result<_, Refused>>()?;
    let mut elements = Vec::new();
    for (kind, urns) in &asked {
        for urn in urns {
            if !urn.starts_with(&format!("urn:li:{kind}:")) {
                return Err(Refused::new(400, "ILLEGAL_ARGUMENT", format!("{urn} is not a {kind}")));
            }
            let own = world.docs.get::<Post>(NETWORK, "post", urn).is_some_and(|post| post.author == entity);
            let counts = world.counts(NETWORK, urn).filter(|counts| own && *counts != Counts::default());
            elements.extend(counts.map(|counts| statistics(&entity, kind, urn, counts)));
        }
    }
    let paging = json!({"start": 0, "count": 10, "links": []});
    Ok(web::json(StatusCode::OK, &json!({"elements": elements, "paging": paging})))
}

fn statistics(entity: &str, kind: &str, urn: &str, counts: Counts) -> Value {
    let Counts { likes, reposts, replies } = counts;
    let impressions = 20 * (likes + reposts + replies);
    let mut element = json!({
        "organizationalEntity": entity,
        "totalShareStatistics": {
            "impressionCount": impressions,
            "uniqueImpressionsCount": impressions / 2,
            "clickCount": likes / 2,
            "likeCount": likes,
            "commentCount": replies,
            "shareCount": reposts,
            "engagement": 0.05,
        },
    });
    element[kind] = json!(urn);
    element
}
