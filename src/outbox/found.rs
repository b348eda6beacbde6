//! Texts of which nobody knows whether the carrier has them, for whoever reads its list.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::settle::{self, Acceptance, By};
use crate::{
    clock::SqlTimestamp,
    ids::{PersonId, TextId},
    phone::{NotANumber, PhoneNumber},
    vault::{Field, Unreadable, Vault},
};

/// A text of which nobody knows whether the carrier has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// Its id.
    pub id: TextId,
    /// The attempt whose answer was lost; it fences what is found out about it.
    pub attempt: i32,
    /// Whether the attempt is still under way, and its answer may come yet.
    pub is_under_way: bool,
    /// The phone.
    pub to: PhoneNumber,
    /// The masked number.
    pub from: PhoneNumber,
    /// The words.
    pub body: String,
    /// When it was tried.
    pub tried_at: Timestamp,
}

/// Lists what is unknown and was tried within this time, in the order of the attempts; and what is
/// being sent, since that may look the same.
pub async fn unsettled(
    conn: &mut PgConnection,
    vault: &Vault,
    from: Timestamp,
    to: Timestamp,
) -> sqlx::Result<Vec<Unsettled>> {
    let rows = sqlx::query!(
        r#"select o.id, o.attempt, o.state = 'sending' as "is_under_way!", o.body_sealed,
               p.id as phone, p.wrapped_key, p.number_sealed,
               o.author_id as "author_id: PersonId", author.wrapped_key as "author_key?",
               m.number as masked_number,
               coalesce(o.tried_at, o.due_at) as "tried_at!: SqlTimestamp"
           from outbox o
           join person p on p.id = coalesce(o.sent_to, o.recipient_id)
           join masked_number m on m.id = o.masked_number_id
           left join person author on author.id = o.author_id
           where o.id = any(array(
               select id from outbox
               where state = 'sending' and coalesce(tried_at, due_at) between $1 and $2
               union all
               select id from outbox
               where state = 'unknown' and coalesce(tried_at, due_at) between $1 and $2
           ))
           order by coalesce(o.tried_at, o.due_at), o.seq"#,
        from.to_sqlx() as _,
        to.to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    let mut texts = Vec::new();
    for row in rows {
        let from = row.masked_number.parse();
        let opened = || -> Result<(PhoneNumber, String), Unreadable> {
            let wrapped = row.wrapped_key.as_deref().ok_or(Unreadable)?;
            let number = row.number_sealed.as_deref().ok_or(Unreadable)?;
            let to = vault.number(row.phone, wrapped, number)?;
            let Some(body) = &row.body_sealed else { return Ok((to, String::new())) };
            let author = vault.author_of(row.author_id, row.author_key.as_deref())?;
            Ok((to, author.read(Field::OutboxBody, row.id, body)?))
        };
        let Ok((to, body)) = opened() else {
            tracing::error!(id = %row.id, "a text cannot be decrypted, so the carrier's list does not settle it");
            continue;
        };
        texts.push(Unsettled {
            id: row.id,
            attempt: row.attempt,
            is_under_way: row.is_under_way,
            to,
            from: from.map_err(|error: NotANumber| sqlx::Error::Decode(error.into()))?,
            body,
            tried_at: row.tried_at.to_jiff(),
        });
    }
    Ok(texts)
}

/// Settles a text of which nobody knew, since the carrier's list shows it; false when it was settled
/// meanwhile, or when the carrier's id is another text's.
pub async fn accept_found(
    conn: &mut PgConnection,
    text: &Unsettled,
    carrier_id: &str,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let is_open = sqlx::query_scalar!(
        r#"select exists (select from outbox where id = $1 and attempt = $2)
               and not exists (select from carrier_message where carrier_id = $3) as "is_open!""#,
        text.id as _,
        text.attempt,
        carrier_id,
    )
    .fetch_one(&mut *conn)
    .await?;
    if !is_open {
        return Ok(false);
    }
    let carrier_id = carrier_id.to_owned();
    let found = [Acceptance { id: text.id, carrier_id, tried_at: Some(text.tried_at) }];
    settle::accept(conn, &found, By::List, Some(now.to_sqlx())).await?;
    Ok(true)
}
