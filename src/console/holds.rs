//! Legal holds: placed by one, and released by two, each with an account of their own.

use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect},
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Deserialize;
use sqlx::error::DatabaseError;

use super::{
    page::{self, Asked, Failed, Frame, Page, Sent},
    say,
    staff::Role,
    visitor::Visitor,
    words,
};
use crate::{
    app::App,
    audit::{
        self, Record,
        holds::{self, Hold, Refusal, Scope},
        reach::{Reach, reach},
    },
    ids::HoldId,
    phone::PhoneNumber,
    pool,
};

/// The list of holds, and the form for a new one.
#[derive(Template)]
#[template(path = "holds.html")]
struct Holds {
    frame: Frame,
    /// Each, and whether whoever looks asks for its release: nobody approves what they asked for.
    in_force: Vec<(Hold, bool)>,
    released: Vec<Hold>,
    all: bool,
    may_approve: bool,
    problem: Option<String>,
    /// What the hold in the form would cover.
    would_cover: Option<Reach>,
    new: New,
}

/// What the list is asked for, and what stands in the form already.
#[derive(Deserialize)]
pub(super) struct Wish {
    all: Option<String>,
    done: Option<String>,
    conversation: Option<String>,
    person: Option<String>,
}

/// A hold as it stands in the form.
#[derive(Default, Deserialize)]
pub(super) struct New {
    matter: String,
    #[serde(default)]
    conversation: String,
    #[serde(default)]
    person: String,
    #[serde(default)]
    number: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    until: String,
    #[serde(default)]
    everything: Option<String>,
    /// Only what it would cover is asked for.
    #[serde(default)]
    preview: Option<String>,
}

/// Shows the holds.
pub(super) async fn page(
    State(app): State<App>,
    visitor: Visitor,
    Asked(wish): Asked<Wish>,
) -> Page {
    let done = wish.done.as_deref().and_then(|done| match done {
        "placed" => Some("The hold is in force."),
        "asked" => Some(
            "You have asked for the release. The hold stays in force until somebody else approves.",
        ),
        "released" => Some("The hold is released."),
        _ => None,
    });
    let new = New {
        conversation: wish.conversation.unwrap_or_default(),
        person: wish.person.unwrap_or_default(),
        ..New::default()
    };
    let listed = list(&app, &visitor, wish.all.is_some()).await?;
    let frame = Frame::new(&visitor, "Legal holds", "/holds").saying(done);
    Ok(page::show(&Holds { frame, new, ..listed }))
}

async fn list(app: &App, visitor: &Visitor, all: bool) -> sqlx::Result<Holds> {
    let listed = holds::list(&mut *app.db.acquire().await?, all).await?;
    let (in_force, released): (Vec<_>, _) =
        listed.into_iter().partition(|hold| hold.released_at.is_none());
    let own = |hold: Hold| {
        let is_own = hold.is_asked_by(visitor.by());
        (hold, is_own)
    };
    Ok(Holds {
        frame: Frame::new(visitor, "Legal holds", "/holds"),
        in_force: in_force.into_iter().map(own).collect(),
        released,
        all,
        may_approve: visitor.role() == Role::Approver,
        problem: None,
        would_cover: None,
        new: New::default(),
    })
}

