//! Records, words opened, as they are handed out.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::{Serialize, Serializer};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    audit::{
        reader::Reader,
        search::{Alone, Query, Shelf},
    },
    clock::SqlTimestamp,
    ids::{ConversationId, PersonId, RecordId, TextId},
};

/// A record, words opened. People stand in it by their ids.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    /// None where it belongs to none.
    pub(super) conversation: Option<ConversationId>,
    /// Where it stands in the export.
    #[serde(skip)]
    pub(super) shelf: Shelf,
    /// Its place in the sealed trail.
    pub(super) leaf: i64,
    pub(super) at: Timestamp,
    pub(super) id: RecordId,
    pub(super) kind: String,
    pub(super) rule: Option<String>,
    pub(super) person: Option<PersonId>,
    pub(super) recipient: Option<PersonId>,
    pub(super) masked_number: Option<String>,
    pub(super) carrier_id: Option<String>,
    pub(super) text: Option<TextId>,
    pub(super) detail: Option<String>,
    pub(super) words: Option<String>,
    pub(super) media: Option<Value>,
    /// Why words or media that are there are not here.
    pub(super) excluded: Option<Why>,
}

/// Why nobody can read something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Whoever wrote it was forgotten then.
    Erased(Timestamp),
    /// It does not open.
    Unreadable,
    /// Staff wrote it about what they did: no log shows that.
    Withheld,
}

impl Serialize for Why {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl Why {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Erased(_) => "erased",
            Self::Unreadable => "unreadable",
            Self::Withheld => "withheld",
        }
    }
}

impl Shelf {
    /// A short name, of letters and digits that no stranger chose.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Conversation(id) => id.to_string(),
            Self::Person(id) => format!("person-{id}"),
            Self::Number(number) => {
                let digits: String = number.chars().filter(char::is_ascii_digit).collect();
                format!("number-{digits}")
            }
            Self::Staff => "staff".to_owned(),
            Self::Rest => "rest".to_owned(),
        }
    }

    /// The same for people.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Conversation(id) => format!("Conversation {id}"),
            Self::Person(id) => format!("In no conversation: person {id}"),
            Self::Number(number) => format!("In no conversation: strangers through {number}"),
            Self::Staff => "What staff did".to_owned(),
            Self::Rest => "In no conversation: all else".to_owned(),
        }
    }
}

/// A record as it is read, words sealed.
struct Row {
    conversation: Option<ConversationId>,
    leaf: i64,
    at: SqlTimestamp,
    id: RecordId,
    kind: String,
    rule: Option<String>,
    person: Option<PersonId>,
    recipient: Option<PersonId>,
    masked_number: Option<String>,
    carrier_id: Option<String>,
    text: Option<TextId>,
    detail: Option<String>,
    body_sealed: Option<Vec<u8>>,
    media_sealed: Option<Vec<u8>>,
    author: Option<PersonId>,
    author_key: Option<Vec<u8>>,
    erased_at: Option<SqlTimestamp>,
}

impl Row {
    /// Opens it. What staff wrote about what they did stays sealed.
    fn open(self, reader: &mut Reader<'_>, place: Shelf) -> Entry {
        if let Some(author) = self.author {
            reader.take(author, self.author_key.as_deref());
        }
        let is_withheld = place == Shelf::Staff && self.body_sealed.is_some();
        let body = self.body_sealed.filter(|_| !is_withheld);
        let words = body.map(|body| reader.words(self.author, self.id, &body));
        let media = self.media_sealed.map(|media| reader.media(self.author, self.id, &media));
        let is_whole = !matches!(words, Some(Err(_))) && !matches!(media, Some(Err(_)));
        let why = match self.erased_at {
            _ if is_withheld => Some(Why::Withheld),
            Some(at) if !is_whole => Some(Why::Erased(at.to_jiff())),
            _ => (!is_whole).then_some(Why::Unreadable),
        };
        Entry {
            conversation: self.conversation,
            shelf: place,
            leaf: self.leaf,
            at: self.at.to_jiff(),
            id: self.id,
            kind: self.kind,
            rule: self.rule,
            person: self.person,
            recipient: self.recipient,
            masked_number: self.masked_number,
            carrier_id: self.carrier_id,
            text: self.text,
            detail: self.detail,
            words: words.and_then(Result::ok),
            media: media.and_then(Result::ok),
            excluded: why,
        }
    }
}

