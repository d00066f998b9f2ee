//! Forged and misused tokens, one by one, against the verifier that every service uses.

use aws_lc_rs::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use data_encoding::BASE64URL_NOPAD as B64;
use postmesh_kit::{
    clock::{Clock, SystemClock},
    ids,
    testing::with_token,
};
use postmesh_proto::auth::v1::{GetKeySetRequest, GetMeRequest};
use serde_json::{Value, json};
use tonic::Code;

use crate::world::{World, each};

fn part(value: &Value) -> String {
    B64.encode(value.to_string().as_bytes())
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&B64.decode(part.as_bytes()).unwrap()).unwrap()
}

fn with(base: &Value, changes: &Value) -> Value {
    let mut changed = base.clone();
    for (name, value) in changes.as_object().unwrap() {
        let fields = changed.as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    changed
}

/// Signs with the service's own key, opened from its database: what remains to be refused is the content.
async fn insider(world: &World) -> Ed25519KeyPair {
    let (kid, sealed): (String, Vec<u8>) = postmesh_kit::read!(world.db, c => {
        sqlx::query_as("select kid, private_key from signing_keys").fetch_one(&mut *c).await
    })
    .map_err(|e: sqlx::Error| e)
    .unwrap();
    let der = world.deps.keys.open(format!("auth|signing-key|{kid}").as_bytes(), &sealed).unwrap();
    Ed25519KeyPair::from_pkcs8(&der).unwrap()
}

fn signed(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", part(header), part(claims));
    let signature = B64.encode(key.sign(text.as_bytes()).as_ref());
    format!("{text}.{signature}")
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    each(async |world| {
        let session = world.register("ada@example.com").await.session.unwrap();
        let good = session.access_token;
        let [head, body, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let (header, claims) = (decode(head), decode(body));
        let now = SystemClock.now_ms() / 1000;
        let own = insider(&world).await;
        let foreign = Ed25519KeyPair::generate().unwrap();
        let kid = header["kid"].as_str().unwrap().to_owned();
        let key =
            world.auth.clone().get_key_set(GetKeySetRequest {}).await.unwrap().into_inner().keys.remove(0);
        let mac = |secret: &[u8]| {
            let text = format!("{}.{body}", part(&json!({"alg": "HS256", "typ": "at+jwt", "kid": kid})));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
            format!("{text}.{}", B64.encode(tag.as_ref()))
        };
        let foreign_jwk =
            json!({"kty": "OKP", "crv": "Ed25519", "x": B64.encode(foreign.public_key().as_ref())});
        let head_with = |changes: Value| with(&header, &changes);
        let claim_with = |changes: Value| signed(&own, &header, &with(&claims, &changes));
        let none = |alg: &str| format!("{}.{body}.", part(&head_with(json!({"alg": alg}))));
        let mut flipped = B64.decode(signature.as_bytes()).unwrap();
        flipped[10] ^= 1;

        assert!(
            world.verifier.verify(&signed(&own, &header, &claims)).await.is_ok(),
            "the forger works as auth does"
        );
        let forged = [
            ("nothing", String::new()),
            ("no token", "abc".to_owned()),
            ("two parts", format!("{head}.{body}")),
            ("no signature", format!("{head}.{body}.")),
            ("alg none", none("none")),
            ("alg None", none("None")),
            (
                "alg none with the signature",
                format!("{}.{body}.{signature}", part(&head_with(json!({"alg": "none"})))),
            ),
            ("HS256 with the public key", mac(&B64.decode(key.x.as_bytes()).unwrap())),
            ("HS256 with the public key as text", mac(key.x.as_bytes())),
            ("alg ES256", signed(&own, &head_with(json!({"alg": "ES256"})), &claims)),
            ("alg RS256", signed(&own, &head_with(json!({"alg": "RS256"})), &claims)),
            ("a changed signature", format!("{head}.{body}.{}", B64.encode(&flipped))),
            (
                "another body",
                format!("{head}.{}.{signature}", part(&with(&claims, &json!({"role": "admin"})))),
            ),
            ("a foreign key under our kid", signed(&foreign, &header, &claims)),
            (
                "a foreign key, jwk in the header",
                signed(&foreign, &head_with(json!({"jwk": foreign_jwk})), &claims),
            ),
            (
                "a foreign key, jku in the header",
                signed(&foreign, &head_with(json!({"jku": "https://evil.example/k"})), &claims),
            ),
            (
                "a foreign key, x5u in the header",
                signed(&foreign, &head_with(json!({"x5u": "https://evil.example/c"})), &claims),
            ),
            ("an unknown kid", signed(&own, &head_with(json!({"kid": "other"})), &claims)),
            ("a path as kid", signed(&own, &head_with(json!({"kid": "../../dev/null"})), &claims)),
            ("no kid", signed(&own, &head_with(json!({"kid": null})), &claims)),
            ("typ JWT", signed(&own, &head_with(json!({"typ": "JWT"})), &claims)),
            ("no typ", signed(&own, &head_with(json!({"typ": null})), &claims)),
            ("another issuer", claim_with(json!({"iss": "evil"}))),
            ("no issuer", claim_with(json!({"iss": null}))),
            ("another audience", claim_with(json!({"aud": "elsewhere"}))),
            ("no audience", claim_with(json!({"aud": null}))),
            ("expired", claim_with(json!({"exp": now - 60}))),
            ("no end", claim_with(json!({"exp": null}))),
            ("not yet", claim_with(json!({"nbf": now + 60}))),
            ("no beginning", claim_with(json!({"nbf": null}))),
            ("no user", claim_with(json!({"sub": null}))),
            ("a user that is no id", claim_with(json!({"sub": "root"}))),
            ("no workspace", claim_with(json!({"wid": null}))),
            ("no scope", claim_with(json!({"scope": null}))),
            ("the refresh token", session.refresh_token.clone()),
        ];
        assert!(forged.len() >= 25);
        for (what, token) in forged {
            let refusal = world.verifier.verify(&token).await.err();
            assert_eq!(refusal.map(|status| status.code()), Some(Code::Unauthenticated), "{what}");
            let mut auth = world.auth.clone();
            let status = auth.get_me(with_token(GetMeRequest {}, &token)).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_access_token_says_what_the_contract_says() {
    each(async |world| {
        let made = world.register("ada@example.com").await;
        let token = made.session.unwrap().access_token;
        let parts: Vec<&str> = token.split('.').collect();
        let (header, claims) = (decode(parts[0]), decode(parts[1]));
        assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some("EdDSA"), Some("at+jwt")));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 15 * 60);
        assert_eq!(claims["sub"], json!(made.user.unwrap().id));
        assert_eq!(claims["wid"], json!(made.workspace.unwrap().id));
        let mut names: Vec<_> = claims.as_object().unwrap().keys().cloned().collect();
        names.sort();
        assert_eq!(names, ["aud", "exp", "iat", "iss", "jti", "nbf", "role", "scope", "sid", "sub", "wid"]);
        assert_ne!(claims["jti"], json!(ids::new().to_string()));
    })
    .await;
}
