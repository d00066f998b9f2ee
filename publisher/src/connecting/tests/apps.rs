//! Our applications at networks: a workspace's own, kept sealed, used at once, and by nobody else; and logins that yield
//! several accounts.

use postmesh_kit::read;
use postmesh_proto::publisher::v1::{
    CompleteConnectResponse, DeleteAppRequest, ListAppsRequest, SetAppRequest,
};

use super::*;

const SECRET: &str = "sandbox-pinterest-secret";

impl Mesh {
    fn apps(&self) -> AppServiceClient<Transport> {
        AppServiceClient::new(self.transport("gateway"))
    }

    async fn set_app(&self, workspace: Uuid, network: &str, secret: &str) -> Result<(), Status> {
        let ask = SetAppRequest {
            network: network.into(),
            client_id: format!("sandbox-{network}"),
            client_secret: secret.into(),
            request_id: String::new(),
        };
        self.apps().set_app(self.by(self.user, workspace, ask)).await.map(|_| ())
    }

    async fn begin_pinterest(&self) -> Result<BeginConnectResponse, Status> {
        let ask = BeginConnectRequest {
            network: "pinterest".into(),
            server: self.bench.server("pinterest"),
            ..Default::default()
        };
        Ok(self.accounts().begin_connect(self.mine(ask)).await?.into_inner())
    }

    async fn choose(
        &self,
        connection_id: &str,
        native_ids: &[&str],
    ) -> Result<CompleteConnectResponse, Status> {
        let ask = CompleteConnectRequest {
            connection_id: connection_id.into(),
            native_ids: native_ids.iter().map(|id| (*id).to_owned()).collect(),
        };
        Ok(self.accounts().complete_connect(self.mine(ask)).await?.into_inner())
    }
}

#[tokio::test]
async fn an_application_is_set_without_a_restart_and_belongs_to_its_workspace() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db.clone()).await;
        let missing = mesh.begin_pinterest().await.unwrap_err();
        assert_eq!((missing.code(), reason(&missing).as_str()), (Code::FailedPrecondition, "APP_MISSING"));
        mesh.set_app(mesh.workspace, "pinterest", "wrong").await.unwrap();
        mesh.set_app(mesh.workspace, "pinterest", SECRET).await.unwrap();
        mesh.begin_pinterest().await.unwrap();

        let list = async |workspace| {
            let ask = mesh.by(mesh.user, workspace, ListAppsRequest {});
            mesh.apps().list_apps(ask).await.unwrap().into_inner().apps
        };
        let mine = list(mesh.workspace).await;
        assert_eq!((mine.len(), mine[0].client_id.as_str()), (1, "sandbox-pinterest"));
        assert_eq!(list(Uuid::now_v7()).await, []);
        let kept: Vec<u8> =
            read!(db, c => sqlx::query_scalar("select client_secret from apps").fetch_one(&mut *c).await)
                .unwrap();
        assert!(!kept.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "it is sealed");

        let delete = || DeleteAppRequest { network: "pinterest".into() };
        let foreign = mesh.by(mesh.user, Uuid::now_v7(), delete());
        mesh.apps().delete_app(foreign).await.unwrap();
        assert_eq!(list(mesh.workspace).await.len(), 1);
        mesh.apps().delete_app(mesh.mine(delete())).await.unwrap();
        assert_eq!(list(mesh.workspace).await, []);
        let none_needed = mesh.set_app(mesh.workspace, "mastodon", "").await.unwrap_err();
        assert_eq!(bad_fields(&none_needed), ["network"]);
        let nowhere = mesh.set_app(mesh.workspace, "nowhere", "").await.unwrap_err();
        assert_eq!(bad_fields(&nowhere), ["network"]);
    })
    .await;
}

#[tokio::test]
async fn a_login_with_several_accounts_lets_the_user_choose() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db.clone()).await;
        mesh.set_app(mesh.workspace, "pinterest", SECRET).await.unwrap();
        let began = mesh.begin_pinterest().await.unwrap();
        let callback = mesh.bench.press(&began.authorization_url, "authorize").await;
        mesh.receive(&callback).await.unwrap();
        let offered = mesh.choose(&began.connection_id, &[]).await.unwrap();
        assert!(offered.account.is_none() && offered.choices.len() > 1, "{offered:?}");
        assert_eq!(mesh.choose(&began.connection_id, &[]).await.unwrap(), offered, "asked again, the same");
        let unknown = mesh.choose(&began.connection_id, &["nobody"]).await.unwrap_err();
        assert_eq!(bad_fields(&unknown), ["native_ids[0]"]);
        let [first, picked] = [0, 1].map(|n| offered.choices[n].native_id.as_str());
        let twice = mesh.choose(&began.connection_id, &[first, picked]).await.unwrap_err();
        assert_eq!(bad_fields(&twice), ["native_ids[1]"], "both are boards of one account");
        let done = mesh.choose(&began.connection_id, &[picked]).await.unwrap();
        assert_eq!(done.accounts.len(), 1);
        let account = done.account.unwrap();
        assert_eq!(account.native_id, picked);
        mesh.connecting.vault.session(account.id.parse().unwrap()).await.unwrap();
        let again = mesh.choose(&began.connection_id, &[]).await.unwrap();
        assert_eq!(again.account.unwrap().id, account.id);
        let left: Option<Vec<u8>> =
            read!(db, c => sqlx::query_scalar("select code from connections").fetch_one(&mut *c).await)
                .unwrap();
        assert_eq!(left, None, "nothing of the login is kept");

        // Another board, and no second account whose copies of the tokens the first one would void.
        let began = mesh.begin_pinterest().await.unwrap();
        let callback = mesh.bench.press(&began.authorization_url, "authorize").await;
        mesh.receive(&callback).await.unwrap();
        mesh.choose(&began.connection_id, &[]).await.unwrap();
        let moved = mesh.choose(&began.connection_id, &[first]).await.unwrap().account.unwrap();
        assert_eq!((moved.id, moved.native_id.as_str()), (account.id, first));
    })
    .await;
}
