//! Tasks: what staff must look at, until when, and what came of it.

use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect},
};
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::PgConnection;

use super::{
    leaf::{Leaf, Place},
    page::{self, Asked, Failed, Frame, Page, Sent},
    say,
    staff::Role,
    visitor::Visitor,
    words,
};
use crate::{
    app::App,
    audit::{self, Record},
    consent::{self, Channel},
    dispatch,
    ids::{PersonId, TaskId},
    people,
    tasks::{self, About, Closed, Listed},
};

/// How many tasks stand on a page.
const PAGE: usize = 50;

/// The list of tasks: of the open ones, or of the closed.
#[derive(Template)]
#[template(path = "tasks.html")]
struct Tasks {
    frame: Frame,
    listed: Vec<Listed>,
    is_closed: bool,
    leaf: Leaf,
    /// Where this page begins, as the address has it.
    from: String,
    may_close: bool,
    may_read: bool,
    now: Timestamp,
    problem: Option<String>,
    /// Which task's form is open, and what stands in it.
    writing: Option<(TaskId, String)>,
}

impl Tasks {
    /// Where its first page is, and what stands behind that before the place of another.
    fn base(&self) -> (&'static str, &'static str) {
        if self.is_closed { ("/tasks?closed=1", "&") } else { ("/tasks", "?") }
    }

    /// Why staff are called, in words.
    fn why(kind: &str) -> &'static str {
        match kind {
            "soft_opt_out" => "May be an opt-out",
            "report" => "Somebody was reported",
            "carrier_block" => "The carrier blocks a pair",
            "guessing" => "Many codes failed",
            "quarantine" => "A number is quarantined",
            "pool" => "The pool runs short",
            "unknown" => "Nobody knows whether a text arrived",
            _ => "To be looked at",
        }
    }

    /// Whether whom this is about may want to be opted out.
    fn may_be_plea(task: &Listed) -> bool {
        task.person.is_some() && matches!(task.kind.as_str(), "soft_opt_out" | "carrier_block")
    }

    /// What is in the form of this task.
    fn written(&self, id: &TaskId) -> Option<&str> {
        self.writing.as_ref().filter(|(of, _)| of == id).map(|(_, words)| words.as_str())
    }
}

/// What the list is asked for.
#[derive(Deserialize)]
pub(super) struct Wish {
    closed: Option<String>,
    #[serde(default)]
    from: String,
    done: Option<String>,
}

/// Shows the tasks.
pub(super) async fn page(
    State(app): State<App>,
    visitor: Visitor,
    Asked(wish): Asked<Wish>,
) -> Page {
    let done = wish.done.as_deref().and_then(|done| match done {
        "closed" => Some("The task is closed."),
        "opted-out" => {
            Some("The task is closed, and they are opted out: nobody texts them any more.")
        }
        _ => None,
    });
    let listed = list(&app, &visitor, wish.closed.is_some(), wish.from).await?;
    let frame = Frame::new(&visitor, "Tasks", "/tasks").saying(done);
    Ok(page::show(&Tasks { frame, ..listed }))
}

async fn list(app: &App, visitor: &Visitor, is_closed: bool, from: String) -> sqlx::Result<Tasks> {
    let now = app.clock.now();
    let mut conn = app.db.acquire().await?;
    let places = tasks::places(&mut conn, is_closed).await?;
    let ids: Vec<TaskId> = places.iter().map(|(_, id)| *id).collect();
    let place = |(at, id): (Timestamp, TaskId)| Place { at, id: id.uuid() };
    let places: Vec<Place> = places.into_iter().map(place).collect();
    let start = from.parse().ok();
    let leaf = if is_closed {
        Leaf::of_newest(&places, start, PAGE)
    } else {
        Leaf::of(&places, start, PAGE)
    };
    let listed = tasks::some(&mut conn, &ids[leaf.range.clone()], now).await?;
    Ok(Tasks {
        frame: Frame::new(visitor, "Tasks", "/tasks"),
        listed,
        is_closed,
        leaf,
        from: start.as_ref().map(Place::to_string).unwrap_or_default(),
        may_close: matches!(visitor.role(), Role::Operator | Role::Auditor),
        may_read: visitor.role() == Role::Auditor,
        now,
        problem: None,
        writing: None,
    })
}

/// What came of a task.
#[derive(Deserialize)]
pub(super) struct Closing {
    outcome: String,
    /// Set by the button that opts the person out, too.
    opt_out: Option<String>,
    /// Which page it is on.
    #[serde(default)]
    from: String,
}

/// Closes a task.
pub(super) async fn close(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    Sent(Closing { outcome, opt_out, from }): Sent<Closing>,
) -> Page {
    let id: TaskId = id.parse().map_err(|_| Failed::Nothing)?;
    let words = match words::line(&outcome, "The outcome") {
        Ok(words) => words,
        Err(problem) => return again(&app, &visitor, problem, Some((id, outcome)), from).await,
    };
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let About { kind, person, conversation, masked_number } =
        match tasks::close(&mut tx, id, &words, now).await? {
            Closed::Now(about) => about,
            Closed::Before => {
                let problem = "Somebody has closed this task meanwhile. It stays as they left it.";
                return again(&app, &visitor, problem.to_owned(), None, from).await;
            }
            Closed::Never => return Err(Failed::Nothing),
        };
    let record = Record {
        person,
        conversation,
        masked_number: masked_number.and_then(|number| number.parse().ok()),
        ..visitor.record("tasks_close", &format!("{kind} {id}: {words}"))
    };
    audit::record(&mut tx, &[record], now).await?;
    let Some(person) = person.filter(|_| opt_out.is_some()) else {
        tx.commit().await?;
        return Ok(Redirect::to(&done("closed", &from)).into_response());
    };
    silence(&mut tx, &app, &visitor, (id, person, words)).await?;
    tx.commit().await?;
    app.wake.notify_one();
    Ok(Redirect::to(&done("opted-out", &from)).into_response())
}

/// The page that a task was closed on, once more.
fn done(what: &str, from: &str) -> String {
    let from = from.parse::<Place>().map(|place| format!("&from={place}")).unwrap_or_default();
    format!("/tasks?done={what}{from}")
}

/// Opts out whom a task is about, unless they are, or were forgotten. What came of the task is the
/// evidence.
async fn silence(
    conn: &mut PgConnection,
    app: &App,
    visitor: &Visitor,
    (task, person, evidence): (TaskId, PersonId, String),
) -> sqlx::Result<()> {
    let Some(author) = people::author(conn, &app.pen.vault, person).await? else { return Ok(()) };
    let now = consent::lock(conn, person, app.clock.instead()).await?;
    if consent::silent_since(conn, person).await?.is_some() {
        return Ok(());
    }
    let evidence = (Channel::Staff, Some(evidence));
    let ended = dispatch::opt_out(conn, &app.pen, (person, &author), evidence, now).await?;
    let said = format!("for task {task}, {ended} conversations ended");
    let record = Record { person: Some(person), ..visitor.record("optout_add", &said) };
    audit::record(conn, &[record], now).await
}

/// The list once more, with what is wrong.
async fn again(
    app: &App,
    visitor: &Visitor,
    problem: String,
    writing: Option<(TaskId, String)>,
    from: String,
) -> Page {
    let listed = list(app, visitor, false, from).await?;
    let page = Tasks { problem: Some(problem), writing, ..listed };
    Ok(page::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}
