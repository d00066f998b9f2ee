//! Where networks send the user's browser back to: takes the answer in and sends the browser on.
//!
//! Invariant: the browser goes to a path of this site or nowhere, and nothing the query says is shown unescaped.

use http::{HeaderValue, Request, Response, StatusCode, header};
use postmesh_kit::transport::Transport;
use postmesh_proto::publisher::v1::{
    ReceiveAuthorizationRequest, account_service_client::AccountServiceClient,
};
use tonic::{Code, Status, body::Body};

use crate::json::{encode, percent};

/// Answers `GET /oauth/callback`.
pub(crate) struct Callback {
    accounts: AccountServiceClient<Transport>,
}

impl Callback {
    pub(crate) fn new(publisher: Transport) -> Self {
        Self { accounts: AccountServiceClient::new(publisher) }
    }

    pub(crate) async fn receive(&self, request: Request<Body>) -> Response<Body> {
        let mut received = ReceiveAuthorizationRequest::default();
        for (key, value) in percent::query(request.uri().query().unwrap_or_default()) {
            let (Some(key), Some(value)) = (key, value) else { continue };
            match key.as_str() {
                "state" => received.state = value,
                "code" => received.code = value,
                "iss" => received.issuer = value,
                "error" => received.error = value,
                "error_description" => received.error_description = value,
                _ => {}
            }
        }
        if received.state.is_empty() {
            let next = "This address is where a network sends you back to. Go to your accounts and begin to connect from there.";
            return page(StatusCode::BAD_REQUEST, "Nothing to finish here", next);
        }
        match self.accounts.clone().receive_authorization(received).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                if let Some(location) = location(&answer.return_path, &answer.connection_id) {
                    return see_other(&location);
                }
                let network = &answer.network_display_name;
                if answer.refused {
                    let next = "Nothing was connected. You may close this window, and connect again whenever you like.";
                    page(StatusCode::OK, &format!("{network} did not give access"), next)
                } else {
                    page(
                        StatusCode::OK,
                        &format!("{network} gave access"),
                        "You may close this window and go back to postmesh.",
                    )
                }
            }
            Err(status) => refused(&status),
        }
    }
}

fn refused(status: &Status) -> Response<Body> {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => page(
            StatusCode::SERVICE_UNAVAILABLE,
            "Not at the moment",
            "A part of postmesh does not answer right now. Reload this page in a few seconds.",
        ),
        Code::Internal | Code::Unknown | Code::DataLoss | Code::Unimplemented => page(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong on our side",
            "It has been logged. Go to your accounts and connect again.",
        ),
        _ => page(
            StatusCode::BAD_REQUEST,
            "This attempt is no longer valid",
            &format!(
                "{}. Attempts are good once and for ten minutes: go to your accounts and connect again.",
                status.message()
            ),
        ),
    }
}

/// Where the browser goes: a path on this site with the attempt's id, or nowhere when it is none.
fn location(return_path: &str, connection_id: &str) -> Option<String> {
    let decoded = percent::decode(return_path)?;
    let stays = [return_path, decoded.as_str()].iter().all(|path| {
        path.starts_with('/')
            && !path.starts_with("//")
            && !path.contains('\\')
            && !path.chars().any(|c| c.is_control() || c.is_whitespace())
    });
    if !stays || !return_path.is_ascii() {
        return None;
    }
    let (path, fragment) =
        return_path.split_once('#').map_or((return_path, None), |(path, f)| (path, Some(f)));
    let joint = if path.contains('?') { '&' } else { '?' };
    let id: String = connection_id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let fragment = fragment.map(|f| format!("#{f}")).unwrap_or_default();
    Some(format!("{path}{joint}connection_id={id}{fragment}"))
}

fn see_other(location: &str) -> Response<Body> {
    let Ok(location) = HeaderValue::try_from(location) else {
        return page(StatusCode::OK, "Connected", "You may close this window and go back to postmesh.");
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, location);
    response
}

fn page(status: StatusCode, title: &str, text: &str) -> Response<Body> {
    let (title, text) = (escape(title), escape(text));
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n</html>\n"
    );
    encode::answer(status, "text/html; charset=utf-8", html)
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_on_this_site() {
        assert_eq!(location("/accounts", "1-a").as_deref(), Some("/accounts?connection_id=1-a"));
        assert_eq!(location("/a?tab=2#top", "1").as_deref(), Some("/a?tab=2&connection_id=1#top"));
        let payloads = [
            "",
            "accounts",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/%2fevil.example",
            "/%2Fevil.example",
            "/%5cevil.example",
            "/%5Cevil.example",
            "https://evil.example",
            "http:evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "/\tevil",
            "/%09/evil.example",
            "/\n/evil.example",
            "/%0d%0aset-cookie:x",
            " /accounts",
            "%2f%2fevil.example",
            "@evil.example",
            "evil.example/",
            ".//evil",
            "?next=//evil",
            "#//evil",
            "/\u{2028}x",
            "/%",
            "/\r",
            "/ü",
            "mailto:a@b",
        ];
        for payload in payloads {
            assert_eq!(location(payload, "1"), None, "{payload:?}");
        }
    }

    #[test]
    fn escapes_what_others_wrote() {
        assert_eq!(escape("<a href='x'>&\"</a>"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;");
    }
}