/// Places a hold.
pub(super) async fn place(State(app): State<App>, visitor: Visitor, Sent(new): Sent<New>) -> Page {
    let (matter, scope) = match read(&new) {
        Ok(read) => read,
        Err(problem) => return again(&app, &visitor, problem, new).await,
    };
    let now = app.clock.now();
    let number: Option<PhoneNumber> = scope.masked_number.as_ref().and_then(|n| n.parse().ok());
    let mut tx = app.db.begin().await?;
    if let Some(number) = &number
        && pool::find(&mut tx, number).await?.is_none()
    {
        let problem = "That is none of your masked numbers. For a person give their id.";
        return again(&app, &visitor, problem.to_owned(), new).await;
    }
    let about = |rule, said: &str| Record {
        person: scope.person,
        conversation: scope.conversation,
        masked_number: number.clone(),
        ..visitor.record(rule, said)
    };
    if new.preview.is_some() {
        let said = format!("asked what a hold for {matter} would cover");
        let would_cover = Some(reach(&mut tx, &scope).await?);
        audit::record(&mut tx, &[about("holds_preview", &said)], now).await?;
        tx.commit().await?;
        let listed = list(&app, &visitor, false).await?;
        return Ok(page::show(&Holds { would_cover, new, ..listed }));
    }
    let id = match holds::place(&mut tx, &matter, &scope, visitor.name(), now).await {
        Ok(id) => id,
        Err(error)
            if error.as_database_error().is_some_and(DatabaseError::is_foreign_key_violation) =>
        {
            let problem = "There is no such person or conversation: give whole ids.";
            return again(&app, &visitor, problem.to_owned(), new).await;
        }
        Err(error) => return Err(error.into()),
    };
    let record = about("holds_add", &format!("hold {id} for {matter}"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    Ok(Redirect::to("/holds?done=placed").into_response())
}

/// Why a release is asked for.
#[derive(Deserialize)]
pub(super) struct Why {
    reason: String,
}

/// Asks for the release of a hold.
pub(super) async fn ask(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    Sent(Why { reason }): Sent<Why>,
) -> Page {
    let id: HoldId = id.parse().map_err(|_| Failed::Nothing)?;
    let reason = match words::line(&reason, "The reason") {
        Ok(reason) => reason,
        Err(problem) => return again(&app, &visitor, problem, New::default()).await,
    };
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if let Err(refusal) = holds::ask_release(&mut tx, id, &reason, visitor.by(), now).await? {
        return again(&app, &visitor, said(refusal).to_owned(), New::default()).await;
    }
    let record =
        visitor.record("holds_release", &format!("release of hold {id} asked for: {reason}"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    Ok(Redirect::to("/holds?done=asked").into_response())
}

/// Approves a release that somebody else has asked for.
pub(super) async fn approve(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Page {
    let id: HoldId = id.parse().map_err(|_| Failed::Nothing)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let matter = match holds::approve_release(&mut tx, id, visitor.by(), now).await? {
        Ok(matter) => matter,
        Err(refusal) => {
            return again(&app, &visitor, said(refusal).to_owned(), New::default()).await;
        }
    };
    let record = visitor.record("holds_approve", &format!("hold {id} for {matter} released"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    Ok(Redirect::to("/holds?done=released").into_response())
}

fn said(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Gone => "There is no such hold in force any more.",
        Refusal::NotAsked => "Nobody has asked for the release of this hold.",
        Refusal::SamePerson => {
            "A release takes two people: somebody other than who asked for it must approve it."
        }
    }
}

/// The list once more, with what is wrong and what was written.
async fn again(app: &App, visitor: &Visitor, problem: String, new: New) -> Page {
    let listed = list(app, visitor, false).await?;
    let page = Holds { problem: Some(problem), new, ..listed };
    Ok(page::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Reads what stands in the form.
fn read(new: &New) -> Result<(String, Scope), String> {
    let matter = words::line(&new.matter, "The matter")?;
    let id = |text: &str, what: &str| match text.trim() {
        "" => Ok(None),
        text => text.parse::<uuid::Uuid>().map(Some).map_err(|_| {
            format!("{what} must be a whole id, such as 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94.")
        }),
    };
    let day = |text: &str, what: &str| match text.trim() {
        "" => Ok(None),
        text => {
            read_day(text).map(Some).ok_or(format!("{what} must be a day, such as 2026-03-01."))
        }
    };
    let number = match new.number.trim() {
        "" => None,
        text => Some(PhoneNumber::typed(text).map_err(|_| {
            "The masked number must be written out, such as +14155550100.".to_owned()
        })?),
    };
    let scope = Scope {
        conversation: id(&new.conversation, "The conversation")?.map(Into::into),
        person: id(&new.person, "The person")?.map(Into::into),
        masked_number: number.map(|number| number.as_str().to_owned()),
        from: day(&new.from, "The first day")?,
        until: day(&new.until, "The day after the last")?,
    };
    if scope.from.zip(scope.until).is_some_and(|(from, until)| from >= until) {
        return Err("The day after the last must be later than the first day.".into());
    }
    let is_all = scope.conversation.is_none()
        && scope.person.is_none()
        && scope.masked_number.is_none()
        && scope.from.is_none()
        && scope.until.is_none();
    match (is_all, new.everything.is_some()) {
        (true, false) => Err("Say what the hold covers, or that it covers everything.".into()),
        (false, true) => Err("A hold on everything can be narrowed down by nothing else.".into()),
        _ => Ok((matter, scope)),
    }
}

/// The beginning of a day in UTC.
fn read_day(text: &str) -> Option<Timestamp> {
    let day: Date = text.parse().ok()?;
    day.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp())
}

/// What a hold covers, in words.
fn covers(hold: &Hold) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let parts = [
        hold.person.map(|id| format!("person {}", say::pseudonym(id))),
        hold.conversation.map(|id| format!("conversation {}", say::pseudonym(id))),
        hold.masked_number.as_ref().map(|number| format!("masked number {number}")),
        hold.from.map(|at| format!("from {}", day(at))),
        hold.until.map(|at| format!("before {}", day(at))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_says_what_it_covers() {
        let new = |matter: &str, from: &str, until: &str, everything: bool| New {
            matter: matter.to_owned(),
            from: from.to_owned(),
            until: until.to_owned(),
            everything: everything.then(|| "on".to_owned()),
            ..New::default()
        };
        assert!(read(&new("case 7", "2026-03-01", "2026-04-01", false)).is_ok());
        assert!(read(&new("case 7", "", "", true)).is_ok());
        for (wrong, says) in [
            (new("", "2026-03-01", "", false), "The matter"),
            (new("case 206-555-0142", "2026-03-01", "", false), "The matter"),
            (new("case 7", "", "", false), "Say what"),
            (new("case 7", "2026-03-01", "", true), "narrowed"),
            (new("case 7", "yesterday", "", false), "The first day"),
            (new("case 7", "2026-03-01", "2026-03-01", false), "later"),
            (New { person: "x".into(), ..new("case 7", "", "", false) }, "The person"),
            (New { number: "5550100".into(), ..new("case 7", "", "", false) }, "The masked number"),
        ] {
            assert!(read(&wrong).unwrap_err().contains(says), "{says}");
        }
    }
}
