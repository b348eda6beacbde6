//! A bucket that speaks S3, and believes nothing: each signature is computed anew from the secret
//! key (AWS Signature Version 4), and each body is compared with the digest that was signed.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::any,
};
use hmac::{Hmac, KeyInit, Mac};
use maskline::storage::Storage;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub const BUCKET: &str = "pictures";
pub const KEY: &str = "AKIDOFTHETESTS";
pub const SECRET_KEY: &str = "the/secret+key of the tests";
const REGION: &str = "eu-central-1";

/// How the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// The next so many requests are answered 500.
    Broken(u32),
    /// It takes requests and never answers.
    Silent,
    /// The keys may do nothing.
    Forbidding,
    /// The keys may do all but delete.
    Keeping,
}

struct Inside {
    mood: Mood,
    objects: BTreeMap<String, Bytes>,
}

type Shared = Arc<Mutex<Inside>>;

/// A running server; dropping it ends it, and nothing listens there any more.
pub struct S3 {
    pub address: SocketAddr,
    inside: Shared,
    stop: CancellationToken,
}

impl S3 {
    pub async fn start() -> Self {
        let inside = Inside { mood: Mood::Well, objects: BTreeMap::new() };
        Self::at("127.0.0.1:0".parse().unwrap(), Arc::new(Mutex::new(inside))).await
    }

    async fn at(address: SocketAddr, inside: Shared) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let routes = Router::new().route("/{*path}", any(answer)).with_state(Arc::clone(&inside));
        tokio::spawn(maskline::http::listen(listener, routes, stop.clone()));
        Self { address, inside, stop }
    }

    /// The same bucket behind another door.
    pub async fn again(self, address: SocketAddr) -> Self {
        Self::at(address, Arc::clone(&self.inside)).await
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    pub fn is(&self, mood: Mood) {
        self.inside().mood = mood;
    }

    /// The names of all objects, and what is in them.
    pub fn objects(&self) -> Vec<(String, Bytes)> {
        self.inside().objects.clone().into_iter().collect()
    }

    /// What an operator sets for it.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ENDPOINT", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_TIMEOUT", "100ms".to_owned()),
        ]
    }

    pub fn storage(&self) -> Storage {
        self.storage_with("s3://pictures/of/maskline", &[])
    }

    /// The storage at this place with these settings instead.
    pub fn storage_with(&self, place: &str, instead: &[(&'static str, &str)]) -> Storage {
        let mut settings = self.settings();
        settings.extend(instead.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Storage::open_with(place, settings.into_iter().map(|(name, value)| (name.into(), value)))
            .unwrap()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn answer(State(inside): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let mood = inside.lock().unwrap().mood;
    match mood {
        Mood::Silent => return std::future::pending().await,
        Mood::Broken(left) => {
            let next = if left > 1 { Mood::Broken(left - 1) } else { Mood::Well };
            inside.lock().unwrap().mood = next;
            return refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
        Mood::Forbidding => return refusal(StatusCode::FORBIDDEN, "AccessDenied"),
        Mood::Well | Mood::Keeping => {}
    }
    if let Err(code) = check(&parts, &body) {
        return refusal(StatusCode::FORBIDDEN, code);
    }
    let path = parts.uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    if bucket != BUCKET {
        return refusal(StatusCode::NOT_FOUND, "NoSuchBucket");
    }
    let objects = &mut inside.lock().unwrap().objects;
    match parts.method {
        Method::PUT => {
            objects.insert(key.to_owned(), body);
            [("etag", "\"1\"")].into_response()
        }
        Method::GET => match objects.get(key) {
            Some(bytes) => {
                let head = [("etag", "\"1\""), ("last-modified", "Sun, 01 Mar 2026 12:00:00 GMT")];
                (head, bytes.clone()).into_response()
            }
            None => refusal(StatusCode::NOT_FOUND, "NoSuchKey"),
        },
        Method::POST if parts.uri.query() == Some("delete") => {
            let xml = String::from_utf8_lossy(&body).into_owned();
            let key = xml.split_once("<Key>").unwrap().1.split_once("</Key>").unwrap().0;
            let result = if mood == Mood::Keeping {
                format!(
                    "<Error><Key>{key}</Key><Code>AccessDenied</Code><Message>No.</Message></Error>"
                )
            } else {
                objects.remove(key);
                format!("<Deleted><Key>{key}</Key></Deleted>")
            };
            format!("<DeleteResult>{result}</DeleteResult>").into_response()
        }
        _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
    }
}

/// An error as S3 gives it, which quotes the key and the signature.
fn refusal(status: StatusCode, code: &str) -> Response {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>No.</Message>\
         <AWSAccessKeyId>{KEY}</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256</StringToSign></Error>"
    );
    (status, [("content-type", "application/xml")], xml).into_response()
}

/// Checks the body's digest and the signature.
fn check(parts: &Parts, body: &Bytes) -> Result<(), &'static str> {
    let header = |name: &str| text(&parts.headers, name);
    let authorization = header("authorization");
    let field = |name: &str| {
        let rest = authorization.split_once(&format!("{name}=")).map_or("", |(_, rest)| rest);
        rest.split(',').next().unwrap_or_default().trim().to_owned()
    };
    let (key, scope) =
        field("Credential").split_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    if key != KEY {
        return Err("InvalidAccessKeyId");
    }
    let digest = header("x-amz-content-sha256");
    if digest != hex(&Sha256::digest(body)) {
        return Err("XAmzContentSHA256Mismatch");
    }
    let signed = field("SignedHeaders");
    for needed in ["host", "x-amz-content-sha256", "x-amz-date"] {
        assert!(signed.split(';').any(|name| name == needed), "{needed} is not signed");
    }
    let headers: Vec<String> =
        signed.split(';').map(|name| format!("{name}:{}", header(name))).collect();
    let headers = headers.join("\n");
    let path = parts.uri.path();
    // A name alone is signed with an equals sign behind it.
    let query = parts.uri.query().map_or(String::new(), |query| format!("{query}="));
    let request = format!("{}\n{path}\n{query}\n{headers}\n\n{signed}\n{digest}", parts.method);
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        header("x-amz-date"),
        hex(&Sha256::digest(request))
    );
    let date = &header("x-amz-date")[..8];
    assert_eq!(scope, format!("{date}/{REGION}/s3/aws4_request"));
    let key = [date, REGION, "s3", "aws4_request"]
        .into_iter()
        .fold(format!("AWS4{SECRET_KEY}").into_bytes(), |key, part| mac(&key, part.as_bytes()));
    let expected = hex(&mac(&key, to_sign.as_bytes()));
    if field("Signature") == expected { Ok(()) } else { Err("SignatureDoesNotMatch") }
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map_or("", |value| value.to_str().unwrap()).trim().to_owned()
}

fn mac(key: &[u8], what: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(what);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}
