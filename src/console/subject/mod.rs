//! What people ask for who are spoken of in here: a copy of all there is of them, or to be forgotten.
//! One account asks on their behalf and says why, another grants it, and both see what it touches.

mod decide;
mod save;
pub(super) mod store;

use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect},
};
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::PgConnection;

use self::store::{Ask, Kind, Wish};
pub(super) use self::{
    decide::{grant, refuse},
    save::save,
};
use super::{
    page::{self, Asked, Failed, Frame, Page, Sent},
    request, say,
    staff::Role,
    visitor::Visitor,
    words,
};
use crate::{
    app::App,
    audit::{self, Record, holds},
    database,
    ids::{PersonId, StaffId},
    people::{self, About},
    phone::PhoneNumber,
};

/// What people asked for, and the form for looking somebody up.
#[derive(Template)]
#[template(path = "subjects.html")]
struct Subjects {
    frame: Frame,
    listed: Vec<Wish>,
    may_ask: bool,
    problem: Option<&'static str>,
    now: Timestamp,
}

/// Shows what people asked for.
pub(super) async fn page(State(app): State<App>, visitor: Visitor) -> Page {
    Ok(page::show(&list(&app, &visitor).await?))
}

async fn list(app: &App, visitor: &Visitor) -> sqlx::Result<Subjects> {
    let mut conn = app.db.acquire().await?;
    Ok(Subjects {
        frame: Frame::new(visitor, "What people ask for", "/subjects"),
        listed: store::list(&mut conn).await?,
        may_ask: visitor.role() == Role::Auditor,
        problem: None,
        now: database::time(&mut conn, &app.clock).await?,
    })
}

/// Who is looked up.
#[derive(Deserialize)]
pub(super) struct Wanted {
    person: String,
}

/// Looks somebody up, by their number or their id, and leads to an address that holds no number.
pub(super) async fn find(
    State(app): State<App>,
    visitor: Visitor,
    Sent(wanted): Sent<Wanted>,
) -> Page {
    let text = wanted.person.trim();
    if let Ok(id) = text.parse::<PersonId>() {
        return Ok(Redirect::to(&format!("/subjects/{id}")).into_response());
    }
    let not_found = async |problem| {
        let page = Subjects { problem: Some(problem), ..list(&app, &visitor).await? };
        Ok(page::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
    };
    let Ok(number) = PhoneNumber::typed(text) else {
        return not_found(
            "Give a number that is written out, such as +12065550142, or a whole id.",
        )
        .await;
    };
    let mut conn = app.db.acquire().await?;
    let known = people::find(&mut conn, &app.pen.vault, &number).await?.map(|(id, _)| id);
    let said = match known {
        Some(id) => format!("looked person {id} up by their number"),
        None => "looked for a person by a number that nobody has".to_owned(),
    };
    audit::record(&mut conn, &[visitor.record("subject_find", &said)], app.clock.now()).await?;
    drop(conn);
    match known {
        Some(id) => Ok(Redirect::to(&format!("/subjects/{id}")).into_response()),
        None => not_found("Nobody with this number is known: there is nothing of them here.").await,
    }
}

/// One person: what there is of them, and what can be done.
#[derive(Template)]
#[template(path = "subject.html")]
struct Subject {
    frame: Frame,
    person: PersonId,
    about: About,
    /// The matters of holds that keep what there is of them.
    held: Vec<String>,
    wishes: Vec<Wish>,
    own: StaffId,
    may_ask: bool,
    may_decide: bool,
    now: Timestamp,
    problem: Option<String>,
    new: New,
}

impl Subject {
    /// Whether the same is waiting already.
    fn waits(&self, kind: &str) -> bool {
        let same = |wish: &Wish| wish.kind.as_str() == kind && wish.request.waits(self.now);
        self.wishes.iter().any(same)
    }
}

/// What is asked for, in the form.
#[derive(Default, Deserialize)]
pub(super) struct New {
    kind: String,
    reason: String,
    matter: String,
}

/// What was just done.
#[derive(Deserialize)]
pub(super) struct Done {
    done: Option<String>,
}

/// Shows what there is of a person. That somebody looked is on record first.
pub(super) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    Asked(Done { done }): Asked<Done>,
) -> Page {
    let person: PersonId = id.parse().map_err(|_| Failed::Nothing)?;
    let mut conn = app.db.acquire().await?;
    let mut page = look(&mut conn, &app, &visitor, person).await?;
    let record = visitor.record("subject_shown", "saw how much there is of a person");
    let record = Record { person: Some(person), ..record };
    audit::record(&mut conn, &[record], app.clock.now()).await?;
    page.frame = page.frame.saying(done.as_deref().and_then(|done| match done {
        "asked" => Some("You have asked. An approver must decide before anything happens."),
        "granted" => Some("It is granted: whoever asked can save it for an hour."),
        "refused" => Some("It is refused."),
        "erased" => Some("They are forgotten. Nobody can read what they wrote any more."),
        _ => None,
    }));
    Ok(page::show(&page))
}

