//! Reveals: real numbers, with four eyes. One account asks and says why, another approves, it lasts an
//! hour at most, and every number that is shown is on record before it is.

pub(super) mod store;

use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect},
};
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::error::DatabaseError;
use uuid::Uuid;

use self::store::{Ask, Reveal, Whose};
use super::{
    page::{self, Asked, Failed, Frame, Page, Sent},
    request::{self, DECIDED, Stands},
    say,
    staff::Role,
    visitor::Visitor,
    words,
};
use crate::{
    app::App,
    audit::{self, Record},
    database,
    ids::{PersonId, RevealId, StaffId},
    people,
    phone::PhoneNumber,
};

/// The list of reveals, and the form for a new one.
#[derive(Template)]
#[template(path = "reveals.html")]
struct Reveals {
    frame: Frame,
    listed: Vec<Reveal>,
    own: StaffId,
    may_ask: bool,
    may_approve: bool,
    now: Timestamp,
    problem: Option<String>,
    new: New,
}

/// What was asked for, in the form.
#[derive(Default, Deserialize)]
pub(super) struct New {
    #[serde(default)]
    id: String,
    #[serde(default)]
    whose: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    matter: String,
    #[serde(default)]
    minutes: String,
    /// Set by the button that opens at once.
    glass: Option<String>,
}

/// What the list is asked for.
#[derive(Deserialize)]
pub(super) struct Wish {
    done: Option<String>,
    conversation: Option<String>,
}

/// Shows the reveals.
pub(super) async fn page(
    State(app): State<App>,
    visitor: Visitor,
    Asked(wish): Asked<Wish>,
) -> Page {
    let done = wish.done.as_deref().and_then(|done| match done {
        "asked" => Some("You have asked. An approver must decide before you see anything."),
        "granted" => Some("It is granted. Whoever asked sees the numbers from now on, for as long as they asked for."),
        "refused" => Some("It is refused."),
        "reviewed" => Some("Your review is on record."),
        _ => None,
    });
    let new = New { id: wish.conversation.unwrap_or_default(), ..New::default() };
    let mut page = list(&app, &visitor, new).await?;
    page.frame = page.frame.saying(done);
    Ok(page::show(&page))
}

async fn list(app: &App, visitor: &Visitor, new: New) -> sqlx::Result<Reveals> {
    let mut conn = app.db.acquire().await?;
    let mut listed = store::list(&mut conn).await?;
    let is_approver = visitor.role() == Role::Approver;
    // Whoever asks sees their own only.
    listed.retain(|reveal| is_approver || reveal.request.asker == visitor.id());
    Ok(Reveals {
        frame: Frame::new(visitor, "Reveals", "/reveals"),
        listed,
        own: visitor.id(),
        may_ask: visitor.role() == Role::Auditor,
        may_approve: is_approver,
        now: database::time(&mut conn, &app.clock).await?,
        problem: None,
        new,
    })
}

