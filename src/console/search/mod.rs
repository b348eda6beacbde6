//! Search: one box, its fields as chips, and the conversations and the records of none that fit.
//!
//! What is asked for stands in the address, so that it can be kept and handed on; except numbers, for
//! which the person's id is put, and words, which are kept here under an id. Who looked for what, and
//! how much was found, is on record before it is shown.

mod address;
mod asked;
mod expression;
mod kept;
pub(super) mod saved;
mod told;

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use self::{address::PATH, expression::FIELDS, saved::Saved};
pub(super) use self::{
    address::{Chip, address, chips, typed},
    asked::{read, wanted},
    expression::Expression,
    told::in_words,
};
use super::{
    page::{self, Asked, Failed, Frame, Page, Sent},
    say,
    visitor::Visitor,
};
use crate::{
    app::App,
    audit::{
        self,
        search::{self, Cursor, Found},
    },
    ids::PersonId,
    people,
};

/// How many results are on a page.
const PAGE: usize = 25;

/// The page for searching.
#[derive(Template)]
#[template(path = "search.html")]
struct Search {
    frame: Frame,
    typed: String,
    chips: Vec<Chip>,
    /// Where what is found can be asked for as files.
    export: String,
    /// What it is saved by: its terms, and the id of its words.
    terms: String,
    words: String,
    /// What somebody saved; shown before anything is asked for.
    saved: Vec<Saved>,
    problem: Option<String>,
    /// Nobody has the number that was typed.
    is_nobody: bool,
    found: Option<Vec<Found>>,
    /// The last digits of people's numbers.
    digits: HashMap<PersonId, String>,
    next: Option<String>,
    is_first: bool,
    now: Timestamp,
}

impl Search {
    /// What a record that belongs to no conversation says, as a heading.
    fn happened(found: &Found) -> String {
        let words = found.kind.as_deref().unwrap_or_default().replace('_', " ");
        let mut rest = words.chars();
        let first = rest.next().map(|c| c.to_ascii_uppercase()).unwrap_or_default();
        let rule = found.rule.as_ref().map(|rule| format!(" ({rule})")).unwrap_or_default();
        format!("{first}{}{rule}", rest.as_str())
    }

    fn called(&self, person: &PersonId) -> String {
        let digits = self.digits.get(person).map_or("forgotten", String::as_str);
        format!("{} ({digits})", say::pseudonym(person))
    }

    /// How many were found, in words.
    fn count(&self) -> String {
        let more = if self.next.is_some() { ", and there may be more" } else { "" };
        let found = self.found.as_deref().unwrap_or_default();
        let records = found.iter().filter(|one| one.record.is_some()).count();
        let counted = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            many => format!("{many} {what}s"),
        };
        let conversations = counted(found.len() - records, "conversation");
        if records == 0 {
            return format!("{conversations}{more}");
        }
        format!("{conversations}, {} of none{more}", counted(records, "record"))
    }
}

/// What the address asks for.
#[derive(Default, Deserialize)]
pub(super) struct Wish {
    #[serde(default)]
    q: String,
    /// The id of the words.
    w: Option<String>,
    before: Option<String>,
    nobody: Option<String>,
    done: Option<String>,
}

/// What is typed into the box.
#[derive(Deserialize)]
pub(super) struct Typed {
    q: String,
}

/// Takes what was typed, and leads to an address that holds neither number nor words.
pub(super) async fn ask(
    State(app): State<App>,
    visitor: Visitor,
    Sent(typed): Sent<Typed>,
) -> Page {
    let q = typed.q.trim().to_owned();
    let read = q.parse::<Expression>().and_then(|read| Ok((read.typed_number()?, read)));
    let (number, mut read) = match read {
        Ok(read) => read,
        Err(problem) => return Ok(wrong(&visitor, &app, q, problem)),
    };
    if number.is_some() {
        read.set_person(Uuid::nil());
    }
    if let Err(problem) = read.filter() {
        return Ok(wrong(&visitor, &app, q, problem));
    }
    let now = app.clock.now();
    let mut conn = app.db.acquire().await?;
    if let Some(number) = number {
        // That somebody has this number, or nobody, is told by where this leads: so it is on record.
        let known = people::find(&mut conn, &app.pen.vault, &number).await?.map(|(id, _)| id);
        let said = match known {
            Some(id) => format!("looked person {id} up by their number"),
            None => "looked for a person by a number that nobody has".to_owned(),
        };
        audit::record(&mut conn, &[visitor.record("console_search", &said)], now).await?;
        let Some(id) = known else {
            return Ok(Redirect::to("/search?nobody=1").into_response());
        };
        read.set_person(id.uuid());
    }
    let words = match read.words.as_str() {
        "" => None,
        words => Some(kept::keep(&mut conn, &app.pen.vault, words, visitor.id(), now).await?),
    };
    Ok(Redirect::to(&address(PATH, &read.to_text(), words, None)).into_response())
}

