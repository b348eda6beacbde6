//! What there is of a person, counted.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::PgConnection;

use crate::{clock::SqlTimestamp, ids::PersonId};

/// What there is of a person.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    /// When they first texted.
    pub first_seen_at: Timestamp,
    /// When they were forgotten.
    pub erased_at: Option<Timestamp>,
    /// How many records say what they wrote or did.
    pub records_by: i64,
    /// How many say what they were sent.
    pub records_to: i64,
    /// In how many open conversations they are.
    pub open_conversations: i64,
    /// How many texts wait, by them or for them.
    pub texts: i64,
    /// How many pictures of theirs are stored.
    pub pictures: i64,
    /// How many entries the ledger of consent has on them.
    pub consents: i64,
    /// Whether they may not be texted.
    pub is_silent: bool,
    /// Other phones that conversations of theirs came from or went to: each is a person of its own.
    pub other_phones: Vec<PersonId>,
}

/// Counts what there is of a person; none where nobody has this id.
pub async fn about(conn: &mut PgConnection, person: PersonId) -> sqlx::Result<Option<About>> {
    let found = sqlx::query!(
        r#"select p.first_seen_at, p.erased_at as "erased_at: SqlTimestamp",
               r.by as "by!", r.to as "to!", r.phones as "phones!: Vec<PersonId>",
               (select count(*) from participant s where s.person_id = p.id and s.left_at is null)
                   as "open!",
               (select count(*) from outbox o where p.id in (o.recipient_id, o.author_id))
                   as "texts!",
               (select count(*) from media m where m.sender_id = p.id and not m.is_erased)
                   as "pictures!",
               (select count(*) from consent_event e where e.person_id = p.id) as "consents!",
               exists (select from suppression s where s.person_id = p.id) as "is_silent!"
           from person p
           cross join lateral (
               select count(*) filter (where p.id in (person_id, author_id)) as by,
                   count(*) filter (where recipient_id = p.id) as to,
                   coalesce(array_agg(distinct case when person_id = p.id then recipient_id
                       else person_id end) filter (where kind = 'moved'), '{}') as phones
               from audit_record
               -- As the indexes have it.
               where person_id = p.id or recipient_id = p.id
                   or (author_id = p.id and author_id is distinct from person_id)
           ) r
           where p.id = $1"#,
        person as _,
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|found| About {
        first_seen_at: found.first_seen_at.to_jiff(),
        erased_at: found.erased_at.map(SqlTimestamp::to_jiff),
        records_by: found.by,
        records_to: found.to,
        open_conversations: found.open,
        texts: found.texts,
        pictures: found.pictures,
        consents: found.consents,
        is_silent: found.is_silent,
        other_phones: found.phones,
    }))
}
