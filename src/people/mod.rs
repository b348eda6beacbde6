//! The one place where a real number is kept.

mod about;
pub mod export;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

pub use self::about::{About, about};
use crate::{
    ids::PersonId,
    phone::PhoneNumber,
    vault::{Author, Vault},
};

/// Finds or makes the person with this number, and locks them until commit.
///
/// The lock puts a person's texts in a row: none is judged while another of theirs is being
/// written down. `no key update` lets others refer to the person meanwhile.
pub async fn lock(
    conn: &mut PgConnection,
    vault: &Vault,
    number: &PhoneNumber,
    now: Timestamp,
) -> sqlx::Result<(PersonId, Author)> {
    if let Some(known) = find(conn, vault, number).await? {
        return Ok(known);
    }
    let stranger = vault.stranger(number);
    sqlx::query!(
        "insert into person (id, tag, wrapped_key, number_sealed, first_seen_at)
         values ($1, $2, $3, $4, $5)
         on conflict (tag) do nothing",
        stranger.id as _,
        stranger.tag,
        stranger.wrapped_key,
        stranger.number_sealed,
        now.to_sqlx() as _,
    )
    .execute(&mut *conn)
    .await?;
    find(conn, vault, number).await?.ok_or(sqlx::Error::RowNotFound)
}

/// Finds the person with this number, and locks them until commit.
pub async fn find(
    conn: &mut PgConnection,
    vault: &Vault,
    number: &PhoneNumber,
) -> sqlx::Result<Option<(PersonId, Author)>> {
    let found = sqlx::query!(
        r#"select id, wrapped_key as "wrapped_key!" from person where tag = $1 for no key update"#,
        vault.tag(number),
    )
    .fetch_optional(conn)
    .await?;
    let Some(found) = found else { return Ok(None) };
    Ok(Some((found.id, vault.author(found.id, &found.wrapped_key)?)))
}

/// What a person's words are sealed with, and locks them until commit; none where nobody has this id,
/// or they were forgotten.
pub async fn author(
    conn: &mut PgConnection,
    vault: &Vault,
    person: PersonId,
) -> sqlx::Result<Option<Author>> {
    let key = sqlx::query_scalar!(
        r#"select wrapped_key as "wrapped_key!" from person
           where id = $1 and tag is not null for no key update"#,
        person as _,
    )
    .fetch_optional(conn)
    .await?;
    Ok(key.map(|key| vault.author(person, &key)).transpose()?)
}

/// Reads a person's number; none where nobody has this id, or they were forgotten.
pub async fn number(
    conn: &mut PgConnection,
    vault: &Vault,
    person: PersonId,
) -> sqlx::Result<Option<PhoneNumber>> {
    let found = sqlx::query!(
        r#"select wrapped_key as "wrapped_key!", number_sealed as "number_sealed!"
           from person
           where id = $1 and tag is not null"#,
        person as _,
    )
    .fetch_optional(conn)
    .await?;
    let Some(found) = found else { return Ok(None) };
    Ok(Some(vault.number(person, &found.wrapped_key, &found.number_sealed)?))
}

/// Destroys a person's key, tag and number. Nobody can read what they wrote from then on, and a text
/// from their number is somebody new.
pub async fn destroy(
    conn: &mut PgConnection,
    person: PersonId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update person
         set tag = null, wrapped_key = null, number_sealed = null, erased_at = $2
         where id = $1",
        person as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
