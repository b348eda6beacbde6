//! One's own account: the password, and the browsers that are signed in.

use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    page::{self, Asked, Failed, Frame, Page, Sent},
    say,
    staff::{self, attempt, password, session},
    visitor::Visitor,
};
use crate::{app::App, audit, ids::SessionId};

/// The page for choosing a password.
#[derive(Template)]
#[template(path = "password.html")]
struct Password {
    frame: Frame,
    must: bool,
    problem: Option<&'static str>,
}

/// Shows the page for choosing a password.
pub(super) async fn password_page(visitor: Visitor) -> Page {
    Ok(page::show(&password_form(&visitor, None)))
}

fn password_form(visitor: &Visitor, problem: Option<&'static str>) -> Password {
    let frame = Frame::new(visitor, "Choose a password", "/password");
    Password { frame, must: visitor.must_change(), problem }
}

/// The old password, and the new one twice.
#[derive(Deserialize)]
pub(super) struct Chosen {
    old: String,
    new: String,
    again: String,
}

/// Changes one's own password, and signs all other browsers out.
pub(super) async fn change_password(
    State(app): State<App>,
    visitor: Visitor,
    Sent(chosen): Sent<Chosen>,
) -> Page {
    let now = app.clock.now();
    let problem = if chosen.new != chosen.again {
        Some("The two new passwords are not the same.")
    } else if chosen.new == chosen.old {
        Some("Choose another password than the one you have.")
    } else {
        password::problem(&chosen.new, visitor.name())
    };
    if let Some(problem) = problem {
        return Ok(not_changed(&visitor, problem));
    }
    // Whoever found a browser open could guess here as well as where one signs in.
    let vault = &app.pen.vault;
    let account =
        attempt::on_account(&mut *app.db.acquire().await?, vault, visitor.name(), now).await?;
    let Some(open) = account.and_then(|account| account.open) else {
        return Ok(not_changed(&visitor, "Your account is locked for now. Try again later."));
    };
    if !password::fits(&chosen.old, Some(open.hash)).await {
        return refuse(&app, &visitor, open.attempt, now).await;
    }
    let hash = password::hash(&chosen.new).await?;
    let mut tx = app.db.begin().await?;
    staff::set_password(&mut tx, visitor.id(), &hash, visitor.session(), now).await?;
    let record =
        visitor.record("password_changed", "chose a password; other browsers are signed out");
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    Ok(Redirect::to("/sessions?done=password").into_response())
}

/// Notes that the old password was not right. Too many of those lock the account, and sign this
/// browser out.
async fn refuse(app: &App, visitor: &Visitor, attempt: i32, now: Timestamp) -> Page {
    let mut records =
        vec![visitor.record("password_refused", "gave a password that is not theirs")];
    let is_last = attempt >= attempt::ACCOUNT;
    let mut tx = app.db.begin().await?;
    if is_last {
        session::revoke(&mut tx, visitor.session(), visitor.id(), now).await?;
        records.push(visitor.record("sign_in_locked", &attempt::locked("account")));
    }
    audit::record(&mut tx, &records, now).await?;
    tx.commit().await?;
    metrics::counter!("maskline_console_sign_in_failures_total").increment(1);
    if is_last {
        return Ok(Redirect::to("/sign-in").into_response());
    }
    Ok(not_changed(visitor, "The password that you have is not right."))
}

fn not_changed(visitor: &Visitor, problem: &'static str) -> Response {
    let form = password_form(visitor, Some(problem));
    page::show_with(StatusCode::UNPROCESSABLE_ENTITY, &form)
}

/// The browsers that somebody is signed in with.
#[derive(Template)]
#[template(path = "sessions.html")]
struct Sessions {
    frame: Frame,
    listed: Vec<session::Listed>,
    own: SessionId,
    now: Timestamp,
}

/// What was just done.
#[derive(Deserialize)]
pub(super) struct Done {
    done: Option<String>,
}

/// Shows where somebody is signed in.
pub(super) async fn sessions_page(
    State(app): State<App>,
    visitor: Visitor,
    Asked(Done { done }): Asked<Done>,
) -> Page {
    let now = app.clock.now();
    let listed = session::list(&mut *app.db.acquire().await?, visitor.id(), now).await?;
    let done = done.as_deref().and_then(|done| match done {
        "password" => Some("Your password is changed. All other browsers are signed out."),
        "ended" => Some("That browser is signed out."),
        _ => None,
    });
    let frame = Frame::new(&visitor, "Your sessions", "/sessions").saying(done);
    Ok(page::show(&Sessions { frame, listed, own: visitor.session(), now }))
}

/// Signs one of somebody's own browsers out.
pub(super) async fn end(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Page {
    let id: SessionId = id.parse().map_err(|_| Failed::Nothing)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if !session::revoke(&mut tx, id, visitor.id(), now).await? {
        return Err(Failed::Nothing);
    }
    let record =
        visitor.record("session_ended", &format!("signed the browser of session {id} out"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    Ok(Redirect::to("/sessions?done=ended").into_response())
}
