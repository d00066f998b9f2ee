//! The Bluesky stand-in's authorization server and its video service: every rule, and what breaking it costs.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Bench, Got, MP4, got};

const CLIENT: &str =
    "http://localhost?redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcb&scope=atproto%20transition%3Ageneric";
const REDIRECT: &str = "http://127.0.0.1:9/cb";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.as_ref())
}

/// A client with a key of its own.
struct Client<'b> {
    bench: &'b Bench,
    key: EcdsaKeyPair,
}

impl<'b> Client<'b> {
    fn new(bench: &'b Bench) -> Self {
        let sealed = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, sealed.unwrap().as_ref());
        Self { bench, key: key.unwrap() }
    }

    fn proof(&self, method: &str, path: &str, more: &Value) -> String {
        let point = self.key.public_key().as_ref();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256",
            "x": encode(&point[1..33]), "y": encode(&point[33..])}});
        let mut claims = json!({"jti": uuid::Uuid::now_v7().to_string(), "htm": method,
            "htu": self.bench.url(path), "iat": jiff::Timestamp::now().as_second()});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature.as_ref()))
    }

    fn form(&self, path: &str, fields: &[(&str, &str)], claims: &Value) -> RequestBuilder {
        let request = self.bench.http.post(self.bench.url(path)).form(fields);
        request.header("dpop", self.proof("POST", path, claims))
    }

    /// Posts a form; once more with the nonce of the answer.
    async fn ask(&self, path: &str, fields: &[(&str, &str)]) -> Got {
        let first = got(self.form(path, fields, &json!({}))).await;
        assert_eq!(first.refusal(), (400, "use_dpop_nonce".to_owned()));
        got(self.form(path, fields, &json!({"nonce": first.header("dpop-nonce")}))).await
    }

    async fn push(&self) -> Got {
        let fields = [
            ("client_id", CLIENT),
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            ("scope", "atproto transition:generic"),
            ("state", "s"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        self.ask("/bluesky/oauth/par", &fields).await
    }

    async fn code(&self) -> String {
        let uri = self.push().await.str("/request_uri");
        let fields =
            [("client_id", CLIENT), ("request_uri", &uri), ("account", "demo"), ("decision", "authorize")];
        let agreed =
            got(self.bench.http.post(self.bench.url("/bluesky/oauth/authorize")).form(&fields)).await;
        let back = url::Url::parse(agreed.header("location")).unwrap();
        let find = |name: &str| back.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        assert_eq!((find("iss"), find("state")), (self.bench.url("/bluesky"), "s".to_owned()));
        find("code")
    }

    async fn exchange(&self, code: &str, verifier: &str) -> Got {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", verifier),
            ("client_id", CLIENT),
        ];
        self.ask("/bluesky/oauth/token", &fields).await
    }

    async fn refresh(&self, token: &str) -> Got {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", CLIENT)];
        self.ask("/bluesky/oauth/token", &fields).await
    }

    fn session(&self, token: &str, claims: &Value) -> RequestBuilder {
        let path = "/bluesky/xrpc/com.atproto.server.getSession";
        let request = self.bench.get(path).header("authorization", format!("DPoP {token}"));
        request.header("dpop", self.proof("GET", path, claims))
    }

    async fn nonce(&self, token: &str) -> String {
        let answer = got(self.session(token, &json!({"ath": sha256(token)}))).await;
        assert_eq!(answer.refusal(), (401, "use_dpop_nonce".to_owned()));
        assert!(answer.header("www-authenticate").contains("error=\"use_dpop_nonce\""));
        answer.header("dpop-nonce").to_owned()
    }

    async fn who(&self, token: &str) -> Got {
        let nonce = self.nonce(token).await;
        got(self.session(token, &json!({"ath": sha256(token), "nonce": nonce}))).await
    }
}

#[tokio::test]
async fn a_session_is_bound_to_its_key_and_each_proof_to_one_request() {
    let bench = Bench::new().await;
    let client = Client::new(&bench);
    let pushed = client.push().await;
    assert_eq!((pushed.status, pushed.body["expires_in"].as_i64()), (201, Some(299)));
    let tokens = client.exchange(&client.code().await, VERIFIER).await;
    assert_eq!((tokens.status, tokens.str("/token_type")), (200, "DPoP".to_owned()), "{}", tokens.text);
    let access = tokens.str("/access_token");
    assert_eq!(client.who(&access).await.str("/did"), tokens.str("/sub"));

    let nonce = client.nonce(&access).await;
    let wrong = |claims: Value| {
        let mut all = json!({"ath": sha256(&access), "nonce": nonce});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        client.session(&access, &all)
    };
    let bad = (401, "invalid_dpop_proof".to_owned());
    assert_eq!(got(wrong(json!({"htm": "POST"}))).await.refusal(), bad);
    assert_eq!(got(wrong(json!({"htu": "http://elsewhere.example/"}))).await.refusal(), bad);
    assert_eq!(got(wrong(json!({"ath": sha256("another")}))).await.refusal(), bad);
    assert_eq!(got(wrong(json!({"iat": 5}))).await.refusal(), bad);
    assert_eq!(got(wrong(json!({"jti": "one"}))).await.status, 200);
    assert_eq!(got(wrong(json!({"jti": "one"}))).await.refusal(), bad, "a proof is good once");
    let issuer = client.form("/bluesky/oauth/par", &[], &json!({}));
    let issuer = got(issuer).await.header("dpop-nonce").to_owned();
    let refused = got(wrong(json!({"nonce": issuer}))).await.refusal();
    assert_eq!(refused, (401, "use_dpop_nonce".to_owned()), "the issuer's nonce is another");
    let thief = Client::new(&bench);
    assert_eq!(thief.who(&access).await.refusal(), bad, "another key");
    let bearer = got(bench.get("/bluesky/xrpc/com.atproto.server.getSession").bearer_auth(&access)).await;
    assert_eq!(bearer.refusal(), (400, "InvalidToken".to_owned()), "a bearer without a proof");
    bench.advance(3_600_000).await;
    let aged = json!({"ath": sha256(&access), "iat": jiff::Timestamp::now().as_second() + 3600});
    let aged_nonce = got(client.session(&access, &aged)).await.header("dpop-nonce").to_owned();
    let mut aged = aged;
    aged["nonce"] = json!(aged_nonce);
    assert_eq!(got(client.session(&access, &aged)).await.refusal(), (401, "invalid_token".to_owned()));
}

