//! Exports: what a search finds, as files for others. One account asks and says why, another approves, a
//! worker writes it, and whoever asked downloads it within a time. Words leave the trail, so no
//! export goes without four eyes. Real numbers are in none, but for those that people wrote.

mod ask;
mod download;
pub mod figures;
mod file;
mod lease;
mod make;
pub(super) mod store;
mod touch;
pub mod worker;

use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect},
};
use jiff::Timestamp;
use serde::Deserialize;

pub(super) use self::{
    ask::{ask, form},
    download::download,
};
use self::{
    store::{Job, State as Stands},
    touch::touches,
};
use super::{
    page::{self, Asked, Failed, Frame, Page},
    request::{self, DECIDED},
    say,
    search::{self, Chip},
    staff::Role,
    visitor::Visitor,
};
use crate::{
    app::App,
    audit::{self, extract::Kind},
    database,
    ids::{ExportId, StaffId},
};

/// The list of exports.
#[derive(Template)]
#[template(path = "exports.html")]
struct Exports {
    frame: Frame,
    listed: Vec<Job>,
    may_ask: bool,
    /// How long files are kept.
    kept_for: String,
    now: Timestamp,
}

/// An export.
#[derive(Template)]
#[template(path = "export.html")]
struct Export {
    frame: Frame,
    job: Job,
    own: StaffId,
    may_approve: bool,
    /// The public key; none where nothing is signed.
    key: Option<String>,
    problem: Option<String>,
    now: Timestamp,
}

/// What a page is asked for.
#[derive(Default, Deserialize)]
pub(super) struct Wish {
    done: Option<String>,
}

/// Lists exports: all of them to approvers, and to others their own.
pub(super) async fn page(State(app): State<App>, visitor: Visitor) -> Page {
    let is_approver = visitor.role() == Role::Approver;
    let of = (!is_approver).then(|| visitor.id());
    let mut conn = app.db.acquire().await?;
    let listed = store::list(&mut conn, &app.pen.vault, of).await?;
    Ok(page::show(&Exports {
        frame: Frame::new(&visitor, "Exports", "/exports"),
        listed,
        may_ask: !is_approver,
        kept_for: say::span(app.settings.console.export_lifetime),
        now: database::time(&mut conn, &app.clock).await?,
    }))
}

/// Shows an export to whoever asked for it, and to approvers.
pub(super) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    Asked(wish): Asked<Wish>,
) -> Page {
    let done = wish.done.as_deref().and_then(|done| match done {
        "asked" => Some("You have asked. An approver must decide before anything is written."),
        "granted" => Some("It is granted. It is written now; whoever asked can download it here."),
        "refused" => Some("It is refused."),
        _ => None,
    });
    let mut page = one(&app, &visitor, &id).await?;
    page.frame = page.frame.saying(done);
    Ok(page::show(&page))
}

async fn one(app: &App, visitor: &Visitor, id: &str) -> Result<Export, Failed> {
    let id: ExportId = id.parse().map_err(|_| Failed::Nothing)?;
    let is_approver = visitor.role() == Role::Approver;
    let mut conn = app.db.acquire().await?;
    let found = store::find(&mut conn, &app.pen.vault, id).await?;
    let may_see = |job: &Job| is_approver || job.request.asker == visitor.id();
    let job = found.filter(may_see).ok_or(Failed::Nothing)?;
    Ok(Export {
        frame: Frame::new(visitor, "Export", "/exports"),
        job,
        own: visitor.id(),
        may_approve: is_approver,
        key: app.settings.audit.signer.as_ref().map(|signer| signer.verifier().to_string()),
        problem: None,
        now: database::time(&mut conn, &app.clock).await?,
    })
}

/// The page once more, with what is wrong.
async fn again(app: &App, visitor: &Visitor, id: ExportId, problem: &str) -> Page {
    let page = one(app, visitor, &id.to_string()).await?;
    let page = Export { problem: Some(problem.to_owned()), ..page };
    Ok(page::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Grants what somebody else has asked for.
pub(super) async fn grant(state: State<App>, visitor: Visitor, id: Path<String>) -> Page {
    decide(state, visitor, id, true).await
}

/// Refuses it.
pub(super) async fn refuse(state: State<App>, visitor: Visitor, id: Path<String>) -> Page {
    decide(state, visitor, id, false).await
}

async fn decide(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    is_granted: bool,
) -> Page {
    let id: ExportId = id.parse().map_err(|_| Failed::Nothing)?;
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let job = store::find(&mut tx, &app.pen.vault, id).await?.ok_or(Failed::Nothing)?;
    if let Err(problem) = job.request.judge(visitor.id(), now) {
        request::leave(tx, now).await?;
        return again(&app, &visitor, id, problem).await;
    }
    if !store::decide(&mut tx, id, visitor.id(), is_granted, now).await? {
        drop(tx);
        return again(&app, &visitor, id, DECIDED).await;
    }
    let (rules, what) = (("export_grant", "export_refuse"), format!("export {id}"));
    let record = job.request.decided(&visitor, rules, what, is_granted, "");
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    let done = if is_granted { "granted" } else { "refused" };
    Ok(Redirect::to(&format!("/exports/{id}?done={done}")).into_response())
}

/// What the form of its files is called.
fn called(job: &Job) -> &'static str {
    match job.format {
        Kind::Csv => "table (CSV)",
        Kind::Html => "pages (HTML)",
        Kind::Jsonl => "for programs (JSON lines)",
        Kind::Rsmf => "for legal programs (RSMF)",
    }
}

/// The colour of the word for where it stands, and the word.
fn standing(job: &Job, now: &Timestamp) -> (&'static str, &'static str) {
    match job.state {
        Stands::Waiting => ("", "waits to be written"),
        Stands::Running => ("", "is being written"),
        Stands::Failed => (" bad", "failed"),
        _ => job.request.tag(*now, "ready", "expired"),
    }
}

/// What it is of, in words.
fn asks_for(job: &Job) -> Vec<String> {
    search::in_words(&job.scope)
}

/// What it is of, piece by piece.
fn covers(job: &Job) -> Vec<Chip> {
    search::chips(&job.scope, None)
}

/// How long the file is, as people say it.
#[expect(clippy::cast_precision_loss, reason = "it is rounded anyway")]
fn size(job: &Job) -> String {
    let bytes = job.bytes.unwrap_or_default();
    let units = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} bytes"),
    }
}
