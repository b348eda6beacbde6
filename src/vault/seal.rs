//! Seals what a version without encryption wrote, a batch at a time. Cut off, it goes on where it was.
//!
//! Nothing else may run on the database meanwhile: `serve` refuses to, until all of it is sealed.

use sqlx::PgConnection;

use super::{Author, Field, Sealed, Vault};
use crate::{ids::PersonId, phone::NotANumber};

/// How many rows are sealed at once.
const BATCH: i64 = 1000;

/// What is sealed, in this order: people first, for theirs are the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// People's numbers.
    People,
    /// The words of texts that are to be sent.
    Outbox,
    /// Where pictures come from.
    Media,
    /// What staff wrote to prove a consent.
    Consent,
    /// The words and the media on record.
    Trail,
}

impl Part {
    /// All of it, in its order.
    pub const ALL: [Self; 5] =
        [Self::People, Self::Outbox, Self::Media, Self::Consent, Self::Trail];

    /// What people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Outbox => "texts to be sent",
            Self::Media => "pictures",
            Self::Consent => "consents",
            Self::Trail => "records",
        }
    }
}

/// Seals the next rows of a part, in the caller's transaction; returns how many. None are left when
/// there were none.
///
/// # Errors
/// The database's.
pub async fn seal(conn: &mut PgConnection, vault: &Vault, part: Part) -> sqlx::Result<usize> {
    match part {
        Part::People => people(conn, vault).await,
        Part::Outbox => outbox(conn, vault).await,
        Part::Media => media(conn, vault).await,
        Part::Consent => consent(conn, vault).await,
        Part::Trail => trail(conn, vault).await,
    }
}

