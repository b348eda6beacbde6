//! The SQL of keys: those that belong to nobody, and changing the master key.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Key, MasterKeys, OpenError};
use crate::ids::PersonId;

/// How many keys are wrapped anew at once.
const BATCH: i64 = 500;

/// Whether anything is there that a version without encryption wrote.
pub(super) async fn has_plain(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
               select from pg_constraint
               where conname in ('person_is_sealed', 'outbox_is_sealed', 'audit_record_is_sealed',
                       'consent_event_is_sealed', 'media_is_sealed')
                   and connamespace = current_schema()::regnamespace and coninhcount = 0
                   and not convalidated
           ) as "has!""#
    )
    .fetch_one(conn)
    .await
}

/// The key of this name, made where it is missing.
pub(super) async fn key(
    conn: &mut PgConnection,
    masters: &MasterKeys,
    name: &str,
) -> Result<Key, OpenError> {
    let fresh = masters.wrap(&Key::draw(), Uuid::nil());
    sqlx::query!(
        "insert into vault_key (name, wrapped) values ($1, $2) on conflict (name) do nothing",
        name,
        fresh,
    )
    .execute(&mut *conn)
    .await?;
    let wrapped = sqlx::query_scalar!("select wrapped from vault_key where name = $1", name)
        .fetch_one(&mut *conn)
        .await?;
    masters.knows(&wrapped).map_err(|wanted| match wanted {
        Some(wanted) => OpenError::WrongKey { wanted, given: masters.fingerprints() },
        None => OpenError::Damaged,
    })?;
    masters.unwrap(&wrapped, Uuid::nil()).map_err(|_| OpenError::Damaged)
}

/// How far a change of the master key has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// How many keys this has wrapped anew.
    pub done: u64,
    /// How many are left, at most.
    pub left: i64,
}

/// What a change of the master key did.
#[derive(Debug, Clone, Copy)]
pub struct Rotated {
    /// How many keys were wrapped anew.
    pub done: u64,
    /// How many neither of the two keys opens.
    pub unreadable: u64,
}

/// Wraps everything anew that is not wrapped by the first of the keys, while all else goes on. Cut
/// off, it goes on where it was.
///
/// # Errors
/// The database's.
pub async fn rotate(
    conn: &mut PgConnection,
    masters: &MasterKeys,
    mut progress: impl FnMut(Progress),
) -> sqlx::Result<Rotated> {
    let current = masters.current();
    let (mut done, mut unreadable) = (0, 0);
    let mut after = Uuid::nil();
    loop {
        let people = sqlx::query!(
            r#"select id, wrapped_key as "wrapped!"
               from person
               where id > $1 and wrapped_key is not null and substr(wrapped_key, 1, 8) <> $2
               order by id
               limit $3"#,
            after,
            current.bytes(),
            BATCH,
        )
        .fetch_all(&mut *conn)
        .await?;
        let Some(last) = people.last() else { break };
        after = last.id.uuid();
        let (mut ids, mut before, mut anew) = (Vec::new(), Vec::new(), Vec::new());
        for person in people {
            let id: PersonId = person.id;
            match masters.unwrap(&person.wrapped, id.uuid()) {
                Ok(key) => {
                    anew.push(masters.wrap(&key, id.uuid()));
                    before.push(person.wrapped);
                    ids.push(id.uuid());
                }
                Err(_) => unreadable += 1,
            }
        }
        // Whoever was forgotten meanwhile stays forgotten.
        let changed = sqlx::query!(
            "update person p
             set wrapped_key = anew.wrapped
             from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as anew (id, before, wrapped)
             where p.id = anew.id and p.wrapped_key = anew.before",
            &ids,
            &before,
            &anew,
        )
        .execute(&mut *conn)
        .await?;
        done += changed.rows_affected();
        let left = sqlx::query_scalar!(
            r#"select count(*) as "left!" from person
               where id > $1 and wrapped_key is not null and substr(wrapped_key, 1, 8) <> $2"#,
            after,
            current.bytes(),
        )
        .fetch_one(&mut *conn)
        .await?;
        progress(Progress { done, left });
    }
    if unreadable == 0 {
        // Last: until then nothing starts without the old key.
        let own = sqlx::query!("select name, wrapped from vault_key").fetch_all(&mut *conn).await?;
        for row in own.iter().filter(|row| !row.wrapped.starts_with(current.bytes())) {
            let key = masters.unwrap(&row.wrapped, Uuid::nil())?;
            sqlx::query!(
                "update vault_key set wrapped = $2 where name = $1 and wrapped = $3",
                row.name,
                masters.wrap(&key, Uuid::nil()),
                row.wrapped,
            )
            .execute(&mut *conn)
            .await?;
            done += 1;
        }
    }
    Ok(Rotated { done, unreadable })
}
