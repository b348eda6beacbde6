//! The accounts of staff, for whoever looks after them.

use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use fast_qr::{QRBuilder, convert::svg::SvgBuilder};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    page::{self, Asked, Failed, Frame, Page, Sent},
    say,
    staff::{self, Listed, Name, Opening, Role},
    visitor::Visitor,
};
use crate::{app::App, audit, ids::StaffId};

/// The accounts.
#[derive(Template)]
#[template(path = "staff.html")]
struct Accounts {
    frame: Frame,
    listed: Vec<Listed>,
    own: StaffId,
    now: Timestamp,
    problem: Option<String>,
    typed: String,
}

/// What opens an account, shown once.
#[derive(Template)]
#[template(path = "opening.html")]
struct Opened {
    frame: Frame,
    name: String,
    password: String,
    secret: String,
    picture: Option<String>,
}

/// What was just done.
#[derive(Deserialize)]
pub(super) struct Done {
    done: Option<String>,
}

/// Shows the accounts.
pub(super) async fn page(
    State(app): State<App>,
    visitor: Visitor,
    Asked(Done { done }): Asked<Done>,
) -> Page {
    let mut page = list(&app, &visitor).await?;
    page.frame =
        page.frame.saying(done.map(|_| "The account is disabled, and signed out everywhere."));
    Ok(page::show(&page))
}

async fn list(app: &App, visitor: &Visitor) -> sqlx::Result<Accounts> {
    let now = app.clock.now();
    Ok(Accounts {
        frame: Frame::new(visitor, "Staff", "/staff"),
        listed: staff::list(&mut *app.db.acquire().await?, now).await?,
        own: visitor.id(),
        now,
        problem: None,
        typed: String::new(),
    })
}

async fn again(app: &App, visitor: &Visitor, problem: String, typed: &str) -> Page {
    let listed = list(app, visitor).await?;
    let page = Accounts { problem: Some(problem), typed: typed.to_owned(), ..listed };
    Ok(page::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// A new account.
#[derive(Deserialize)]
pub(super) struct New {
    name: String,
    role: Role,
}

/// Makes an account.
pub(super) async fn add(
    State(app): State<App>,
    visitor: Visitor,
    Sent(New { name, role }): Sent<New>,
) -> Page {
    let read = match Name::read(&name) {
        Ok(read) => read,
        Err(must) => return again(&app, &visitor, format!("The name {must}."), &name).await,
    };
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let Some(opening) = staff::add(&mut tx, &app.pen.vault, &read, role, now).await? else {
        let problem = "There is an account of that name, and a name is given once.".to_owned();
        return again(&app, &visitor, problem, &name).await;
    };
    let record = visitor.record("staff_add", &format!("account {} made, {role}", read.as_str()));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    Ok(opened(&app, &visitor, &opening, read.as_str()))
}

/// Gives an account a new password and a new second factor.
pub(super) async fn reset(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Page {
    let id: StaffId = id.parse().map_err(|_| Failed::Nothing)?;
    if id == visitor.id() {
        let problem = "Nobody resets their own account: another admin does, or the command line.";
        return again(&app, &visitor, problem.to_owned(), "").await;
    }
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let (name, _) = staff::named(&mut tx, id).await?.ok_or(Failed::Nothing)?;
    let opening = staff::reset(&mut tx, &app.pen.vault, id, now).await?.ok_or(Failed::Nothing)?;
    let record =
        visitor.record("staff_reset", &format!("account {name} given a new password and code"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    Ok(opened(&app, &visitor, &opening, &name))
}

/// Lets nobody in any more with an account.
pub(super) async fn disable(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Page {
    let id: StaffId = id.parse().map_err(|_| Failed::Nothing)?;
    if id == visitor.id() {
        let problem = "Nobody disables their own account: another admin does, or the command line.";
        return again(&app, &visitor, problem.to_owned(), "").await;
    }
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let (name, _) = staff::named(&mut tx, id).await?.ok_or(Failed::Nothing)?;
    if !staff::disable(&mut tx, id, now).await? {
        return again(&app, &visitor, "That account is disabled already.".to_owned(), "").await;
    }
    let record = visitor.record("staff_disable", &format!("account {name} disabled"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    Ok(Redirect::to("/staff?done=disabled").into_response())
}

/// Shows what opens an account.
fn opened(app: &App, visitor: &Visitor, opening: &Opening, name: &str) -> axum::response::Response {
    let uri = opening.secret.uri(app.pen.brand.as_str(), name);
    let drawn = QRBuilder::new(uri).build().ok();
    let picture = drawn.map(|drawn| {
        let svg = SvgBuilder::default().to_str(&drawn);
        format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode(svg))
    });
    page::show(&Opened {
        frame: Frame::new(visitor, format!("What opens {name}’s account"), "/staff"),
        name: name.to_owned(),
        password: opening.password.clone(),
        secret: opening.secret.to_text(),
        picture,
    })
}
