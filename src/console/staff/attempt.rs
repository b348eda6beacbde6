//! Attempts to sign in. Each is counted before it is judged, so that many at once are no more than
//! one after the other.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::{Role, open_secret, totp::Secret};
use crate::{ids::StaffId, vault::Vault};

/// After how many failures in a row an account is locked.
pub const ACCOUNT: i32 = 5;
/// After how many failures within [`LOCK`] nobody is let in from an address.
pub const ADDRESS: i32 = 20;
/// For how long.
pub const LOCK: SignedDuration = SignedDuration::from_mins(15);

/// An account that somebody tries to sign in to.
#[derive(Debug)]
pub struct Account {
    /// Its id.
    pub id: StaffId,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The attempt, if it is to be judged at all: the account is in force and not locked.
    pub open: Option<Open>,
}

/// What an attempt is judged by.
#[derive(Debug)]
pub struct Open {
    /// The hash of the password.
    pub hash: String,
    /// What codes are made from.
    pub secret: Secret,
    /// The how manieth attempt this is since the last that succeeded.
    pub attempt: i32,
}

impl Open {
    /// The step whose code this is.
    pub fn step(&self, code: &str, now: Timestamp) -> Option<i64> {
        self.secret.step(code, now)
    }
}

/// Counts an attempt on an account. The last one that is allowed locks it, and succeeding unlocks.
///
/// # Errors
/// The database's.
pub async fn on_account(
    conn: &mut PgConnection,
    vault: &Vault,
    name: &str,
    now: Timestamp,
) -> sqlx::Result<Option<Account>> {
    let found = sqlx::query!(
        r#"with counted as (
               update staff
               set failures = failures + 1,
                   locked_until = case when failures + 1 >= $3 then $4::timestamptz end
               where lower(name) = lower($1) and disabled_at is null
                   and coalesce(locked_until <= $2, true)
               returning id, failures
           )
           select s.id, s.name, s.role, s.password_hash, s.totp_sealed, c.failures as "failures?"
           from staff s
           left join counted c on c.id = s.id
           where lower(s.name) = lower($1)"#,
        name,
        now.to_sqlx() as _,
        ACCOUNT,
        after(now).to_sqlx() as _,
    )
    .fetch_optional(conn)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let open = match found.failures {
        None => None,
        Some(attempt) => Some(Open {
            hash: found.password_hash,
            secret: open_secret(vault, found.id, &found.totp_sealed)?,
            attempt,
        }),
    };
    Ok(Some(Account { id: found.id, name: found.name, role: Role::read(&found.role)?, open }))
}

/// Counts an attempt from an address: which one it is, and none where nobody is let in from there.
///
/// # Errors
/// The database's.
pub async fn from_address(
    conn: &mut PgConnection,
    address: &str,
    now: Timestamp,
) -> sqlx::Result<Option<i32>> {
    let since = now.saturating_sub(LOCK).unwrap_or(Timestamp::MIN);
    let counted = sqlx::query_scalar!(
        "insert into sign_in_failure as f (address, failures, since)
         values ($1, 1, $2)
         on conflict (address) do update
         set failures = case when f.since <= $3 then 1 else f.failures + 1 end,
             since = case when f.since <= $3 then $2 else f.since end,
             locked_until = case
                 when f.since > $3 and f.failures + 1 >= $4 then $5::timestamptz
             end
         where coalesce(f.locked_until <= $2, true)
         returning failures",
        address,
        now.to_sqlx() as _,
        since.to_sqlx() as _,
        ADDRESS,
        after(now).to_sqlx() as _,
    )
    .fetch_optional(&mut *conn)
    .await?;
    // Addresses are not kept for longer than they are of use.
    sqlx::query!(
        "delete from sign_in_failure where since <= $1 and coalesce(locked_until <= $2, true)",
        since.to_sqlx() as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(counted)
}

/// Lets somebody in: uses up the code of this step and forgets the failures. False where that code,
/// or a later one, was used before, or the account was disabled meanwhile.
///
/// # Errors
/// The database's.
pub async fn succeed(
    conn: &mut PgConnection,
    id: StaffId,
    step: i64,
    address: &str,
) -> sqlx::Result<bool> {
    let admitted = sqlx::query!(
        "update staff set failures = 0, locked_until = null, totp_step = $2
         where id = $1 and totp_step < $2 and disabled_at is null",
        id as _,
        step,
    )
    .execute(&mut *conn)
    .await?;
    if admitted.rows_affected() == 0 {
        return Ok(false);
    }
    // One that succeeded was no failure; those before it still count.
    sqlx::query!(
        "update sign_in_failure set failures = greatest(failures - 1, 0), locked_until = null
         where address = $1",
        address,
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// What is on record where a lock begins.
pub fn locked(what: &str) -> String {
    format!("the {what} is locked for {} minutes", LOCK.as_mins())
}

fn after(now: Timestamp) -> Timestamp {
    now.saturating_add(LOCK).unwrap_or(Timestamp::MAX)
}
