//! The one place where a real number is kept.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::{ids::PersonId, phone::PhoneNumber};

/// Finds or makes the person with this number, and locks them until commit.
///
/// The lock puts a person's texts in a row: none is judged while another of theirs is being
/// written down. `no key update` lets others refer to the person meanwhile.
pub async fn lock(
    conn: &mut PgConnection,
    number: &PhoneNumber,
    now: Timestamp,
) -> sqlx::Result<PersonId> {
    if let Some(known) = find(conn, number).await? {
        return Ok(known);
    }
    sqlx::query!(
        "insert into person (id, number, first_seen_at)
         values ($1, $2, $3)
         on conflict (number) do nothing",
        PersonId::new() as _,
        number.as_str(),
        now.to_sqlx() as _,
    )
    .execute(&mut *conn)
    .await?;
    find(conn, number).await?.ok_or(sqlx::Error::RowNotFound)
}

/// Finds the person with this number, and locks them until commit.
pub async fn find(conn: &mut PgConnection, number: &PhoneNumber) -> sqlx::Result<Option<PersonId>> {
    sqlx::query_scalar!(
        "select id from person where number = $1 for no key update",
        number.as_str()
    )
    .fetch_optional(conn)
    .await
}
