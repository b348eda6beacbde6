//! Finding what is in the trail: who, when, through which number, and with which words.
//!
//! What is found is a conversation, or a record that belongs to none, newest first. Records are read
//! backwards in time, batch by batch, until enough is found. Words are opened only to look for a keyword in them, and never
//! leave from here. Who looks puts on record that they do, before they look.

mod alone;
mod batch;
mod cursor;
mod details;
mod few;
mod filter;
mod words;

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::PgConnection;

pub(super) use self::alone::{Alone, Shelf, with_fates};
use self::{
    batch::Candidate,
    few::{Among, Few},
};
pub use self::{
    cursor::Cursor,
    filter::{Filter, Query, Refusal, Standing},
};
use super::{pace::Pace, reader::Reader};
use crate::{
    ids::{ConversationId, PersonId, RecordId},
    vault::Vault,
};

/// How many records are looked at first, and at most at once.
const BATCH: u32 = 200;
const LARGEST: u32 = 5_000;

/// A conversation that was found, or a record that belongs to none.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Its id; none of a record that belongs to none.
    pub conversation: Option<ConversationId>,
    /// The id of such a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordId>,
    /// What it says that happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The rule that fired, or the answer that was given, or what staff did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
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
    /// Where it stands; none of a record, and where the conversation is not there any more.
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

/// What fits, before more is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hit {
    Conversation(ConversationId),
    Alone(Alone),
}

/// Finds the next conversations and records of none, at most so many, newest first, and shows each as soon as it is found.
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
    plan_anew(conn).await?;
    let mut pace = Pace::begin(conn).await?;
    let mut search = Search::new(conn, vault, query).await?;
    let mut shown = 0;
    while let Some(fresh) = search.next(conn, &pace).await? {
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
        pace.rest(conn).await?;
    }
    Ok(None)
}

/// All that fits: the conversations in the order of their ids, and the records that belong to none in
/// that of the trail, the newest in front. Call it as [`find`].
pub(super) async fn all(
    conn: &mut PgConnection,
    vault: &Vault,
    query: &Query,
) -> sqlx::Result<(Vec<ConversationId>, Vec<Alone>)> {
    some(conn, vault, query, usize::MAX).await
}

/// The same, or so many of them where that is enough. There may be some more.
pub(super) async fn some(
    conn: &mut PgConnection,
    vault: &Vault,
    query: &Query,
    enough: usize,
) -> sqlx::Result<(Vec<ConversationId>, Vec<Alone>)> {
    plan_anew(conn).await?;
    let mut pace = Pace::begin(conn).await?;
    let mut search = Search::new(conn, vault, query).await?;
    let mut all = Vec::new();
    while search.seen.len() + all.len() < enough
        && let Some(fresh) = search.next(conn, &pace).await?
    {
        all.extend(fresh.into_iter().filter_map(|hit| match hit {
            Hit::Alone(one) => Some(one),
            Hit::Conversation(_) => None,
        }));
        pace.rest(conn).await?;
    }
    let mut ids: Vec<ConversationId> = search.seen.into_iter().collect();
    ids.sort_unstable();
    Ok((ids, all))
}

/// Until the end of the transaction PostgreSQL plans each statement anew, takes one core for it, and
/// compiles nothing: for a batch that takes longer than reading it.
async fn plan_anew(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "select set_config('plan_cache_mode', 'force_custom_plan', true) as a,
             set_config('max_parallel_workers_per_gather', '0', true) as b,
             set_config('jit', 'off', true) as c"
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// What the filter names, or among what those that fit must be.
async fn among(conn: &mut PgConnection, query: &Query) -> sqlx::Result<Among> {
    let filter = &query.filter;
    let named = filter.conversation;
    let Some(external) = &filter.external else {
        return match named {
            Some(id) => Ok(Some(Few::one(id))),
            None if filter.person.is_some() => Ok(None),
            None => few::among(conn, query).await,
        };
    };
    let mut found = batch::of_text(conn, external).await?;
    if let Some(named) = named {
        found.conversations.retain(|id| named == *id);
        found.alone.clear();
    }
    Ok(Some(found))
}

/// A search that is under way.
struct Search<'a> {
    query: &'a Query,
    among: Among,
    reader: Reader<'a>,
    seen: HashSet<ConversationId>,
    place: (Timestamp, RecordId),
    size: u32,
    is_over: bool,
}

