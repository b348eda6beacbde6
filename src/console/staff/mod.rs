//! The accounts of staff: who may use the console, as what, and how it is made sure that it is them.

pub mod attempt;
pub mod password;
mod role;
pub mod session;
pub mod totp;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::PgConnection;

pub use self::role::{Name, Role};
use self::totp::Secret;
use crate::{
    clock::SqlTimestamp,
    ids::{SessionId, StaffId},
    vault::{Field, Unreadable, Vault},
};

/// What a new account is opened with. Shown once; nothing of it is kept as it is.
pub struct Opening {
    /// Whose it is.
    pub id: StaffId,
    /// Good for one thing only: to sign in and choose another.
    pub password: String,
    /// What the codes of the second factor are made from.
    pub secret: Secret,
}

/// Makes an account; none where the name is taken, even by one that is disabled.
///
/// # Errors
/// The database's.
pub async fn add(
    conn: &mut PgConnection,
    vault: &Vault,
    name: &Name,
    role: Role,
    now: Timestamp,
) -> sqlx::Result<Option<Opening>> {
    let opening =
        Opening { id: StaffId::new(), password: password::draw(), secret: Secret::draw() };
    let added = sqlx::query!(
        "insert into staff (id, name, role, password_hash, totp_sealed, created_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (lower(name)) do nothing",
        opening.id as _,
        name.as_str(),
        role.as_str(),
        password::hash(&opening.password).await?,
        opening.secret.seal(vault, opening.id),
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok((added.rows_affected() == 1).then_some(opening))
}

/// Gives an account a new password and a new second factor, and unlocks it; none where there is no
/// such account. Every browser is signed out.
///
/// # Errors
/// The database's.
pub async fn reset(
    conn: &mut PgConnection,
    vault: &Vault,
    id: StaffId,
    now: Timestamp,
) -> sqlx::Result<Option<Opening>> {
    let opening = Opening { id, password: password::draw(), secret: Secret::draw() };
    let reset = sqlx::query!(
        "update staff
         set password_hash = $2, totp_sealed = $3, totp_step = 0, must_change = true, failures = 0,
             locked_until = null
         where id = $1 and disabled_at is null",
        id as _,
        password::hash(&opening.password).await?,
        opening.secret.seal(vault, id),
    )
    .execute(&mut *conn)
    .await?;
    session::end_all(conn, id, None, session::End::Password, now).await?;
    Ok((reset.rows_affected() == 1).then_some(opening))
}

/// Lets nobody in any more with an account, and signs every browser out; false where it was so
/// before, or there is no such account.
///
/// # Errors
/// The database's.
pub async fn disable(conn: &mut PgConnection, id: StaffId, now: Timestamp) -> sqlx::Result<bool> {
    let disabled = sqlx::query!(
        "update staff set disabled_at = $2 where id = $1 and disabled_at is null",
        id as _,
        now.to_sqlx() as _,
    )
    .execute(&mut *conn)
    .await?;
    session::end_all(conn, id, None, session::End::Disabled, now).await?;
    Ok(disabled.rows_affected() == 1)
}

/// Sets the password that somebody chose, forgets the failures, and signs their other browsers out.
///
/// # Errors
/// The database's.
pub async fn set_password(
    conn: &mut PgConnection,
    id: StaffId,
    hash: &str,
    keep: SessionId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update staff
         set password_hash = $2, must_change = false, failures = 0, locked_until = null
         where id = $1",
        id as _,
        hash,
    )
    .execute(&mut *conn)
    .await?;
    session::end_all(conn, id, Some(keep), session::End::Password, now).await
}

/// An account as it is listed.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Its id.
    pub id: StaffId,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// Since when it lets nobody in.
    pub disabled_at: Option<Timestamp>,
    /// Until when it lets nobody in, because signing in failed too often.
    pub locked_until: Option<Timestamp>,
    /// Whether it still has the password that it was made with.
    pub must_change: bool,
    /// When it was last used.
    pub last_seen_at: Option<Timestamp>,
}

impl Listed {
    /// How it stands, in words.
    pub fn state(&self) -> &'static str {
        match (self.disabled_at, self.locked_until, self.must_change) {
            (Some(_), ..) => "disabled",
            (_, Some(_), _) => "locked",
            (.., true) => "not used yet",
            _ => "active",
        }
    }
}

/// Lists all accounts by name, those that are disabled at the end.
///
/// # Errors
/// The database's.
pub async fn list(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<Vec<Listed>> {
    let rows = sqlx::query!(
        r#"select s.id, s.name, s.role, s.created_at, s.disabled_at, s.must_change,
               case when s.locked_until > $1 then s.locked_until end
                   as "locked_until: SqlTimestamp",
               (select max(last_seen_at) from staff_session where staff_id = s.id)
                   as "last_seen_at: SqlTimestamp"
           from staff s
           order by s.disabled_at is not null, lower(s.name)"#,
        now.to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    let listed = rows.into_iter().map(|row| {
        Ok(Listed {
            id: row.id,
            name: row.name,
            role: Role::read(&row.role)?,
            created_at: row.created_at.to_jiff(),
            disabled_at: row.disabled_at.map(SqlTimestamp::to_jiff),
            locked_until: row.locked_until.map(SqlTimestamp::to_jiff),
            must_change: row.must_change,
            last_seen_at: row.last_seen_at.map(SqlTimestamp::to_jiff),
        })
    });
    listed.collect()
}

/// The account of this name, whether or not it is disabled.
///
/// # Errors
/// The database's.
pub async fn find(conn: &mut PgConnection, name: &str) -> sqlx::Result<Option<StaffId>> {
    sqlx::query_scalar!("select id from staff where lower(name) = lower($1)", name)
        .fetch_optional(conn)
        .await
}

/// The name and the role of an account.
///
/// # Errors
/// The database's.
pub async fn named(conn: &mut PgConnection, id: StaffId) -> sqlx::Result<Option<(String, Role)>> {
    let found = sqlx::query!("select name, role from staff where id = $1", id as _)
        .fetch_optional(conn)
        .await?;
    found.map(|found| Ok((found.name, Role::read(&found.role)?))).transpose()
}

/// How many accounts let somebody in who may do this.
///
/// # Errors
/// The database's.
pub async fn count(conn: &mut PgConnection, role: Role) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from staff where role = $1 and disabled_at is null"#,
        role.as_str(),
    )
    .fetch_one(conn)
    .await
}

/// What the second factor of an account is made from.
fn open_secret(vault: &Vault, id: StaffId, sealed: &[u8]) -> sqlx::Result<Secret> {
    let plain = vault.own().open(Field::SecondFactor, id, sealed)?;
    Secret::read(&plain).ok_or_else(|| Unreadable.into())
}
