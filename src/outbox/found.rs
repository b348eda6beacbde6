//! Texts of which nobody knows whether the carrier has them, for whoever reads its list.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::settle::{self, Acceptance, By};
use crate::{
    clock::SqlTimestamp,
    ids::TextId,
    phone::{NotANumber, PhoneNumber},
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
    from: Timestamp,
    to: Timestamp,
) -> sqlx::Result<Vec<Unsettled>> {
    let rows = sqlx::query!(
        r#"select o.id, o.attempt, o.state = 'sending' as "is_under_way!", o.body,
               p.number as phone, m.number as masked_number,
               coalesce(o.tried_at, o.due_at) as "tried_at!: SqlTimestamp"
           from outbox o
           join person p on p.id = coalesce(o.sent_to, o.recipient_id)
           join masked_number m on m.id = o.masked_number_id
           where o.state in ('unknown', 'sending')
               and coalesce(o.tried_at, o.due_at) between $1 and $2
           order by 7, o.seq"#,
        from.to_sqlx() as _,
        to.to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    let number =
        |text: String| text.parse().map_err(|error: NotANumber| sqlx::Error::Decode(error.into()));
    rows.into_iter()
        .map(|row| {
            Ok(Unsettled {
                id: row.id,
                attempt: row.attempt,
                is_under_way: row.is_under_way,
                to: number(row.phone)?,
                from: number(row.masked_number)?,
                body: row.body,
                tried_at: row.tried_at.to_jiff(),
            })
        })
        .collect()
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
