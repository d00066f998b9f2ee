//! Starts programs and speaks to them.

pub(crate) mod browser;
pub(crate) mod mesh;
pub(crate) mod picture;
pub(crate) mod process;
pub(crate) mod sandbox;
pub(crate) mod user;

pub(crate) use mesh::Mesh;
pub(crate) use sandbox::Sandbox;
pub(crate) use user::User;

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Plain HTTP without proxies or redirects.
pub(crate) fn http() -> reqwest::Client {
    let policy = reqwest::redirect::Policy::none();
    reqwest::Client::builder().redirect(policy).no_proxy().build().unwrap()
}