impl<'a> Search<'a> {
    async fn new(
        conn: &mut PgConnection,
        vault: &'a Vault,
        query: &'a Query,
    ) -> sqlx::Result<Self> {
        Ok(Self {
            query,
            among: among(conn, query).await?,
            reader: Reader::new(vault),
            seen: HashSet::new(),
            place: query.start(),
            size: BATCH,
            is_over: false,
        })
    }

    /// Looks at the next records: what fits; none where there is no record left.
    async fn next(
        &mut self,
        conn: &mut PgConnection,
        pace: &Pace,
    ) -> sqlx::Result<Option<Vec<Hit>>> {
        if self.is_over {
            return Ok(None);
        }
        if let Some(few) = &mut self.among {
            few.conversations.retain(|id| !self.seen.contains(id));
        }
        // The first is small already.
        let size = if self.size > BATCH { pace.batch(self.size) } else { self.size };
        let candidates =
            batch::next(conn, self.query, self.among.as_ref(), self.place, size).await?;
        let is_last = candidates.len() < size as usize;
        self.place = candidates.last().map_or(self.place, |last| (last.at.to_jiff(), last.id));
        self.size = (self.size * 2).min(LARGEST);
        let fresh = self.fresh(conn, candidates).await?;
        self.is_over = is_last || self.is_through();
        Ok(Some(fresh))
    }

    /// What fits of these candidates and was not seen before, in their order.
    async fn fresh(
        &mut self,
        conn: &mut PgConnection,
        candidates: Vec<Candidate>,
    ) -> sqlx::Result<Vec<Hit>> {
        self.reader.meet(conn, candidates.iter().filter_map(|one| one.author)).await?;
        let mut fresh = Vec::new();
        for one in candidates {
            let is_seen = one.conversation.is_some_and(|id| self.seen.contains(&id));
            if !one.is_wanted || is_seen || !self.is_hit(&one) {
                continue;
            }
            fresh.push(match one.conversation {
                Some(id) => {
                    self.seen.insert(id);
                    Hit::Conversation(id)
                }
                None => Hit::Alone(Alone::of(&one)),
            });
        }
        Ok(fresh)
    }

    fn is_hit(&self, one: &Candidate) -> bool {
        let Some(keyword) = &self.query.keyword else { return true };
        if alone::is_deed(one) {
            return false;
        }
        let words = one.body.as_deref().map(|body| self.reader.words(one.author, one.id, body));
        words.is_some_and(|words| words.is_ok_and(|words| keyword.stands_in(&words)))
    }

    /// What is told of these, the newest in front; not of what stands on an earlier page.
    async fn details(&mut self, conn: &mut PgConnection, hits: &[Hit]) -> sqlx::Result<Vec<Found>> {
        let (mut ids, mut places) = (Vec::new(), Vec::new());
        for hit in hits {
            match hit {
                Hit::Conversation(id) => ids.push(*id),
                Hit::Alone(one) => places.push((one.at, one.id)),
            }
        }
        let mut found = Vec::new();
        if !ids.is_empty() {
            found = details::of(conn, self.query, &mut self.reader, &ids).await?;
        }
        if !places.is_empty() {
            found.extend(alone::of(conn, self.query, &places).await?);
        }
        let earlier = self.query.before.map(Cursor::place);
        found.retain(|one| earlier.is_none_or(|earlier| one.cursor.place() < earlier));
        found.sort_by_key(|one| std::cmp::Reverse(one.cursor.place()));
        Ok(found)
    }

    /// Whether everything was seen among which is looked.
    fn is_through(&self) -> bool {
        let is_seen = |few: &Few| few.conversations.iter().all(|id| self.seen.contains(id));
        self.among.as_ref().is_some_and(|few| few.alone.is_empty() && is_seen(few))
    }
}