/// Notes that nothing is left in the clear. From then on `serve` starts.
///
/// # Errors
/// The database's: above all that something is left.
pub async fn finish(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "do $$
         begin
             alter table person validate constraint person_is_sealed;
             alter table outbox validate constraint outbox_is_sealed;
             alter table audit_record validate constraint audit_record_is_sealed;
             alter table consent_event validate constraint consent_event_is_sealed;
             alter table media validate constraint media_is_sealed;
         end
         $$"
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn people(conn: &mut PgConnection, vault: &Vault) -> sqlx::Result<usize> {
    let rows = sqlx::query!(
        r#"select id, number as "number!" from person where number is not null limit $1"#,
        BATCH,
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in &rows {
        let number =
            row.number.parse().map_err(|error: NotANumber| sqlx::Error::Decode(error.into()))?;
        let stranger = vault.person(row.id, &number);
        sqlx::query!(
            "update person
             set number = null, tag = $2, wrapped_key = $3, number_sealed = $4
             where id = $1",
            row.id as _,
            stranger.tag,
            stranger.wrapped_key,
            stranger.number_sealed,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(rows.len())
}

/// The author of words; Maskline itself, where the person is not known.
async fn author(
    conn: &mut PgConnection,
    vault: &Vault,
    person: Option<PersonId>,
) -> sqlx::Result<Author> {
    let Some(person) = person else { return Ok(vault.own().clone()) };
    let wrapped = sqlx::query_scalar!("select wrapped_key from person where id = $1", person as _)
        .fetch_optional(conn)
        .await?;
    match wrapped.flatten() {
        Some(wrapped) => Ok(vault.author(person, &wrapped)?),
        None => Ok(vault.own().clone()),
    }
}

async fn outbox(conn: &mut PgConnection, vault: &Vault) -> sqlx::Result<usize> {
    let rows = sqlx::query!(
        r#"select o.id, o.body as "body!", r.person_id as "author?: PersonId"
           from outbox o
           left join audit_record r on r.text_id = o.id and r.kind = 'relayed'
           where o.body is not null
           limit $1"#,
        BATCH,
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in &rows {
        let author = author(conn, vault, row.author).await?;
        let sealed = (!row.body.is_empty())
            .then(|| author.seal(Field::OutboxBody, row.id, row.body.as_bytes()));
        sqlx::query!(
            "update outbox set body = null, body_sealed = $2, author_id = $3 where id = $1",
            row.id as _,
            sealed.as_ref().map(Sealed::to_bytes),
            sealed.as_ref().and_then(Sealed::author) as _,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(rows.len())
}

async fn media(conn: &mut PgConnection, vault: &Vault) -> sqlx::Result<usize> {
    let rows = sqlx::query!(
        r#"select id, sender_id, source_url as "url!"
           from media
           where source_url is not null
           limit $1"#,
        BATCH,
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in &rows {
        let author = author(conn, vault, Some(row.sender_id)).await?;
        sqlx::query!(
            "update media
             set source_url = null, source_url_sealed = $2, is_sealed = true
             where id = $1",
            row.id as _,
            author.seal(Field::MediaSource, row.id, row.url.as_bytes()).to_bytes(),
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(rows.len())
}

/// Triggers see to it that the ledger only grows: who owns the tables lets them sleep, and wakes them
/// in the same transaction.
async fn consent(conn: &mut PgConnection, vault: &Vault) -> sqlx::Result<usize> {
    let rows = sqlx::query!(
        r#"select id, person_id, evidence as "evidence!"
           from consent_event
           where evidence is not null and channel not in ('text', 'carrier')
           limit $1"#,
        BATCH,
    )
    .fetch_all(&mut *conn)
    .await?;
    if rows.is_empty() {
        return Ok(0);
    }
    sqlx::query!("alter table consent_event disable trigger append_only")
        .execute(&mut *conn)
        .await?;
    for row in &rows {
        let author = author(conn, vault, Some(row.person_id)).await?;
        sqlx::query!(
            "update consent_event set evidence = null, evidence_sealed = $2 where id = $1",
            row.id,
            author.seal(Field::Evidence, row.id, row.evidence.as_bytes()).to_bytes(),
        )
        .execute(&mut *conn)
        .await?;
    }
    sqlx::query!("alter table consent_event enable always trigger append_only")
        .execute(&mut *conn)
        .await?;
    Ok(rows.len())
}

async fn trail(conn: &mut PgConnection, vault: &Vault) -> sqlx::Result<usize> {
    let rows = sqlx::query!(
        r#"select id, at, body, media::text as "media",
               case when kind in ('received', 'relayed', 'pictures') then person_id
                   -- These quote their recipient's own words.
                   when rule in ('not_delivered', 'maybe_not_delivered') then recipient_id
               end as "author: PersonId"
           from audit_record
           where body is not null or media is not null
           limit $1"#,
        BATCH,
    )
    .fetch_all(&mut *conn)
    .await?;
    if rows.is_empty() {
        return Ok(0);
    }
    guard(conn, false).await?;
    for row in &rows {
        let author = author(conn, vault, row.author).await?;
        let seal = |field, plain: &Option<String>| {
            let plain = plain.as_ref()?;
            Some(author.seal(field, row.id, plain.as_bytes()).to_bytes())
        };
        sqlx::query!(
            "update audit_record
             set body = null, media = null, body_sealed = $3, media_sealed = $4, author_id = $5
             where at = $1 and id = $2",
            row.at as _,
            row.id,
            seal(Field::RecordBody, &row.body),
            seal(Field::RecordMedia, &row.media),
            author.person() as _,
        )
        .execute(&mut *conn)
        .await?;
    }
    guard(conn, true).await?;
    Ok(rows.len())
}

/// Lets the triggers of the trail and of all its parts sleep, or wakes them.
async fn guard(conn: &mut PgConnection, awake: bool) -> sqlx::Result<()> {
    if awake {
        sqlx::query!(
            "do $$
             declare part regclass;
             begin
                 for part in select relid from pg_partition_tree('audit_record') loop
                     execute format('alter table %s enable always trigger append_only', part);
                 end loop;
             end
             $$"
        )
        .execute(conn)
        .await?;
    } else {
        sqlx::query!(
            "do $$
             declare part regclass;
             begin
                 for part in select relid from pg_partition_tree('audit_record') loop
                     execute format('alter table %s disable trigger append_only', part);
                 end loop;
             end
             $$"
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}
