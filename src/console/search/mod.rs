//! Search: one box, its fields as chips, and the conversations that fit.
//!
//! What is asked for stands in the address, so that it can be kept and handed on; except numbers, for
//! which the person's id is put, and words, which are kept here under an id. Who looked for what, and
//! how much was found, is on record before it is shown.

mod address;
mod expression;
mod kept;

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

use self::{
    address::{Chip, address, chips, typed},
    expression::{Expression, FIELDS},
};
use super::{
    page::{self, Asked, Frame, Page, Sent},
    say,
    visitor::Visitor,
};
use crate::{
    app::App,
    audit::{
        self,
        search::{self, Cursor, Found, Query, Refusal},
    },
    ids::{PersonId, SearchId},
    people, pool,
};

/// How many conversations are on a page.
const PAGE: usize = 25;

/// The page for searching.
#[derive(Template)]
#[template(path = "search.html")]
struct Search {
    frame: Frame,
    typed: String,
    chips: Vec<Chip>,
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
    fn called(&self, person: &PersonId) -> String {
        let digits = self.digits.get(person).map_or("forgotten", String::as_str);
        format!("{} ({digits})", say::pseudonym(person))
    }

    /// How many were found, in words.
    fn count(&self) -> String {
        let more = if self.next.is_some() { ", and there may be more" } else { "" };
        match self.found.as_ref().map_or(0, Vec::len) {
            1 => format!("1 conversation{more}"),
            many => format!("{many} conversations{more}"),
        }
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
    Ok(Redirect::to(&address(&read.to_text(), words, None)).into_response())
}

/// Shows what fits.
pub(super) async fn page(
    State(app): State<App>,
    visitor: Visitor,
    Asked(wish): Asked<Wish>,
) -> Page {
    let now = app.clock.now();
    let mut read = match wish.q.parse::<Expression>() {
        Ok(read) => read,
        Err(problem) => return Ok(wrong(&visitor, &app, wish.q, problem)),
    };
    if !matches!(read.typed_number(), Ok(None)) || !read.words.is_empty() {
        let problem = "Numbers and words do not go into an address. Type them into the box.";
        return Ok(wrong(&visitor, &app, String::new(), problem.to_owned()));
    }
    let words: Option<SearchId> = wish.w.as_deref().and_then(|id| id.parse().ok());
    if let Some(id) = words {
        let kept = kept::find(&mut *app.db.acquire().await?, &app.pen.vault, id).await?;
        let Some(kept) = kept else {
            let problem = "The words of this search are not kept any more. Type them once more.";
            return Ok(wrong(&visitor, &app, read.to_text(), problem.to_owned()));
        };
        read.words = kept;
    }
    let blank = blank(&visitor, now);
    if read == Expression::default() {
        return Ok(page::show(&Search { is_nobody: wish.nobody.is_some(), ..blank }));
    }
    let before: Option<Cursor> = wish.before.as_deref().and_then(|before| before.parse().ok());
    let typed = typed(&read);
    let (found, next) = match look(&app, &visitor, &read, before, now).await? {
        Ok(found) => found,
        Err(problem) => return Ok(wrong(&visitor, &app, typed, problem)),
    };
    let mut conn = app.db.acquire().await?;
    let digits = digits(&mut conn, &app, &found).await?;
    Ok(page::show(&Search {
        typed,
        chips: chips(&read, words),
        found: Some(found),
        digits,
        next: next.map(|next| address(&read.to_text(), words, Some(next))),
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
    let filter = match read.filter() {
        Ok(filter) => filter,
        Err(problem) => return Ok(Err(problem)),
    };
    let mut tx = app.db.begin().await?;
    if let Some(number) = &filter.masked_number
        && pool::find(&mut tx, number).await?.is_none()
    {
        return Ok(Err(
            "number: is none of your masked numbers. For a person’s write person:.".into()
        ));
    }
    let keyword = Some(read.words.as_str()).filter(|words| !words.is_empty());
    let query = match Query::new(filter, keyword, before, now) {
        Ok(query) => query,
        Err(refusal) => return Ok(Err(said(refusal).to_owned())),
    };
    let mut found = Vec::new();
    let next = search::find(&mut tx, &app.pen.vault, &query, PAGE, |one| found.push(one)).await?;
    let told = format!("looked for {query}: {} conversations", found.len());
    audit::record(&mut tx, &[visitor.record("console_search", &told)], now).await?;
    tx.commit().await?;
    Ok(Ok((found, next)))
}

fn said(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Unbounded => {
            "Words are encrypted, and each text is opened to look for them: say where to look. Add person:, conversation: or text:, or from: and until: no more than 31 days apart."
        }
        Refusal::EmptyKeyword => "The words hold nothing to look for.",
        Refusal::NoTime => "until: must be later than from:, and from: must not be in the future.",
        Refusal::NoKind => {
            "No record of that kind: is of a text that goes that way: inbound are received and refused, outbound relayed and answered."
        }
    }
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