#[tokio::test]
async fn codes_and_refresh_tokens_work_once() {
    let bench = Bench::new().await;
    let client = Client::new(&bench);
    let spent = (400, "invalid_grant".to_owned());
    let code = client.code().await;
    assert_eq!(client.exchange(&code, "another verifier").await.refusal(), spent);
    assert_eq!(client.exchange(&code, VERIFIER).await.refusal(), spent, "a code that was tried is used up");
    let first = client.exchange(&client.code().await, VERIFIER).await;
    let second = client.refresh(&first.str("/refresh_token")).await;
    assert_eq!(second.status, 200, "{}", second.text);
    assert_eq!(client.who(&second.str("/access_token")).await.status, 200);
    let thief = Client::new(&bench).refresh(&second.str("/refresh_token")).await;
    assert_eq!(thief.refusal(), (400, "invalid_dpop_proof".to_owned()));
    let replayed = client.refresh(&first.str("/refresh_token")).await;
    assert_eq!(
        (replayed.refusal(), replayed.str("/error_description")),
        (spent.clone(), "Refresh token replayed".to_owned())
    );
    assert_eq!(client.refresh(&second.str("/refresh_token")).await.refusal(), spent, "the session has ended");
    assert_eq!(client.who(&second.str("/access_token")).await.refusal(), (401, "invalid_token".to_owned()));

    let third = client.exchange(&client.code().await, VERIFIER).await;
    let token = third.str("/refresh_token");
    for _ in 0..2 {
        let fields = [("token", token.as_str()), ("client_id", CLIENT)];
        assert_eq!(client.ask("/bluesky/oauth/revoke", &fields).await.status, 200);
    }
    assert_eq!(client.refresh(&token).await.refusal(), spent);
    let outcomes = got(bench.get("/_sandbox/refreshes")).await.text;
    assert!(outcomes.contains("\"rotated\"") && outcomes.contains("\"refused\""), "{outcomes}");
}

#[tokio::test]
async fn a_video_is_processed_and_then_it_is_a_blob() {
    let bench = Bench::new().await;
    let demo = bench.bluesky().await;
    let token = async |aud: &str, exp: i64| {
        let path = format!(
            "/bluesky/xrpc/com.atproto.server.getServiceAuth?aud={aud}&lxm=com.atproto.repo.uploadBlob&exp={exp}"
        );
        got(bench.get(&path).bearer_auth(&demo.access)).await
    };
    let now = jiff::Timestamp::now().as_second();
    assert_eq!(token("did:web:x", now + 4000).await.refusal(), (400, "BadExpiration".to_owned()));
    let server = got(bench.get("/bluesky/xrpc/com.atproto.server.describeServer")).await.str("/did");
    let upload = async |token: &str, bytes: &'static [u8]| {
        let path = format!("/bluesky/xrpc/app.bsky.video.uploadVideo?did={}&name=a.mp4", demo.did);
        got(bench
            .http
            .post(bench.url(&path))
            .bearer_auth(token)
            .header("content-type", "video/mp4")
            .body(bytes))
        .await
    };
    let wrong = token("did:web:x", now + 60).await.str("/token");
    assert_eq!(upload(&wrong, MP4).await.refusal(), (401, "BadJwtAudience".to_owned()));
    let right = token(&server.replace('%', "%25"), now + 60).await.str("/token");
    assert_eq!(upload(&right, b"no film").await.status, 400);
    let job = upload(&right, MP4).await;
    assert_eq!((job.status, job.str("/state")), (200, "JOB_STATE_CREATED".to_owned()), "{}", job.text);
    let status = async || {
        let path = format!("/bluesky/xrpc/app.bsky.video.getJobStatus?jobId={}", job.str("/jobId"));
        got(bench.get(&path)).await
    };
    assert_eq!(status().await.str("/jobStatus/state"), "JOB_STATE_ENCODING");
    bench.advance(1000).await;
    let done = status().await;
    let blob = done.body["jobStatus"]["blob"].clone();
    assert_eq!((&blob["mimeType"], &blob["size"]), (&json!("video/mp4"), &json!(MP4.len())));
    let again = upload(&right, MP4).await;
    assert_eq!((again.status, again.str("/jobId")), (409, job.str("/jobId")));
    let mut body = demo.record("3lxy2abcde22k", "watch");
    body["record"]["embed"] = json!({"$type": "app.bsky.embed.video", "video": blob, "alt": "a film"});
    assert_eq!(got(demo.call("putRecord", &body)).await.status, 200);
    assert_eq!(bench.ledger().await[0]["media"][0]["alt"], "a film");
}
