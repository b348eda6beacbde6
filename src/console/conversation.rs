//! A conversation, read by an auditor, page by page. That it was read is on record before it is shown.

use std::collections::{BTreeMap, HashSet};

use askama::Template;
use axum::extract::{Path, State};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    leaf::{Leaf, Place},
    page::{self, Asked, Failed, Frame, Page},
    say,
    transcript::{self, Day, Key, What, Words},
    visitor::Visitor,
};
use crate::{
    app::App,
    audit::{
        self,
        holds::{self, Hold},
        show::{self, Gap, Line},
    },
    ids::{PersonId, RecordId},
    people,
    vault::Vault,
};

/// How many turns stand on a page.
const PAGE: usize = 200;

/// A transcript.
#[derive(Template)]
#[template(path = "conversation.html")]
struct Conversation {
    frame: Frame,
    id: Uuid,
    /// Or else what a task is about.
    is_whole: bool,
    /// Who is in it, in the order in which they came.
    people: Vec<Party>,
    numbers: Vec<String>,
    gaps: Vec<Gap>,
    days: Vec<Day>,
    /// How many records there are, and how many of them are on this page.
    records: usize,
    shown: usize,
    leaf: Leaf,
    holds: Vec<Hold>,
    read_at: String,
}

/// Somebody in a conversation: a pseudonym, and the last two digits of their number.
#[derive(Clone)]
struct Party {
    id: PersonId,
    pseudonym: String,
    digits: Option<String>,
    /// Which of them: 1 or 2, and more where somebody changed phones.
    seat: usize,
}

impl Conversation {
    /// Where its first page is.
    fn base(&self) -> String {
        format!("/conversations/{}", self.id)
    }

    /// How somebody is called in the transcript.
    fn called(&self, who: Option<&PersonId>) -> String {
        let found = who.and_then(|who| self.people.iter().find(|party| party.id == *who));
        found.map_or_else(|| "Maskline".to_owned(), Party::called)
    }

    /// On which side somebody stands.
    fn side(&self, who: Option<&PersonId>) -> &'static str {
        let found = who.and_then(|who| self.people.iter().find(|party| party.id == *who));
        match found.map(|party| party.seat) {
            Some(1) => "one",
            Some(_) => "two",
            None => "nobody",
        }
    }
}

impl Party {
    fn called(&self) -> String {
        let digits = self.digits.as_deref().unwrap_or("forgotten");
        format!("{} ({digits})", self.pseudonym)
    }
}

/// Which page is asked for.
#[derive(Deserialize)]
pub(super) struct Wish {
    from: Option<String>,
}

/// The turns of a page, and the records that belong to them.
fn leaf(outline: &[Line], from: Option<Place>) -> (Leaf, Vec<RecordId>) {
    let heads = transcript::heads(&outline.iter().map(Key::from).collect::<Vec<_>>());
    let place = |at: usize| Place { at: outline[at].at, id: outline[at].id.uuid() };
    let begun: Vec<usize> =
        heads.iter().enumerate().filter(|(at, head)| at == *head).map(|(at, _)| at).collect();
    let places: Vec<Place> = begun.iter().map(|at| place(*at)).collect();
    let leaf = Leaf::of(&places, from, PAGE);
    let shown: HashSet<usize> = begun[leaf.range.clone()].iter().copied().collect();
    let belongs = outline.iter().zip(heads).filter(|(_, head)| shown.contains(head));
    (leaf, belongs.map(|(line, _)| line.id).collect())
}

/// Shows the transcript of a conversation, or of what a task is about.
pub(super) async fn page(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    Asked(wish): Asked<Wish>,
) -> Page {
    let id: Uuid = id.parse().map_err(|_| Failed::Nothing)?;
    let now = app.clock.now();
    let mut conn = app.db.acquire().await?;
    let gaps = show::gaps(&mut conn, id).await?;
    let outline = show::outline(&mut conn, id).await?;
    if outline.is_empty() && gaps.is_empty() {
        return Err(Failed::Nothing);
    }
    let is_conversation = show::is_conversation(&mut conn, id).await?;
    let people = parties(&mut conn, &app.pen.vault, &outline).await?;
    let holds = holds::list(&mut conn, false).await?;
    let (leaf, on_it) = leaf(&outline, wish.from.as_deref().and_then(|from| from.parse().ok()));
    let all = outline.len();
    let part = if leaf.is_part() { format!("{} of ", on_it.len()) } else { String::new() };
    let read = format!("words of {id} were read, {part}{all} records");
    audit::record(&mut conn, &[visitor.record("console_transcript", &read)], now).await?;
    let mut numbers: Vec<String> =
        outline.iter().filter_map(|record| record.masked_number.clone()).collect();
    numbers.sort();
    numbers.dedup();
    let holds = holds.into_iter().filter(|hold| touches(hold, id, &people, &numbers)).collect();
    let records = show::some(&mut conn, &app.pen.vault, id, &on_it).await?;
    let kind = if is_conversation { "Conversation" } else { "Task" };
    let title = format!("{kind} {}", say::pseudonym(id));
    Ok(page::show(&Conversation {
        frame: Frame::new(&visitor, title, ""),
        is_whole: is_conversation,
        id,
        people,
        numbers,
        gaps,
        days: transcript::days(&records),
        records: all,
        shown: records.len(),
        leaf,
        holds,
        read_at: say::moment(&now),
    }))
}

/// Who stands in these records, by their pseudonyms and the last two digits of their numbers.
async fn parties(
    conn: &mut PgConnection,
    vault: &Vault,
    records: &[Line],
) -> sqlx::Result<Vec<Party>> {
    let mut order: BTreeMap<PersonId, usize> = BTreeMap::new();
    for id in records.iter().flat_map(|record| [record.person, record.recipient]).flatten() {
        let next = order.len() + 1;
        order.entry(id).or_insert(next);
    }
    let mut parties = Vec::new();
    for (id, seat) in order {
        let number = people::number(conn, vault, id).await?;
        let digits = number.map(|number| number.hidden());
        parties.push(Party { id, pseudonym: say::pseudonym(id), digits, seat });
    }
    parties.sort_by_key(|party| party.seat);
    Ok(parties)
}

/// Whether a hold covers something of this conversation.
fn touches(hold: &Hold, id: Uuid, people: &[Party], numbers: &[String]) -> bool {
    hold.conversation.is_none_or(|held| held.uuid() == id)
        && hold.person.is_none_or(|held| people.iter().any(|party| party.id == held))
        && hold.masked_number.as_ref().is_none_or(|held| numbers.contains(held))
}