/// Shows what fits.
pub(super) async fn page(
    State(app): State<App>,
    visitor: Visitor,
    Asked(wish): Asked<Wish>,
) -> Page {
    let now = app.clock.now();
    let (read, words) = match read(&app, &wish.q, wish.w.as_deref()).await? {
        Ok(read) => read,
        Err((problem, typed)) => return Ok(wrong(&visitor, &app, typed, problem)),
    };
    let blank = blank(&visitor, now);
    if read == Expression::default() {
        let saved = saved::list(&mut *app.db.acquire().await?, visitor.id()).await?;
        let frame = blank.frame.saying(wish.done.as_deref().and_then(|done| match done {
            "saved" => Some("The search is saved. It is yours alone."),
            "removed" => Some("The saved search is removed."),
            _ => None,
        }));
        let is_nobody = wish.nobody.is_some();
        return Ok(page::show(&Search { frame, saved, is_nobody, ..blank }));
    }
    let before: Option<Cursor> = wish.before.as_deref().and_then(|before| before.parse().ok());
    let typed = typed(&read);
    let (found, next) = match look(&app, &visitor, &read, before, now).await? {
        Ok(found) => found,
        Err(problem) => return Ok(wrong(&visitor, &app, typed, problem)),
    };
    let mut conn = app.db.acquire().await?;
    let digits = digits(&mut conn, &app, &found).await?;
    let terms = read.to_text();
    Ok(page::show(&Search {
        typed,
        chips: chips(&read, words),
        export: address("/exports/new", &terms, words, None),
        found: Some(found),
        digits,
        next: next.map(|next| address(PATH, &terms, words, Some(next))),
        terms,
        words: words.map(|words| words.to_string()).unwrap_or_default(),
        is_first: before.is_none(),
        ..blank
    }))
}

/// What a page of a search comes to, or why it cannot be done.
type Looked = Result<(Vec<Found>, Option<Cursor>), String>;

/// Looks, and puts on record who did, for what, and how much was found.
async fn look(
    app: &App,
    visitor: &Visitor,
    read: &Expression,
    before: Option<Cursor>,
    now: Timestamp,
) -> sqlx::Result<Looked> {
    let mut tx = app.db.begin().await?;
    let query = match wanted(&mut tx, read, before, now).await? {
        Ok(query) => query,
        Err(problem) => return Ok(Err(problem)),
    };
    let mut found = Vec::new();
    let next = search::find(&mut tx, &app.pen.vault, &query, PAGE, |one| found.push(one)).await?;
    let records = found.iter().filter(|one| one.record.is_some()).count();
    let conversations = found.len() - records;
    let told =
        format!("looked for {query}: {conversations} conversations, {records} records of none");
    audit::record(&mut tx, &[visitor.record("console_search", &told)], now).await?;
    tx.commit().await?;
    Ok(Ok((found, next)))
}

/// The last digits of the numbers of those who were found.
async fn digits(
    conn: &mut PgConnection,
    app: &App,
    found: &[Found],
) -> sqlx::Result<HashMap<PersonId, String>> {
    let mut digits = HashMap::new();
    for id in found.iter().flat_map(|one| one.people.iter().copied()) {
        if let std::collections::hash_map::Entry::Vacant(place) = digits.entry(id)
            && let Some(number) = people::number(conn, &app.pen.vault, id).await?
        {
            place.insert(number.hidden());
        }
    }
    Ok(digits)
}

/// The page before anything is asked for.
fn blank(visitor: &Visitor, now: Timestamp) -> Search {
    Search {
        frame: Frame::new(visitor, "Search", "/search"),
        typed: String::new(),
        chips: Vec::new(),
        export: String::new(),
        terms: String::new(),
        words: String::new(),
        saved: Vec::new(),
        problem: None,
        is_nobody: false,
        found: None,
        digits: HashMap::new(),
        next: None,
        is_first: true,
        now,
    }
}

/// The page with what is wrong and what was typed.
fn wrong(visitor: &Visitor, app: &App, typed: String, problem: String) -> Response {
    let page = Search { typed, problem: Some(problem), ..blank(visitor, app.clock.now()) };
    page::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page)
}