async fn look(
    conn: &mut PgConnection,
    app: &App,
    visitor: &Visitor,
    person: PersonId,
) -> Result<Subject, Failed> {
    let about = people::about(conn, person).await?.ok_or(Failed::Nothing)?;
    let title = format!("Person {}", say::pseudonym(person));
    Ok(Subject {
        frame: Frame::new(visitor, title, "/subjects"),
        person,
        about,
        held: holds::on_person(conn, person).await?,
        wishes: store::about(conn, person).await?,
        own: visitor.id(),
        may_ask: visitor.role() == Role::Auditor,
        may_decide: visitor.role() == Role::Approver,
        now: database::time(conn, &app.clock).await?,
        problem: None,
        new: New::default(),
    })
}

/// The page once more, with what is wrong and what was written.
async fn again(app: &App, visitor: &Visitor, person: PersonId, problem: String, new: New) -> Page {
    let page = look(&mut *app.db.acquire().await?, app, visitor, person).await?;
    let page = Subject { problem: Some(problem), new, ..page };
    Ok(page::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Asks on a person's behalf.
pub(super) async fn ask(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    Sent(new): Sent<New>,
) -> Page {
    let person: PersonId = id.parse().map_err(|_| Failed::Nothing)?;
    let kind = Kind::read(&new.kind).ok_or(Failed::Nothing)?;
    let read = |text: &str, what: &str| words::line(text, what);
    let lines = read(&new.reason, "The reason")
        .and_then(|reason| Ok((reason, read(&new.matter, "The case")?)));
    let (reason, matter) = match lines {
        Ok(lines) => lines,
        Err(problem) => return again(&app, &visitor, person, problem, new).await,
    };
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    // What has lapsed is in nobody's way.
    request::lapse(&mut tx, now).await?;
    let lapses_at = request::after(now, app.settings.console.request_lifetime);
    let about = people::about(&mut tx, person).await?.ok_or(Failed::Nothing)?;
    let ask = Ask { person, kind, reason, matter };
    let asked = match about.erased_at {
        Some(_) => None,
        None => store::ask(&mut tx, &ask, visitor.id(), now, lapses_at).await?,
    };
    let Some(request) = asked else {
        drop(tx);
        let problem = "The same is asked for already, or they are forgotten.".to_owned();
        return again(&app, &visitor, person, problem, new).await;
    };
    let Ask { reason, matter, .. } = &ask;
    let said = format!("{} {request} asked for, {matter}: {reason}", kind.as_str());
    let record = visitor.record("subject_ask", &said);
    audit::record(&mut tx, &[Record { person: Some(person), ..record }], now).await?;
    tx.commit().await?;
    Ok(Redirect::to(&format!("/subjects/{person}?done=asked")).into_response())
}
