//! Asking for an export of what a search finds.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::store;
use crate::{
    app::App,
    audit::{
        self,
        checkpoint::{self, Outside, SignError},
        extract::Kind,
    },
    console::{
        page::{self, Asked, Failed, Frame, Page, Sent},
        request, say,
        search::{self, Chip, Expression},
        visitor::Visitor,
        words,
    },
    database,
};

/// The form.
#[derive(Template)]
#[template(path = "export_new.html")]
struct Form {
    frame: Frame,
    chips: Vec<Chip>,
    new: New,
    problem: Option<String>,
    /// How long the file will be kept.
    kept_for: String,
    /// Whether there is a key to sign with.
    is_signed: bool,
}

/// What is asked for: the address of a search, and what stands in the form.
#[derive(Default, Deserialize)]
pub(in crate::console) struct New {
    #[serde(default)]
    q: String,
    /// The id of its words.
    #[serde(default)]
    w: String,
    #[serde(default)]
    format: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    matter: String,
}

/// Shows the form for what an address asks for.
pub(in crate::console) async fn form(
    State(app): State<App>,
    visitor: Visitor,
    Asked(new): Asked<New>,
) -> Page {
    Ok(match scope(&app, &new).await? {
        Ok((read, words)) => {
            let chips = search::chips(&read, words);
            page::show(&Form { chips, ..blank(&app, &visitor, new) })
        }
        Err(problem) => wrong(&app, &visitor, new, Vec::new(), problem),
    })
}

/// Reads what the address of a search asks for.
async fn scope(
    app: &App,
    new: &New,
) -> sqlx::Result<Result<(Expression, Option<crate::ids::SearchId>), String>> {
    let words = Some(new.w.as_str()).filter(|id| !id.is_empty());
    Ok(match search::read(app, &new.q, words).await? {
        Ok((read, _)) if read == Expression::default() => {
            Err("Search first: an export is of what a search finds.".to_owned())
        }
        Ok(found) => Ok(found),
        Err((problem, _)) => Err(problem),
    })
}

fn blank(app: &App, visitor: &Visitor, new: New) -> Form {
    Form {
        frame: Frame::new(visitor, "Ask for an export", "/exports"),
        chips: Vec::new(),
        new,
        problem: None,
        kept_for: say::span(app.settings.console.export_lifetime),
        is_signed: app.settings.audit.signer.is_some(),
    }
}

fn wrong(
    app: &App,
    visitor: &Visitor,
    new: New,
    chips: Vec<Chip>,
    problem: impl Into<String>,
) -> Response {
    let form = Form { chips, problem: Some(problem.into()), ..blank(app, visitor, new) };
    page::show_with(StatusCode::UNPROCESSABLE_ENTITY, &form)
}

/// Asks for an export. It is of what is sealed now, whenever it is written.
pub(in crate::console) async fn ask(
    State(app): State<App>,
    visitor: Visitor,
    Sent(new): Sent<New>,
) -> Page {
    let (read, words) = match scope(&app, &new).await? {
        Ok(found) => found,
        Err(problem) => return Ok(wrong(&app, &visitor, new, Vec::new(), problem)),
    };
    let chips = search::chips(&read, words);
    let lines = (words::line(&new.matter, "The case"), words::line(&new.reason, "The reason"));
    let (matter, reason) = match lines {
        (Ok(matter), Ok(reason)) => (matter, reason),
        (Err(problem), _) | (_, Err(problem)) => {
            return Ok(wrong(&app, &visitor, new, chips, problem));
        }
    };
    let Some(format) = Kind::ALL.into_iter().find(|kind| kind.as_str() == new.format) else {
        return Ok(wrong(&app, &visitor, new, chips, "Say how it is to be written."));
    };
    let audit = &app.settings.audit;
    let outside = Outside::look(&audit.targets, audit.signer.as_deref()).await;
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let query = match search::wanted(&mut tx, &read, None, now).await? {
        Ok(query) => query,
        Err(problem) => return Ok(wrong(&app, &visitor, new, chips, problem)),
    };
    let covered = match covered(&app, &mut tx, outside).await? {
        Ok(covered) => covered,
        Err(problem) => return Ok(wrong(&app, &visitor, new, chips, problem)),
    };
    let lapses_at = request::after(now, app.settings.console.request_lifetime);
    let (reason, matter) = (&*reason, &*matter);
    let wanted = store::Ask { scope: &read, format, reason, matter, covered, lapses_at };
    let id = store::ask(&mut tx, &app.pen.vault, &wanted, visitor.id(), now).await?;
    let said = format!(
        "export {id} asked for: {}, of the first {covered} records, as {}, {matter}: {reason}",
        query.covered_by(covered),
        format.as_str()
    );
    audit::record(&mut tx, &[visitor.record("export_ask", &said)], now).await?;
    tx.commit().await?;
    Ok(Redirect::to(&format!("/exports/{id}?done=asked")).into_response())
}

/// How many records the newest checkpoint counts, which is signed now if need be.
async fn covered(
    app: &App,
    conn: &mut sqlx::PgConnection,
    outside: Outside,
) -> Result<Result<i64, &'static str>, Failed> {
    let Some(signer) = &app.settings.audit.signer else {
        return Ok(Err("Exports are signed, and no signing key is set."));
    };
    match checkpoint::sign(&mut *conn, signer, outside).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            return Ok(Err("Nothing is sealed yet. That takes some seconds: try again then."));
        }
        Err(SignError::Database(error)) => return Err(error.into()),
        Err(error) => {
            tracing::error!(%error, "no export can be asked for");
            return Ok(Err(
                "The trail is not what was signed before. Tell whoever operates Maskline at once.",
            ));
        }
    }
    let newest = checkpoint::last(conn).await?;
    Ok(newest.map(|it| it.size).ok_or("Nothing is sealed yet. Try again in some seconds."))
}
