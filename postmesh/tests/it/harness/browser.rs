//! A person at the network's authorization page.

use tokio::io::{AsyncBufReadExt as _, BufReader};
use url::Url;

use super::{Sandbox, User, http};

/// Runs `accounts connect mastodon`, opens the address it prints, allows the access, and waits for its end.
pub(crate) async fn connect_mastodon(user: &User, sandbox: &Sandbox) {
    let server = format!("{}/mastodon", sandbox.url());
    let mut child = user.command(&["accounts", "connect", "mastodon", "--server", &server]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut printed = String::new();
    let address = loop {
        let line =
            lines.next_line().await.unwrap().unwrap_or_else(|| panic!("no address was printed: {printed}"));
        if line.trim().starts_with("http") {
            break line.trim().to_owned();
        }
        printed.push_str(&line);
    };
    let back = decide(&address, "authorize").await;
    let landed = http().get(&back).send().await.unwrap();
    assert!(landed.status().is_success(), "{}", landed.text().await.unwrap());
    assert!(child.wait().await.unwrap().success());
}

/// Presses a button on the authorization page; answers where the browser is sent.
pub(crate) async fn decide(authorization_url: &str, decision: &str) -> String {
    let mut page = Url::parse(authorization_url).unwrap();
    let shown = http().get(page.clone()).send().await.unwrap();
    assert!(shown.status().is_success(), "{}", shown.text().await.unwrap());
    let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
    form.push(("account".to_owned(), "demo".to_owned()));
    form.push(("decision".to_owned(), decision.to_owned()));
    page.set_query(None);
    let answer = http().post(page).form(&form).send().await.unwrap();
    assert!(answer.status().is_redirection(), "{}", answer.text().await.unwrap());
    answer.headers()["location"].to_str().unwrap().to_owned()
}
