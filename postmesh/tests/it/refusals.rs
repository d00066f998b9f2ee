//! Bad input gets a clear message with the next step, from the terminal and over JSON; nothing is lost.

use serde_json::{Value, json};

use crate::harness::{Mesh, Sandbox, User, http, picture, user::PASSWORD};

#[tokio::test]
async fn at_the_terminal() {
    let sandbox = Sandbox::start().await;
    let mesh = Mesh::embedded(&sandbox).await;
    let user = User::connected(&mesh, &sandbox, "ana@example.com").await;
    std::fs::write(user.home.path().join("notes.jpg"), "these are words").unwrap();
    std::fs::write(user.home.path().join("bomb.png"), picture::bomb()).unwrap();
    let long = "x".repeat(301);
    let pds = format!("{}/bluesky", sandbox.url());
    let table: &[(&str, &[&str], &[&str])] = &[
        ("", &["post", &long, "--to", "all"], &["301", "300", "Bluesky"]),
        ("", &["post", "", "--to", "all"], &["text"]),
        (
            "",
            &["post", "hi", "--to", "all", "--at", "2020-01-01T00:00:00Z"],
            &["schedule_time", "2020-01-01"],
        ),
        ("", &["post", "hi", "--to", "all", "--in", "soon"], &["--in"]),
        ("", &["post", "hi", "--to", "nobody"], &["--to", "nobody", "accounts list"]),
        ("", &["post", "hi", "--to", "01890000-0000-7000-8000-000000000000"], &["account"]),
        ("", &["post", "hi", "--image", "missing.jpg"], &["missing.jpg"]),
        ("", &["post", "hi", "--image", "notes.jpg"], &["notes.jpg", "JPEG"]),
        ("", &["post", "hi", "--image", "bomb.png"], &["bomb.png", "60"]),
        ("", &["accounts", "connect", "friendster"], &["bluesky, discord"]),
        ("", &["accounts", "connect", "mastodon"], &["server"]),
        ("", &["accounts", "connect", "mastodon", "--server", "https://127.0.0.1:1"], &["127.0.0.1"]),
        (
            "wrong",
            &[
                "accounts",
                "connect",
                "bluesky",
                "--server",
                &pds,
                "--handle",
                "demo.test",
                "--password-stdin",
            ],
            &["password"],
        ),
        ("wrong password", &["login", "--email", "ana@example.com", "--password-stdin"], &["password"]),
        (
            PASSWORD,
            &["register", "--email", "ana@example.com", "--password-stdin"],
            &["exists already", "sign in"],
        ),
        ("short", &["register", "--email", "not an address", "--password-stdin"], &["email", "password"]),
    ];
    for (stdin, args, words) in table {
        let said = user.says(stdin, args).await;
        assert!(!said.well, "{args:?} was taken: {said:?}");
        for word in *words {
            assert!(said.err.contains(word), "{args:?} should speak of {word:?}: {}", said.err);
        }
        assert!(!said.err.contains("panicked"), "{}", said.err);
    }
    assert!(sandbox.ledger().await.is_empty(), "nothing of all this went out");
    user.well(&["post", "still well", "--to", "all", "--wait"]).await;
}

#[tokio::test]
async fn over_json() {
    let sandbox = Sandbox::start().await;
    let mesh = Mesh::embedded(&sandbox).await;
    let user = User::registered(&mesh, "ana@example.com").await;
    let token = user.token();
    let create = |token: String, body: Value| {
        let request = http().post(format!("{}/v1/posts", mesh.url)).bearer_auth(token).json(&body);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        }
    };
    let (status, body) = create(
        token.clone(),
        json!({"text": "hi", "targets": [{"accountId": "nope"}], "media": [{"mediaId": "nope"}], "scheduleTime": "2020-01-01T00:00:00Z"}),
    )
    .await;
    assert_eq!(status, 400, "{body}");
    let shown = body["error"]["details"].to_string();
    for field in ["targets[0].account_id", "media[0].media_id", "schedule_time"] {
        assert!(shown.contains(field), "every bad field at once: {field} in {shown}");
    }
    let (status, body) = create(token.clone(), json!({"text": "hi", "colour": "red"})).await;
    assert_eq!(status, 400);
    assert!(body.to_string().contains("colour"), "{body}");
    let (status, body) = create("nonsense".to_owned(), json!({"text": "hi"})).await;
    assert_eq!((status, body["error"]["status"].as_str()), (401, Some("UNAUTHENTICATED")), "{body}");

    let stranger = User::registered(&mesh, "eve@example.com").await;
    let owner = User::connected(&mesh, &sandbox, "bob@example.com").await;
    let account: Value =
        serde_json::from_str(owner.well(&["accounts", "list", "--json"]).await.out.lines().next().unwrap())
            .unwrap();
    let (status, body) =
        create(stranger.token(), json!({"text": "hi", "targets": [{"accountId": account["id"]}]})).await;
    assert_eq!((status, body["error"]["status"].as_str()), (404, Some("NOT_FOUND")), "{body}");
}
