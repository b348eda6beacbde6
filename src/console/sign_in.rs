//! Signing in and out: a name, a password and a code, all at once and all right.
//!
//! What was wrong is never said, and a name that nobody has takes as long as one that somebody has.

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    gate::{self, COOKIE},
    page::{self, Asked, Page, Sent},
    staff::{
        attempt::{self, Account},
        password,
        session::{self, End, Token},
    },
    visitor::{Caller, Visitor, record},
};
use crate::{
    app::App,
    audit::{self, Kind, Record},
};

/// The page for signing in.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    name: String,
    next: String,
    problem: bool,
    signed_out: bool,
}

impl SignIn {
    /// For how many minutes an account is locked.
    const MINUTES: i64 = attempt::LOCK.as_mins();
}

/// Where to go after signing in, and whether somebody has just signed out.
#[derive(Deserialize)]
pub(super) struct Wish {
    next: Option<String>,
    out: Option<String>,
}

/// Shows the page for signing in.
pub(super) async fn page(Asked(wish): Asked<Wish>) -> Response {
    page::show(&SignIn {
        name: String::new(),
        next: wish.next.unwrap_or_default(),
        problem: false,
        signed_out: wish.out.is_some(),
    })
}

/// What somebody signs in with.
#[derive(Deserialize)]
pub(super) struct Given {
    name: String,
    password: String,
    code: String,
    #[serde(default)]
    next: String,
}

/// An attempt to sign in, counted and not judged yet.
struct Attempt {
    account: Option<Account>,
    /// Which one from this address; none where nobody is let in from there.
    from_address: Option<i32>,
}

/// Signs somebody in, in a session of its own.
pub(super) async fn sign_in(
    State(app): State<App>,
    Caller(address): Caller,
    headers: HeaderMap,
    Sent(given): Sent<Given>,
) -> Page {
    let now = app.clock.now();
    let attempt = count(&app, given.name.trim(), &address, now).await?;
    let open = attempt.account.as_ref().and_then(|account| account.open.as_ref());
    let open = open.filter(|_| attempt.from_address.is_some());
    let step = open.and_then(|open| open.step(&given.code, now));
    let fits = password::fits(&given.password, open.map(|open| open.hash.clone())).await;
    let step = step.filter(|_| fits);
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let browser = Browser {
        address,
        agent: agent.unwrap_or_default().chars().take(120).collect(),
        brought: gate::token(&headers),
    };
    match settle(&app, &attempt, step, &browser, now).await? {
        Some(token) => {
            let mut response = Redirect::to(within(&given.next)).into_response();
            response.headers_mut().insert(header::SET_COOKIE, cookie(token.as_str()));
            Ok(response)
        }
        None => Ok(page::show_with(
            StatusCode::UNPROCESSABLE_ENTITY,
            &SignIn { name: given.name, next: given.next, problem: true, signed_out: false },
        )),
    }
}

/// Where an attempt comes from.
struct Browser {
    address: String,
    agent: String,
    /// The token that it brought along.
    brought: Option<Token>,
}

/// Counts an attempt, before anything is known of it.
async fn count(app: &App, name: &str, address: &str, now: Timestamp) -> sqlx::Result<Attempt> {
    let mut tx = app.db.begin().await?;
    let from_address = attempt::from_address(&mut tx, address, now).await?;
    // From where nobody is let in, nobody can lock others out.
    let account = match from_address {
        Some(_) => attempt::on_account(&mut tx, &app.pen.vault, name, now).await?,
        None => None,
    };
    tx.commit().await?;
    Ok(Attempt { account, from_address })
}

/// Lets somebody in whose password fits and whose code is that of this step, or notes that nobody was.
async fn settle(
    app: &App,
    attempt: &Attempt,
    step: Option<i64>,
    browser: &Browser,
    now: Timestamp,
) -> sqlx::Result<Option<Token>> {
    let mut tx = app.db.begin().await?;
    if let (Some(account), Some(step)) = (&attempt.account, step)
        && attempt::succeed(&mut tx, account.id, step, &browser.address).await?
    {
        if let Some(brought) = &browser.brought {
            session::end(&mut tx, brought, End::Replaced, now).await?;
        }
        let Browser { address, agent, .. } = browser;
        let token = session::begin(&mut tx, account.id, address, agent, now).await?;
        let done = record("sign_in", (&account.name, account.role), address, "signed in");
        audit::record(&mut tx, &[done], now).await?;
        tx.commit().await?;
        return Ok(Some(token));
    }
    audit::record(&mut tx, &failure(attempt, &browser.address), now).await?;
    tx.commit().await?;
    metrics::counter!("maskline_console_sign_in_failures_total").increment(1);
    Ok(None)
}

/// What is on record of an attempt that failed. A name that nobody has is not kept: it may be a
/// password that was typed in the wrong place.
fn failure(attempt: &Attempt, address: &str) -> Vec<Record> {
    let of = |rule: &'static str, what: &str| match &attempt.account {
        Some(Account { name, role, .. }) => record(rule, (name, *role), address, what),
        None => Record {
            rule: Some(rule),
            detail: Some(format!("by somebody unknown, from {address}: {what}")),
            ..Record::of(Kind::Staff)
        },
    };
    let open = attempt.account.as_ref().and_then(|account| account.open.as_ref());
    let why = match (&attempt.from_address, &attempt.account, open) {
        (None, ..) => "was not let in: too many failures from this address",
        (_, Some(_), None) => "was not let in: the account is locked or disabled",
        _ => "was not let in: something was wrong",
    };
    let mut records = vec![of("sign_in_failed", why)];
    if open.is_some_and(|open| open.attempt >= attempt::ACCOUNT) {
        records.push(of("sign_in_locked", &attempt::locked("account")));
    }
    if attempt.from_address.is_some_and(|count| count >= attempt::ADDRESS) {
        records.push(of("sign_in_locked", &attempt::locked("address")));
    }
    records
}

/// Signs the browser out and forgets its cookie.
pub(super) async fn sign_out(State(app): State<App>, visitor: Visitor, headers: HeaderMap) -> Page {
    let now = app.clock.now();
    if let Some(token) = gate::token(&headers) {
        let mut tx = app.db.begin().await?;
        session::end(&mut tx, &token, End::SignedOut, now).await?;
        audit::record(&mut tx, &[visitor.record("sign_out", "signed out")], now).await?;
        tx.commit().await?;
    }
    let mut response = Redirect::to("/sign-in?out=1").into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie(""));
    Ok(response)
}

/// The cookie that holds this token; an empty one takes it away.
fn cookie(token: &str) -> HeaderValue {
    let end = if token.is_empty() { "; Max-Age=0" } else { "" };
    let cookie = format!("{COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Lax{end}");
    HeaderValue::from_str(&cookie).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A path of this console, or the overview: whoever signs in is led to no other site.
fn within(next: &str) -> &str {
    let is_path = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_site() {
        for (next, to) in [
            ("/tasks?all=1", "/tasks?all=1"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example/", "/"),
            ("/a\r\nSet-Cookie: a=b", "/"),
            ("javascript:alert(1)", "/"),
        ] {
            assert_eq!(within(next), to, "{next:?}");
        }
    }
}
