//! A desk in the console: its listener, the people who work there, and what their browsers send.

use std::net::SocketAddr;

use axum::http::HeaderMap;
use jiff::SignedDuration;
use maskline::{
    console::{
        self,
        staff::{self, Name, Role, totp},
    },
    http,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::TestApp;

/// The console of a test.
pub struct Desk<'a> {
    pub test: &'a TestApp,
    pub address: SocketAddr,
    http: reqwest::Client,
    stop: CancellationToken,
}

impl Drop for Desk<'_> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Somebody with an account.
#[derive(Clone)]
pub struct Member {
    pub name: String,
    pub password: String,
    pub secret: totp::Secret,
}

/// What the console answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub cookie: Option<String>,
    pub headers: HeaderMap,
    pub body: String,
}

/// The token in an answer's cookie.
pub fn cookie_of(answer: &Answer) -> Option<String> {
    let cookie = answer.cookie.as_deref()?.strip_prefix("__Host-maskline=")?;
    cookie.split(';').next().filter(|token| !token.is_empty()).map(str::to_owned)
}

/// The secret that somebody types into an app.
pub fn secret_of(text: &str) -> totp::Secret {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bit = |at: usize| {
        let letter = LETTERS.find(text.as_bytes()[at / 5] as char).unwrap();
        u8::from(letter >> (4 - at % 5) & 1 == 1)
    };
    let byte = |at: usize| (0..8).fold(0, |byte, of| byte << 1 | bit(at * 8 + of));
    let bytes: Vec<u8> = (0..20).map(byte).collect();
    totp::Secret::read(&bytes).unwrap()
}

impl<'a> Desk<'a> {
    pub async fn open(test: &'a TestApp) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(http::listen(listener, console::routes(test.app.clone()), stop.clone()));
        let none = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().redirect(none).build().unwrap();
        Self { test, address, http, stop }
    }

    /// Makes an account, which has not been used yet.
    pub async fn hire(&self, name: &str, role: Role) -> Member {
        let mut conn = self.test.db.acquire().await.unwrap();
        let (vault, now) = (&self.test.app.pen.vault, self.test.app.clock.now());
        let called = Name::read(name).unwrap();
        let opening = staff::add(&mut conn, vault, &called, role, now).await.unwrap().unwrap();
        let (password, secret) = (opening.password, opening.secret);
        Member { name: name.to_owned(), password, secret }
    }

    /// Makes an account with a password of its own.
    pub async fn staff(&self, name: &str, role: Role) -> Member {
        let member = self.hire(name, role).await;
        self.test.run("update staff set must_change = false").await;
        member
    }

    /// Signs somebody in, half a minute later: a code is good for once. Returns the cookie.
    pub async fn enter(&self, member: &Member) -> String {
        let answer = self.try_to_enter(member).await;
        cookie_of(&answer).unwrap_or_else(|| panic!("not let in: {answer:?}"))
    }

    pub async fn try_to_enter(&self, member: &Member) -> Answer {
        self.try_to_enter_with(member, None).await
    }

    pub async fn try_to_enter_with(&self, member: &Member, cookie: Option<&str>) -> Answer {
        self.test.advance(SignedDuration::from_secs(30));
        self.try_with(&member.name, &member.password, &self.code(member), cookie).await
    }

    /// What somebody's phone shows now.
    pub fn code(&self, member: &Member) -> String {
        member.secret.code(totp::step_at(self.test.app.clock.now()))
    }

    pub async fn try_with(
        &self,
        name: &str,
        password: &str,
        code: &str,
        cookie: Option<&str>,
    ) -> Answer {
        let form = [("name", name), ("password", password), ("code", code)];
        self.post("/sign-in", cookie, &form.map(|(key, value)| (key, value.to_owned()))).await
    }

    pub async fn get(&self, path: &str, cookie: Option<&str>) -> Answer {
        let get = self.http.get(self.url(path)).header("accept", "text/html");
        answer(with(get, cookie)).await
    }

    /// Gets a page as one does that keeps itself up to date.
    pub async fn look_on(&self, path: &str, cookie: &str) -> Answer {
        let get = self.http.get(self.url(path)).header("accept", "text/html").header("x-live", "1");
        answer(with(get, Some(cookie))).await
    }

    /// Posts a form as a browser does from a page of the console. What is done is on record.
    pub async fn post(&self, path: &str, cookie: Option<&str>, form: &[(&str, String)]) -> Answer {
        let staff = "select count(*) from audit_record where kind = 'staff'";
        let before: i64 = self.test.value(staff).await;
        let answer =
            self.post_saying(path, cookie, form, &[("sec-fetch-site", "same-origin")]).await;
        // Where it leads to the sign-in nothing was done; what is looked for is on record once it is shown.
        let is_done = answer.status == 303 && answer.location.as_deref() != Some("/sign-in");
        if is_done && !["/search", "/subjects"].contains(&path) {
            assert!(self.test.value::<i64>(staff).await > before, "{path} is not on record");
        }
        answer
    }

    /// The same, with these headers.
    pub async fn post_saying(
        &self,
        path: &str,
        cookie: Option<&str>,
        form: &[(&str, String)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let post = self
            .http
            .post(self.url(path))
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let post = headers.iter().fold(post, |post, (name, value)| post.header(*name, *value));
        answer(with(post, cookie)).await
    }

    /// Presses the button for a file: what comes with it, and the file.
    pub async fn take(&self, path: &str, cookie: &str) -> (u16, HeaderMap, Vec<u8>) {
        let (status, headers, file) = self.try_to_take(path, cookie).await;
        (status, headers, file.unwrap())
    }

    /// The same, where the file may break off.
    pub async fn try_to_take(
        &self,
        path: &str,
        cookie: &str,
    ) -> (u16, HeaderMap, reqwest::Result<Vec<u8>>) {
        let post = self.http.post(self.url(path)).header("sec-fetch-site", "same-origin");
        let response = with(post, Some(cookie)).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.bytes().await.map(Into::into))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn with(request: reqwest::RequestBuilder, cookie: Option<&str>) -> reqwest::RequestBuilder {
    match cookie {
        Some(cookie) => request.header("cookie", format!("a=b; __Host-maskline={cookie}")),
        None => request,
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let headers = response.headers().clone();
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let (location, cookie) = (text("location"), text("set-cookie"));
    let status = response.status().as_u16();
    Answer { status, location, cookie, headers, body: response.text().await.unwrap() }
}