/// Shows all records of these conversations within the query's times that its checkpoint covers, one
/// conversation after the other, each from its beginning on. What the carrier reported of a text of
/// theirs is one of them, though it names the text only.
pub(super) async fn read<E: From<sqlx::Error>>(
    conn: &mut PgConnection,
    reader: &mut Reader<'_>,
    query: &Query,
    ids: &[ConversationId],
    mut show: impl FnMut(&Entry) -> Result<(), E>,
) -> Result<(), E> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let (from, until) = query.times();
    let mut rows = sqlx::query_as!(
        Row,
        r#"with text as materialized (
               select distinct r.conversation_id, r.text_id
               from audit_record r
               where r.conversation_id = any($1) and r.text_id is not null
                   and r.at < coalesce($4::timestamptz, 'infinity')
           ), entry as materialized (
               select r.conversation_id, r as record
               from audit_record r
               where r.conversation_id = any($1)
                   and r.at >= coalesce($3::timestamptz, '-infinity')
                   and r.at < coalesce($4::timestamptz, 'infinity')
               union all
               select t.conversation_id, r
               from text t
               join audit_record r on r.text_id = t.text_id and r.conversation_id is null
                   and r.at >= coalesce($3::timestamptz, '-infinity')
                   and r.at < coalesce($4::timestamptz, 'infinity')
           )
           select e.conversation_id as "conversation: ConversationId", l.index as "leaf!",
               l.at as "at!", l.id as "id!: RecordId", (e.record).kind as "kind!",
               (e.record).rule, (e.record).person_id as "person: PersonId",
               (e.record).recipient_id as "recipient: PersonId", (e.record).masked_number,
               (e.record).carrier_id, (e.record).text_id as "text: TextId", (e.record).detail,
               (e.record).body_sealed, (e.record).media_sealed,
               (e.record).author_id as "author: PersonId", k.wrapped_key as "author_key?",
               k.erased_at as "erased_at?: SqlTimestamp"
           from entry e
           join audit_leaf l on l.at = (e.record).at and l.id = (e.record).id and l.index < $2
           left join person k on k.id = (e.record).author_id
           order by e.conversation_id, l.at, l.id"#,
        &ids,
        query.covered.unwrap_or(i64::MAX),
        from.map(ToSqlx::to_sqlx) as _,
        until.map(ToSqlx::to_sqlx) as _,
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await? {
        let shelf = row.conversation.map_or(Shelf::Rest, Shelf::Conversation);
        show(&row.open(reader, shelf))?;
    }
    Ok(())
}

/// Shows these records that belong to no conversation, in their order, as far as the query's checkpoint
/// covers them.
pub(super) async fn read_alone<E: From<sqlx::Error>>(
    conn: &mut PgConnection,
    reader: &mut Reader<'_>,
    query: &Query,
    some: &[Alone],
    mut show: impl FnMut(&Entry) -> Result<(), E>,
) -> Result<(), E> {
    let times: Vec<SqlTimestamp> = some.iter().map(|one| one.at.to_sqlx()).collect();
    let ids: Vec<Uuid> = some.iter().map(|one| one.id.uuid()).collect();
    let shelves: HashMap<RecordId, &Shelf> = some.iter().map(|one| (one.id, &one.shelf)).collect();
    let mut rows = sqlx::query_as!(
        Row,
        r#"select r.conversation_id as "conversation: ConversationId", l.index as "leaf!",
               l.at as "at!", l.id as "id!: RecordId", r.kind as "kind!", r.rule,
               r.person_id as "person: PersonId", r.recipient_id as "recipient: PersonId",
               r.masked_number, r.carrier_id, r.text_id as "text: TextId", r.detail,
               r.body_sealed, r.media_sealed, r.author_id as "author: PersonId",
               k.wrapped_key as "author_key?", k.erased_at as "erased_at?: SqlTimestamp"
           from unnest($1::timestamptz[], $2::uuid[]) with ordinality as place (at, id, n)
           join audit_leaf l on l.at = place.at and l.id = place.id and l.index < $3
           join audit_record r on r.at = place.at and r.id = place.id
           left join person k on k.id = r.author_id
           order by place.n"#,
        times as Vec<SqlTimestamp>,
        &ids,
        query.covered.unwrap_or(i64::MAX),
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await? {
        let shelf = shelves.get(&row.id).map_or(Shelf::Rest, |shelf| (*shelf).clone());
        show(&row.open(reader, shelf))?;
    }
    Ok(())
}
