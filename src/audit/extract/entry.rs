//! The records of conversations, words opened, as they are handed out.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::{Serialize, Serializer};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    audit::{reader::Reader, search::Query},
    clock::SqlTimestamp,
    ids::{ConversationId, PersonId, RecordId, TextId},
};

/// A record, words opened. People stand in it by their ids.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    pub(super) conversation: ConversationId,
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
    let mut rows = sqlx::query!(
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
           select e.conversation_id as "conversation!: ConversationId", l.index as "leaf!",
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
        if let Some(author) = row.author {
            reader.take(author, row.author_key.as_deref());
        }
        let words = row.body_sealed.map(|body| reader.words(row.author, row.id, &body));
        let media = row.media_sealed.map(|media| reader.media(row.author, row.id, &media));
        let is_whole = !matches!(words, Some(Err(_))) && !matches!(media, Some(Err(_)));
        let why = row.erased_at.map_or(Why::Unreadable, |at| Why::Erased(at.to_jiff()));
        show(&Entry {
            conversation: row.conversation,
            leaf: row.leaf,
            at: row.at.to_jiff(),
            id: row.id,
            kind: row.kind,
            rule: row.rule,
            person: row.person,
            recipient: row.recipient,
            masked_number: row.masked_number,
            carrier_id: row.carrier_id,
            text: row.text,
            detail: row.detail,
            words: words.and_then(Result::ok),
            media: media.and_then(Result::ok),
            excluded: (!is_whole).then_some(why),
        })?;
    }
    Ok(())
}