/// The list once more, with what is wrong and what was written.
async fn again(app: &App, visitor: &Visitor, problem: &str, new: New) -> Page {
    let mut page = list(app, visitor, new).await?;
    page.problem = Some(problem.to_owned());
    Ok(page::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Asks for a reveal, or breaks the glass.
pub(super) async fn ask(State(app): State<App>, visitor: Visitor, Sent(new): Sent<New>) -> Page {
    let wanted = match read(&new) {
        Ok(wanted) => wanted,
        Err(problem) => return again(&app, &visitor, &problem, new).await,
    };
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let lapses_at = request::after(now, app.settings.console.request_lifetime);
    let id = match store::ask(&mut tx, &wanted, visitor.id(), now, lapses_at).await {
        Ok(id) => id,
        Err(error)
            if error.as_database_error().is_some_and(DatabaseError::is_foreign_key_violation) =>
        {
            let problem = "There is no such person or conversation: give the whole id.";
            return again(&app, &visitor, problem, new).await;
        }
        Err(error) => return Err(error.into()),
    };
    let Ask { reason, matter, minutes, breaks_glass, .. } = &wanted;
    let (rule, done) = if *breaks_glass {
        ("reveal_break_glass", "opened without approval")
    } else {
        ("reveal_ask", "asked for")
    };
    let said = format!("reveal {id} {done} for {minutes} minutes, {matter}: {reason}");
    audit::record(&mut tx, &[about(visitor.record(rule, &said), wanted.whose)], now).await?;
    tx.commit().await?;
    if *breaks_glass {
        metrics::counter!("maskline_console_glass_broken_total").increment(1);
        tracing::warn!(reveal = %id, "numbers were opened without approval: somebody must review that");
        return Ok(Redirect::to(&format!("/reveals/{id}")).into_response());
    }
    Ok(Redirect::to("/reveals?done=asked").into_response())
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
    let id: RevealId = id.parse().map_err(|_| Failed::Nothing)?;
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let reveal = store::find(&mut tx, id).await?.ok_or(Failed::Nothing)?;
    if let Err(problem) = reveal.request.judge(visitor.id(), now) {
        request::leave(tx, now).await?;
        return again(&app, &visitor, problem, New::default()).await;
    }
    if !store::decide(&mut tx, &reveal, visitor.id(), is_granted, now).await? {
        drop(tx);
        return again(&app, &visitor, DECIDED, New::default()).await;
    }
    let (rules, what) = (("reveal_grant", "reveal_refuse"), format!("reveal {id}"));
    let record = reveal.request.decided(&visitor, rules, what, is_granted, "");
    audit::record(&mut tx, &[about(record, reveal.whose)], now).await?;
    tx.commit().await?;
    let done = if is_granted { "granted" } else { "refused" };
    Ok(Redirect::to(&format!("/reveals?done={done}")).into_response())
}

/// What somebody found who reviewed.
#[derive(Deserialize)]
pub(super) struct Found {
    review: String,
}

/// Reviews that somebody else has broken the glass.
pub(super) async fn review(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    Sent(Found { review }): Sent<Found>,
) -> Page {
    let id: RevealId = id.parse().map_err(|_| Failed::Nothing)?;
    let found = match words::line(&review, "The review") {
        Ok(found) => found,
        Err(problem) => return again(&app, &visitor, &problem, New::default()).await,
    };
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let reveal = store::find(&mut tx, id).await?.ok_or(Failed::Nothing)?;
    if !store::review(&mut tx, id, visitor.id(), &found, now).await? {
        let problem = "There is nothing to review there for you.";
        return again(&app, &visitor, problem, New::default()).await;
    }
    let said = format!("reveal {id} of {} reviewed: {found}", reveal.request.asked_by);
    let record = about(visitor.record("reveal_review", &said), reveal.whose);
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    Ok(Redirect::to("/reveals?done=reviewed").into_response())
}

/// The numbers themselves.
#[derive(Template)]
#[template(path = "reveal.html")]
struct Numbers {
    frame: Frame,
    reveal: Reveal,
    /// Each person, and their number unless they were forgotten.
    shown: Vec<(PersonId, Option<PhoneNumber>)>,
    until: Option<Timestamp>,
    now: Timestamp,
}

/// Shows the numbers to whoever asked for them, while that is granted. Each is on record first.
pub(super) async fn show(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Page {
    let id: RevealId = id.parse().map_err(|_| Failed::Nothing)?;
    let mut conn = app.db.acquire().await?;
    let now = database::time(&mut conn, &app.clock).await?;
    let reveal =
        store::find(&mut conn, id).await?.filter(|found| found.request.asker == visitor.id());
    let reveal = reveal.ok_or(Failed::Nothing)?;
    let mut shown = Vec::new();
    let mut records = Vec::new();
    if reveal.request.is_open(now) {
        for person in store::people(&mut conn, reveal.whose).await? {
            shown.push((person, people::number(&mut conn, &app.pen.vault, person).await?));
            let said =
                format!("number of {person} shown under reveal {id}, {}", reveal.request.matter);
            let record = visitor.record("reveal_shown", &said);
            records.push(Record { person: Some(person), ..about(record, reveal.whose) });
        }
    }
    audit::record(&mut conn, &records, now).await?;
    let until = reveal.request.open_until.filter(|_| reveal.request.is_open(now));
    let frame = Frame::new(&visitor, "Numbers revealed", "/reveals");
    Ok(page::show(&Numbers { frame, reveal, shown, until, now }))
}

/// Puts on a record what it is about.
fn about(record: Record, whose: Whose) -> Record {
    match whose {
        Whose::Person(id) => Record { person: Some(id), ..record },
        Whose::Conversation(id) => Record { conversation: Some(id), ..record },
    }
}

/// Reads what stands in the form.
fn read(new: &New) -> Result<Ask, String> {
    let id: Uuid = new.id.trim().parse().map_err(|_| {
        "The id must be a whole one, such as 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94.".to_owned()
    })?;
    let whose = match new.whose.as_str() {
        "person" => Whose::Person(id.into()),
        "conversation" => Whose::Conversation(id.into()),
        _ => return Err("Say whether it is a person’s id or a conversation’s.".to_owned()),
    };
    let minutes: i32 = new.minutes.trim().parse().unwrap_or_default();
    if !(1..=60).contains(&minutes) {
        return Err("The minutes must be a whole number from 1 to 60.".to_owned());
    }
    Ok(Ask {
        whose,
        reason: words::line(&new.reason, "The reason")?,
        matter: words::line(&new.matter, "The case")?,
        minutes,
        breaks_glass: new.glass.is_some(),
    })
}

/// Whose numbers, in words.
fn of(whose: &Whose) -> String {
    match whose {
        Whose::Person(id) => format!("person {}", say::pseudonym(id)),
        Whose::Conversation(id) => format!("everybody in conversation {}", say::pseudonym(id)),
    }
}
