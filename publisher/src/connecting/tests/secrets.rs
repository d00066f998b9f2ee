//! Where tokens are: sealed for one place, refreshed once, and in the clear nowhere.

use postmesh_kit::{read, write};

use super::*;
use crate::{networks::Secret, store::accounts::RefreshIntent};

#[tokio::test]
async fn swapped_or_rolled_back_tokens_do_not_open() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db.clone()).await;
        let first: Uuid = mesh.login(PASSWORD).await.unwrap().id.parse().unwrap();
        let second: Uuid = mesh.connect().await.id.parse().unwrap();
        let vault = &mesh.connecting.vault;
        vault.session(first).await.unwrap();
        write!(db, tx => {
            sqlx::query("update accounts set access_token = (select access_token from accounts where id = $1) where id = $2")
                .bind(first).bind(second).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        }).unwrap();
        assert!(matches!(vault.session(second).await, Err(Error::Vault(_))), "a ciphertext of another row");
        write!(db, tx => {
            sqlx::query("update accounts set access_token = refresh_token where id = $1").bind(first).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        }).unwrap();
        assert!(matches!(vault.session(first).await, Err(Error::Vault(_))), "a ciphertext of another column");
        mesh.login(PASSWORD).await.unwrap();
        vault.session(first).await.unwrap();
        write!(db, tx => {
            sqlx::query("update accounts set token_version = token_version + 1 where id = $1").bind(first).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        }).unwrap();
        assert!(matches!(vault.session(first).await, Err(Error::Vault(_))), "a ciphertext of another version");
    })
    .await;
}

#[tokio::test]
async fn a_refresh_is_stored_once_and_an_old_one_never() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db).await;
        let id: Uuid = mesh.login(PASSWORD).await.unwrap().id.parse().unwrap();
        let vault = &mesh.connecting.vault;
        let old = vault.session(id).await.unwrap();
        assert_eq!(vault.intend_refresh(&old, false).await.unwrap(), RefreshIntent::Committed { tries: 1 });
        let network = mesh.connecting.networks.get("bluesky").unwrap();
        let tokens = network.refresh(&old).await.unwrap();
        assert!(vault.store_refreshed(&old, &tokens).await.unwrap());
        assert!(!vault.store_refreshed(&old, &tokens).await.unwrap(), "the version has moved on");
        assert_eq!(vault.intend_refresh(&old, true).await.unwrap(), RefreshIntent::Outdated);
        let new = vault.session(id).await.unwrap();
        assert_eq!((new.token_version, &new.access_token), (2, &tokens.access_token));
        // A missing or empty refresh token keeps the stored one.
        let empty = networks::Tokens { refresh_token: Some(Secret::default()), ..tokens.clone() };
        assert!(vault.store_refreshed(&new, &empty).await.unwrap());
        let newest = vault.session(id).await.unwrap();
        assert_eq!(newest.refresh_token, new.refresh_token);
        assert!(!vault.need_reconnect(&old, "late news").await.unwrap());
        assert!(vault.need_reconnect(&newest, "connect again").await.unwrap());
        assert!(matches!(vault.session(id).await, Err(Error::NeedsReconnect(_))));
        let shown = mesh
            .accounts()
            .get_account(mesh.mine(GetAccountRequest { account_id: id.to_string() }))
            .await
            .unwrap();
        let shown = shown.into_inner().account.unwrap();
        assert_eq!(
            (shown.state(), shown.state_message.as_str()),
            (ProtoState::NeedsReconnect, "connect again")
        );
        assert_eq!(mesh.login(PASSWORD).await.unwrap().state(), ProtoState::Connected);
    })
    .await;
}

#[tokio::test]
async fn no_secret_stands_in_any_column() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db.clone()).await;
        let began = mesh.begin(&mesh.bench.server("mastodon"), "").await.unwrap();
        let callback = mesh.bench.press(&began.authorization_url, "authorize").await;
        let mastodon = mesh.connect().await;
        let bluesky = mesh.login(PASSWORD).await.unwrap();
        mesh.receive(&callback).await.unwrap();
        let mut secrets = vec![PASSWORD.to_owned(), callback["state"].clone(), callback["code"].clone()];
        for id in [&mastodon.id, &bluesky.id] {
            let session = mesh.connecting.vault.session(id.parse().unwrap()).await.unwrap();
            secrets.push(session.access_token.expose().to_owned());
            secrets.extend(session.refresh_token.map(|token| token.expose().to_owned()));
        }
        let text = if db.is_sqlite() {
            "select group_concat(hex(access_token) || hex(refresh_token) || hex(extra)) || (select group_concat(
                    coalesce(hex(authorization_url), '') || coalesce(hex(verifier), '') || coalesce(hex(registration), '')
                    || coalesce(hex(code), '') || hex(issuer || problem || return_path || redirect_uri)) from connections)
               from accounts where refresh_token is not null"
        } else {
            "select upper(string_agg(encode(access_token, 'hex') || encode(refresh_token, 'hex') || encode(extra, 'hex'), ''))
                    || (select upper(string_agg(coalesce(encode(authorization_url, 'hex'), '') || coalesce(encode(verifier, 'hex'), '')
                    || coalesce(encode(registration, 'hex'), '') || coalesce(encode(code, 'hex'), '')
                    || encode(convert_to(issuer || problem || return_path || redirect_uri, 'utf8'), 'hex'), '')) from connections)
               from accounts where refresh_token is not null"
        };
        let stored: String = read!(db, c => sqlx::query_scalar(text).fetch_one(&mut *c).await).unwrap();
        assert!(stored.len() > 1000);
        for secret in secrets {
            let hex = data_encoding::HEXUPPER.encode(secret.as_bytes());
            assert!(!stored.contains(&hex), "a secret is stored in the clear");
        }
        let shown = format!("{:?}", mesh.connecting.vault.session(bluesky.id.parse().unwrap()).await.unwrap());
        assert!(!shown.contains("eyJ"), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn a_lost_refresh_is_tried_once_more_when_the_access_token_is_over() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db).await;
        let id: Uuid = mesh.login(PASSWORD).await.unwrap().id.parse().unwrap();
        let vault = &mesh.connecting.vault;
        let session = vault.session(id).await.unwrap();
        let until = session.access_expires_at.unwrap();
        let intend = async |is_refused| vault.intend_refresh(&session, is_refused).await.unwrap();
        // Certainly not executed: not counted, however often.
        for _ in 0..3 {
            assert_eq!(intend(false).await, RefreshIntent::Committed { tries: 1 });
            vault.withdraw_refresh(&session).await.unwrap();
        }
        // Lost, or the process ended: the old access token serves as long as it can.
        assert_eq!(intend(false).await, RefreshIntent::Committed { tries: 1 });
        assert_eq!(intend(false).await, RefreshIntent::Waits { until });
        mesh.clock.set(until - 1);
        assert_eq!(intend(false).await, RefreshIntent::Waits { until });
        mesh.clock.set(until);
        assert_eq!(intend(false).await, RefreshIntent::Committed { tries: 2 });
        vault.withdraw_refresh(&session).await.unwrap();
        mesh.clock.set(until - 1);
        assert_eq!(intend(true).await, RefreshIntent::Committed { tries: 2 }, "the network says it is over");
        assert_eq!(intend(true).await, RefreshIntent::Exhausted);
        mesh.clock.set(until + 1);
        assert_eq!(intend(false).await, RefreshIntent::Exhausted);
    })
    .await;
}
