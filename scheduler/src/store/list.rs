//! Pages of posts by keyset: a page begins after the last post of the one before, so posts written meanwhile neither
//! repeat nor hide others.

use postmesh_kit::read;
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    Store, id_list,
    rows::{PostRow, TARGETS_OF_POSTGRES, TARGETS_OF_SQLITE, TargetRow, assemble, post_columns},
};
use crate::{
    domain::{
        Post,
        filter::{Filter, Order},
    },
    error::Error,
};

/// The last post of a page, in the order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Its creation or due time.
    pub key: i64,
    /// Its id.
    pub id: Uuid,
}

/// A page of posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The posts, in order.
    pub posts: Vec<Post>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Position>,
}

impl Position {
    fn of(post: &Post, order: Order) -> Self {
        let key = match order {
            Order::NewestFirst | Order::OldestFirst => post.created_at,
            Order::SoonestFirst | Order::LatestFirst => post.due_at.unwrap_or(i64::MAX),
        };
        Self { key, id: post.id }
    }

    /// Before the first post of an order.
    fn start(order: Order) -> Self {
        match order {
            Order::NewestFirst | Order::LatestFirst => Self { key: i64::MAX, id: Uuid::max() },
            Order::OldestFirst | Order::SoonestFirst => Self { key: i64::MIN, id: Uuid::nil() },
        }
    }
}

/// The statement of a list. Made of the words below alone, so nothing a caller wrote is in it.
fn statement(filter: &Filter, order: Order) -> String {
    let (column, beyond, direction) = match order {
        Order::NewestFirst => ("p.created_at", "<", "desc"),
        Order::OldestFirst => ("p.created_at", ">", "asc"),
        Order::SoonestFirst => ("p.due_order", ">", "asc"),
        Order::LatestFirst => ("p.due_order", "<", "desc"),
    };
    // Every parameter is used in every variant, so that the binds below fit all of them.
    let state = if filter.state.is_some() { "p.state = $4" } else { "$4 = ''" };
    let account = if filter.account_id.is_some() {
        "exists (select 1 from targets t where t.account_id = $5 and t.post_id = p.id)"
    } else {
        "$5 = p.workspace_id"
    };
    format!(
        "select {columns}
        from posts p
        where p.workspace_id = $1
          and ({column}, p.id) {beyond} ($2, $3)
          and {state}
          and {account}
        order by {column} {direction}, p.id {direction}
        limit $6",
        columns = post_columns!()
    )
}

impl Store {
    /// A page of a workspace's posts.
    pub async fn list(
        &self,
        workspace_id: Uuid,
        filter: &Filter,
        order: Order,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page, Error> {
        let targets_of = self.dialect(TARGETS_OF_SQLITE, TARGETS_OF_POSTGRES);
        let from = after.unwrap_or_else(|| Position::start(order));
        let state = filter.state.map_or("", |state| state.as_str());
        let account = filter.account_id.unwrap_or(workspace_id);
        // One more than asked for tells whether there is a next page.
        let limit = size as i64 + 1;
        let rows: Result<_, sqlx::Error> = read!(self.db, c => {
            let mut posts: Vec<PostRow> = sqlx::query_as(AssertSqlSafe(statement(filter, order)))
                .bind(workspace_id)
                .bind(from.key)
                .bind(from.id)
                .bind(state)
                .bind(account)
                .bind(limit)
                .fetch_all(&mut *c)
                .await?;
            let more = posts.len() > size;
            posts.truncate(size);
            let ids = id_list(posts.iter().map(|post| &post.id));
            let targets: Vec<TargetRow> = sqlx::query_as(targets_of).bind(ids).fetch_all(&mut *c).await?;
            Ok((posts, targets, more))
        });
        let (posts, targets, more) = rows?;
        let posts = assemble(posts, targets)?;
        let next = posts.last().filter(|_| more).map(|post| Position::of(post, order));
        Ok(Page { posts, next })
    }
}
