//! What is seen of connected accounts, and what is left of one after it was disconnected.

use postmesh_kit::read;

use super::*;

#[tokio::test]
async fn lists_in_pages_and_shows_no_other_workspace() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db).await;
        let mastodon = mesh.connect().await;
        mesh.clock.advance(1000);
        let bluesky = mesh.login(PASSWORD).await.unwrap();
        let list = async |workspace, page_size, token: &str, show_disconnected| {
            let ask = ListAccountsRequest { page_size, page_token: token.into(), show_disconnected };
            mesh.accounts().list_accounts(mesh.by(mesh.user, workspace, ask)).await.unwrap().into_inner()
        };
        let first = list(mesh.workspace, 1, "", false).await;
        assert_eq!(first.accounts, std::slice::from_ref(&mastodon));
        let second = list(mesh.workspace, 1, &first.next_page_token, false).await;
        assert_eq!((second.accounts, second.next_page_token.as_str()), (vec![bluesky], ""));
        assert_eq!(list(Uuid::now_v7(), 0, "", true).await.accounts, []);
        let get = GetAccountRequest { account_id: mastodon.id.clone() };
        let foreign = mesh.accounts().get_account(mesh.by(mesh.user, Uuid::now_v7(), get)).await.unwrap_err();
        assert_eq!(foreign.code(), Code::NotFound);
        let ask = DisconnectAccountRequest { account_id: mastodon.id.clone(), request_id: String::new() };
        let foreign = mesh
            .accounts()
            .disconnect_account(mesh.by(mesh.user, Uuid::now_v7(), ask.clone()))
            .await
            .unwrap_err();
        assert_eq!(foreign.code(), Code::NotFound);
        mesh.accounts().disconnect_account(mesh.mine(ask)).await.unwrap();
        assert_eq!(list(mesh.workspace, 0, "", false).await.accounts.len(), 1);
        assert_eq!(list(mesh.workspace, 0, "", true).await.accounts.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn disconnecting_revokes_and_leaves_no_token_behind() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db.clone()).await;
        for account in [mesh.connect().await, mesh.login(PASSWORD).await.unwrap()] {
            let ask = || {
                mesh.mine(DisconnectAccountRequest {
                    account_id: account.id.clone(),
                    request_id: String::new(),
                })
            };
            let gone = mesh.accounts().disconnect_account(ask()).await.unwrap().into_inner().account.unwrap();
            assert_eq!(gone.state(), ProtoState::Disconnected);
            mesh.accounts().disconnect_account(ask()).await.unwrap();
            let opened = mesh.connecting.vault.session(account.id.parse().unwrap()).await;
            assert!(matches!(opened, Err(Error::NeedsReconnect(_))));
        }
        // The network is away at first; the tokens wait, sealed, until it has answered.
        mesh.bench.fault("mastodon", "revoke", json!({ "kind": "status", "code": 503 })).await;
        assert_eq!(mesh.connecting.revoke_due().await.unwrap(), 1);
        assert_eq!(mesh.connecting.revoke_due().await.unwrap(), 0, "not before its next try");
        mesh.clock.advance(3_600_000);
        assert_eq!(mesh.connecting.revoke_due().await.unwrap(), 1);
        let seen: Vec<_> =
            mesh.bench.requests("revoke").await.iter().map(|seen| seen["status"].clone()).collect();
        assert_eq!(seen.iter().filter(|status| **status == 200).count(), 2, "{seen:?}");
        let left: i64 = read!(db, c => sqlx::query_scalar(
            "select (select count(*) from revocations)
                  + (select count(*) from accounts
                      where access_token is not null or refresh_token is not null or extra is not null)")
            .fetch_one(&mut *c).await)
        .unwrap();
        assert_eq!(left, 0);
        // Connecting again revives the same account.
        let back = mesh.login(PASSWORD).await.unwrap();
        assert_eq!(back.state(), ProtoState::Connected);
        mesh.connecting.vault.session(back.id.parse().unwrap()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn networks_are_described_from_the_table() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db).await;
        let mut client = NetworkServiceClient::new(mesh.transport("gateway"));
        let found =
            client.list_networks(mesh.mine(ListNetworksRequest {})).await.unwrap().into_inner().networks;
        assert!(found.is_sorted_by(|a, b| a.id < b.id));
        let of = |id: &str| found.iter().find(|network| network.id == id).unwrap();
        assert_eq!(of("bluesky").default_server, mesh.bench.server("bluesky"));
        assert!(of("mastodon").needs_server && of("mastodon").default_server.is_empty());
        assert_eq!(of("mastodon").limits.as_ref().unwrap().link_length, 23);
        assert!(of("mastodon").available && of("mastodon").missing.is_empty());
        let x = of("x");
        assert!(!x.available && x.missing[0].contains("publisher.apps.x"), "{:?}", x.missing);
    })
    .await;
}
