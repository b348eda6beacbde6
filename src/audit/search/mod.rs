//! Finding conversations in the trail: who, when, through which number, and with which words.
//!
//! What is found is a conversation, newest first. Records are read backwards in time, batch by batch,
//! until there are enough conversations. Words are opened only to look for a keyword in them, and never
//! leave from here. Who looks puts on record that they do, before they look.

mod batch;
mod cursor;
mod details;
mod filter;
mod words;

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::PgConnection;

use self::batch::Candidate;
pub use self::{
    cursor::Cursor,
    filter::{Filter, Query, Refusal, Standing},
};
use super::reader::Reader;
use crate::{
    ids::{ConversationId, PersonId},
    vault::Vault,
};

/// How many records are looked at first, and at most at once.
const BATCH: usize = 200;
const LARGEST: usize = 5_000;

/// A conversation that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Its id.
    pub conversation: ConversationId,
    /// When the first of its records that fit happened.
    pub first: Timestamp,
    /// When the last of them did.
    pub last: Timestamp,
    /// How many fit.
    pub records: u64,
    /// The masked numbers that stood between.
    pub masked_numbers: Vec<String>,
    /// Who takes or took part in it.
    pub people: Vec<PersonId>,
    /// Where it stands; none where it is not there any more.
    pub state: Option<String>,
    /// Pictures came along in it.
    pub has_media: bool,
    /// Words in it may have been an opt-out, or staff were called for it.
    pub is_flagged: bool,
    /// A legal hold covers something of it.
    pub is_held: bool,
    /// Where to go on behind it.
    pub cursor: Cursor,
}

/// Among which conversations is looked; among all where there are none.
type Among = Option<Vec<ConversationId>>;

/// Finds the next conversations, at most so many, newest first, and shows each as soon as it is found.
/// Where there may be more, returns where to go on.
///
/// Call it within a transaction, which changes nothing: only there PostgreSQL plans each search anew,
/// as each needs another index.
///
/// # Errors
/// The database's. Words that cannot be opened hold no keyword.
pub async fn find(
    conn: &mut PgConnection,
    vault: &Vault,
    query: &Query,
    limit: usize,
    mut show: impl FnMut(Found),
) -> sqlx::Result<Option<Cursor>> {
    sqlx::query!("select set_config('plan_cache_mode', 'force_custom_plan', true) as done")
        .fetch_one(&mut *conn)
        .await?;
    let among = among(conn, query).await?;
    let mut search = Search { query, among, reader: Reader::new(vault), seen: HashSet::new() };
    let (mut place, mut size, mut shown) = (query.start(), BATCH, 0);
    loop {
        let candidates = batch::next(conn, query, search.among.as_deref(), place, size).await?;
        let is_last = candidates.len() < size;
        place = candidates.last().map_or(place, |last| (last.at, last.id));
        size = (size * 2).min(LARGEST);
        let fresh = search.fresh(conn, candidates).await?;
        // With a keyword one by one: whoever waits sees the first at once.
        let step = if query.keyword.is_some() { 1 } else { limit.max(1) };
        for some in fresh.chunks(step) {
            for found in search.details(conn, some).await? {
                let cursor = found.cursor;
                show(found);
                shown += 1;
                if shown == limit {
                    return Ok(Some(cursor));
                }
            }
        }
        if is_last || search.is_through() {
            return Ok(None);
        }
    }
}

/// The conversations that the filter names.
async fn among(conn: &mut PgConnection, query: &Query) -> sqlx::Result<Among> {
    let filter = &query.filter;
    let named = filter.conversation;
    let Some(external) = &filter.external else { return Ok(named.map(|id| vec![id])) };
    let mut found = batch::of_text(conn, external).await?;
    found.retain(|id| named.is_none_or(|named| named == *id));
    Ok(Some(found))
}

/// A search that is under way.
struct Search<'a> {
    query: &'a Query,
    among: Among,
    reader: Reader<'a>,
    seen: HashSet<ConversationId>,
}

impl Search<'_> {
    /// The conversations of these candidates that fit and were not seen before, in their order.
    async fn fresh(
        &mut self,
        conn: &mut PgConnection,
        candidates: Vec<Candidate>,
    ) -> sqlx::Result<Vec<ConversationId>> {
        self.reader.meet(conn, candidates.iter().filter_map(|one| one.author)).await?;
        let mut fresh = Vec::new();
        for one in candidates {
            if one.is_wanted && !self.seen.contains(&one.conversation) && self.is_hit(&one) {
                self.seen.insert(one.conversation);
                fresh.push(one.conversation);
            }
        }
        Ok(fresh)
    }

    fn is_hit(&self, one: &Candidate) -> bool {
        let Some(keyword) = &self.query.keyword else { return true };
        let words = one.body.as_deref().map(|body| self.reader.words(one.author, one.id, body));
        words.is_some_and(|words| words.is_ok_and(|words| keyword.stands_in(&words)))
    }

    /// What is told of these conversations; not of those that stand on an earlier page.
    async fn details(
        &mut self,
        conn: &mut PgConnection,
        ids: &[ConversationId],
    ) -> sqlx::Result<Vec<Found>> {
        let found = details::of(conn, self.query, &mut self.reader, ids).await?;
        let earlier = self.query.before.map(Cursor::place);
        let is_new = |one: &Found| earlier.is_none_or(|earlier| one.cursor.place() < earlier);
        Ok(found.into_iter().filter(is_new).collect())
    }

    /// Whether everything was seen among which is looked.
    fn is_through(&self) -> bool {
        self.among.as_ref().is_some_and(|among| among.iter().all(|id| self.seen.contains(id)))
    }
}
