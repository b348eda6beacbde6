//! What is looked for in the trail.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{Cursor, words::Keyword};
use crate::{
    audit::{Direction, Kind},
    ids::{ConversationId, PersonId, RecordId},
    phone::{self, PhoneNumber},
};

/// Within how much time a keyword may be looked for where no person and no conversation is named.
const BOUND: SignedDuration = SignedDuration::from_hours(31 * 24);
/// The kinds that tell what the carrier reported. Their records name a text and no conversation.
pub(super) const RECEIPTS: [Kind; 3] = [Kind::Reported, Kind::Delivered, Kind::Failed];

/// What is asked of a conversation. It is found if one of its records fits all that is asked of a
/// record, and it fits itself.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of a record: this person wrote it, did it or was sent it.
    pub person: Option<PersonId>,
    /// This conversation.
    pub conversation: Option<ConversationId>,
    /// The conversation of the text with this id, the carrier's or Maskline's own.
    pub external: Option<String>,
    /// Of a record: it went through this masked number.
    pub masked_number: Option<PhoneNumber>,
    /// Of a record: it happened then or later.
    pub from: Option<Timestamp>,
    /// Of a record: it happened before.
    pub until: Option<Timestamp>,
    /// Of a record: it is a text that went this way.
    pub direction: Option<Direction>,
    /// Of a record: it is one of these kinds; of any where there is none.
    pub kinds: Vec<Kind>,
    /// Of a record: this rule fired, or this answer was given.
    pub rule: Option<String>,
    /// Of a record: pictures came along.
    pub with_media: bool,
    /// Of a record: a legal hold covers it.
    pub held: bool,
    /// Where the conversation stands.
    pub state: Option<Standing>,
    /// Words in it may have been an opt-out, or staff were called for it.
    pub flagged: bool,
}

/// Where a conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// One participant, and a code that waits for the other.
    Waiting,
    /// Two participants.
    Active,
    /// Over.
    Ended,
}

impl Standing {
    /// The word for it in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }
}

impl FromStr for Standing {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Waiting, Self::Active, Self::Ended];
        let found = all.into_iter().find(|standing| standing.as_str() == text);
        found.ok_or("must be waiting, active or ended")
    }
}

/// Why something cannot be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A keyword in everything.
    #[error(
        "words are encrypted, so each one is opened to look for a keyword in it: say where to look. Add --person, \
         --conversation or --external, or --from and --until no more than 31 days apart"
    )]
    Unbounded,
    /// A keyword with nothing in it.
    #[error("the keyword is empty: give at least one letter or digit")]
    EmptyKeyword,
    /// A time that ends before it begins.
    #[error("--until must be later than --from, and --from must not be in the future")]
    NoTime,
    /// Kinds that do not go that way.
    #[error(
        "no record of that --kind is of a text that goes that way: inbound are received and refused, outbound relayed \
         and answered"
    )]
    NoKind,
}

/// A filter that can be answered, and where to go on.
#[derive(Debug, Clone)]
pub struct Query {
    pub(super) filter: Filter,
    pub(super) keyword: Option<Keyword>,
    pub(super) before: Option<Cursor>,
    /// Before when; never none, so that what is added meanwhile moves nothing to another page.
    pub(super) until: Timestamp,
    /// The kinds that are asked for, as words; any where there is none.
    pub(super) kinds: Option<Vec<String>>,
    /// Those of them that the carrier's receipts tell. What promised a text stands for them.
    pub(super) receipts: Option<Vec<String>>,
    /// The kinds among whose records those are that fit.
    pub(super) looked_at: Option<Vec<String>>,
    /// How many records a checkpoint counts, where others are not looked at.
    pub(in crate::audit) covered: Option<i64>,
}

