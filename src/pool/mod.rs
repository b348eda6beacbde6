//! The pool of masked numbers: the operator's own numbers that stand between two people.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::PgConnection;

use crate::{clock::SqlTimestamp, ids::MaskedNumberId, phone::PhoneNumber};

/// A number of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskedNumber {
    /// Its id.
    pub id: MaskedNumberId,
    /// The number itself, which is no secret.
    pub number: PhoneNumber,
}

/// A number of the pool as `maskline numbers list` shows it.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// The number in E.164.
    pub number: String,
    /// When it was added.
    pub added_at: Timestamp,
    /// How many conversations stand on it now.
    pub open_conversations: i64,
}

/// Finds a masked number by the number that was texted.
pub async fn find(
    conn: &mut PgConnection,
    number: &PhoneNumber,
) -> sqlx::Result<Option<MaskedNumber>> {
    let id = sqlx::query_scalar!("select id from masked_number where number = $1", number.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(id.map(|id| MaskedNumber { id, number: number.clone() }))
}

/// Adds a number; false when it was there before.
pub async fn add(
    conn: &mut PgConnection,
    number: &PhoneNumber,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let added = sqlx::query!(
        "insert into masked_number (id, number, added_at)
         values ($1, $2, $3)
         on conflict (number) do nothing",
        MaskedNumberId::new() as _,
        number.as_str(),
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// Lists all numbers, oldest first.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<Listed>> {
    let rows = sqlx::query!(
        r#"select m.number, m.added_at,
               (select count(distinct p.conversation_id)
                from participant p
                where p.masked_number_id = m.id and p.left_at is null) as "open!"
           from masked_number m
           order by m.added_at, m.number"#
    )
    .fetch_all(conn)
    .await?;
    let listed = |number, added_at: SqlTimestamp, open| Listed {
        number,
        added_at: added_at.to_jiff(),
        open_conversations: open,
    };
    Ok(rows.into_iter().map(|row| listed(row.number, row.added_at, row.open)).collect())
}