impl Query {
    /// Sees that a filter, with a keyword or without, can be answered.
    ///
    /// # Errors
    /// Why it cannot, and what to add.
    pub fn new(
        filter: Filter,
        keyword: Option<&str>,
        before: Option<Cursor>,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let newest = before.map_or(now, |cursor| cursor.until);
        let until = filter.until.map_or(newest, |until| until.min(newest));
        if filter.from.is_some_and(|from| from >= until) {
            return Err(Refusal::NoTime);
        }
        let keyword = keyword.map(Keyword::new);
        if keyword.as_ref().is_some_and(Keyword::is_empty) {
            return Err(Refusal::EmptyKeyword);
        }
        let is_bounded = filter.person.is_some()
            || filter.conversation.is_some()
            || filter.external.is_some()
            || filter.from.is_some_and(|from| until.duration_since(from) <= BOUND);
        if keyword.is_some() && !is_bounded {
            return Err(Refusal::Unbounded);
        }
        let kinds = kinds(&filter)?;
        let told: Vec<Kind> =
            kinds.iter().copied().filter(|kind| RECEIPTS.contains(kind)).collect();
        let promised = if told.is_empty() { &[][..] } else { Direction::Outbound.kinds() };
        Ok(Self {
            looked_at: words(&[&kinds, promised].concat()),
            receipts: words(&told),
            kinds: words(&kinds),
            filter,
            keyword,
            before,
            until,
            covered: None,
        })
    }

    /// The times that were asked for.
    pub(in crate::audit) fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.filter.from, self.filter.until)
    }

    /// The same, of the first records only: as many as a checkpoint counts.
    #[must_use]
    pub fn covered_by(self, size: i64) -> Self {
        Self { covered: Some(size), ..self }
    }

    /// Where the looking begins: nothing at that time or later is found.
    pub(super) fn start(&self) -> (Timestamp, RecordId) {
        let newest = (self.until, RecordId::from(Uuid::nil()));
        self.before.map_or(newest, |cursor| cursor.place().min(newest))
    }
}

/// The kinds that a filter asks for; none where it takes any.
fn kinds(filter: &Filter) -> Result<Vec<Kind>, Refusal> {
    let Some(way) = filter.direction else { return Ok(filter.kinds.clone()) };
    if filter.kinds.is_empty() {
        return Ok(way.kinds().to_vec());
    }
    let both = filter.kinds.iter().copied().filter(|kind| way.kinds().contains(kind));
    let both: Vec<Kind> = both.collect();
    if both.is_empty() { Err(Refusal::NoKind) } else { Ok(both) }
}

/// For whoever is handed what was found: all that was asked, so that it can be asked again.
impl From<&Query> for Json {
    fn from(query: &Query) -> Self {
        let filter = &query.filter;
        let all = json!({
            "person": filter.person,
            "conversation": filter.conversation,
            "external": filter.external,
            "masked_number": filter.masked_number,
            "from": filter.from,
            "before": filter.until,
            "kinds": query.kinds,
            "rule": filter.rule,
            "state": filter.state.map(Standing::as_str),
            "with_media": filter.with_media,
            "flagged": filter.flagged,
            "held": filter.held,
            "keyword": query.keyword.as_ref().map(Keyword::typed),
        });
        let Self::Object(all) = all else { return all };
        let is_set = |value: &Self| !value.is_null() && *value != json!(false);
        Self::Object(all.into_iter().filter(|(_, value)| is_set(value)).collect())
    }
}

/// Kinds as words; none where there are none.
fn words(kinds: &[Kind]) -> Option<Vec<String>> {
    let words: Vec<String> = kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
    Some(words).filter(|words| !words.is_empty())
}

/// For the record of who looked: ids, and of what was typed nothing that could be a number or a word
/// of somebody's.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filter = &self.filter;
        let parts = [
            filter.person.map(|id| format!("person {id}")),
            filter.conversation.map(|id| format!("conversation {id}")),
            filter.external.as_deref().map(told),
            filter
                .masked_number
                .as_ref()
                .map(|number| format!("masked number {}", number.as_str())),
            filter.from.map(|at| format!("from {at}")),
            filter.until.map(|at| format!("before {at}")),
            self.kinds.as_ref().map(|kinds| format!("kind {}", kinds.join(" or "))),
            filter.rule.as_ref().map(|rule| format!("rule {rule}")),
            filter.state.map(|state| format!("state {}", state.as_str())),
            filter.with_media.then(|| "with media".to_owned()),
            filter.flagged.then(|| "flagged".to_owned()),
            filter.held.then(|| "held".to_owned()),
            self.keyword
                .as_ref()
                .map(|keyword| format!("a keyword of {} characters", keyword.length())),
            self.before.map(|cursor| format!("behind {cursor}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "everything" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

/// A text's id as it is put on record: one that might be a telephone number is not.
fn told(id: &str) -> String {
    let is_uuid = id.parse::<Uuid>().is_ok();
    if is_uuid || !phone::stands_in(id) {
        format!("text {id}")
    } else {
        format!("a text with an id of {} characters", id.chars().count())
    }
}
