//! Who is signed in, in which browser. The token is random and only its SHA-256 is kept.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use rand::RngExt;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::Role;
use crate::ids::{SessionId, StaffId};

/// After how long without a request somebody is signed out.
pub const IDLE: SignedDuration = SignedDuration::from_mins(30);
/// After how long somebody is signed out, whatever they do.
pub const ABSOLUTE: SignedDuration = SignedDuration::from_hours(12);

/// What the cookie holds: 32 random bytes in hexadecimal. `Debug` does not show them.
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    fn draw() -> Self {
        let [high, low]: [u128; 2] = rand::rng().random();
        Self(format!("{high:032x}{low:032x}"))
    }

    /// Reads what a browser sent.
    pub fn read(text: &str) -> Option<Self> {
        let is_token = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_token.then(|| Self(text.to_owned()))
    }

    /// What the browser keeps.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn digest(&self) -> Vec<u8> {
        Sha256::digest(&self.0).to_vec()
    }
}

/// Why a session ended before its time.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// They signed out.
    SignedOut,
    /// They signed in once more in the same browser.
    Replaced,
    /// It was ended from the list of sessions.
    Revoked,
    /// The account was disabled.
    Disabled,
    /// The password was changed.
    Password,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
            Self::Password => "password",
        }
    }
}

/// A session, and whose it is.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id, which is no secret.
    pub id: SessionId,
    /// Whose.
    pub staff: StaffId,
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they must choose a password before anything else.
    pub must_change: bool,
}

/// Begins a session. Its token is new: whatever a browser brought is worth nothing.
///
/// # Errors
/// The database's.
pub async fn begin(
    conn: &mut PgConnection,
    staff: StaffId,
    address: &str,
    agent: &str,
    now: Timestamp,
) -> sqlx::Result<Token> {
    let token = Token::draw();
    sqlx::query!(
        "insert into staff_session (id, token_hash, staff_id, created_at, last_seen_at, address, agent)
         values ($1, $2, $3, $4, $4, $5, $6)",
        SessionId::new() as _,
        token.digest(),
        staff as _,
        now.to_sqlx() as _,
        address,
        agent,
    )
    .execute(conn)
    .await?;
    Ok(token)
}

/// The session of a token, if it is in force; that somebody used it is noted.
///
/// # Errors
/// The database's.
pub async fn see(
    conn: &mut PgConnection,
    token: &Token,
    is_active: bool,
    now: Timestamp,
) -> sqlx::Result<Option<Session>> {
    let found = sqlx::query!(
        "update staff_session s
         set last_seen_at = case when $5 then greatest($2, s.last_seen_at) else s.last_seen_at end
         from staff f
         where s.token_hash = $1 and s.ended_at is null
             and s.last_seen_at > $3 and s.created_at > $4
             and f.id = s.staff_id and f.disabled_at is null
         returning s.id, s.staff_id, f.name, f.role, f.must_change",
        token.digest(),
        now.to_sqlx() as _,
        before(now, IDLE).to_sqlx() as _,
        before(now, ABSOLUTE).to_sqlx() as _,
        is_active,
    )
    .fetch_optional(conn)
    .await?;
    found
        .map(|found| {
            Ok(Session {
                id: found.id,
                staff: found.staff_id,
                name: found.name,
                role: Role::read(&found.role)?,
                must_change: found.must_change,
            })
        })
        .transpose()
}

/// Ends a session by its token, whoever's it is.
///
/// # Errors
/// The database's.
pub async fn end(
    conn: &mut PgConnection,
    token: &Token,
    why: End,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update staff_session set ended_at = $2, end_reason = $3
         where token_hash = $1 and ended_at is null",
        token.digest(),
        now.to_sqlx() as _,
        why.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends one of somebody's sessions; false where it is none of theirs, or is over.
///
/// # Errors
/// The database's.
pub async fn revoke(
    conn: &mut PgConnection,
    id: SessionId,
    staff: StaffId,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let ended = sqlx::query!(
        "update staff_session set ended_at = $3, end_reason = $4
         where id = $1 and staff_id = $2 and ended_at is null",
        id as _,
        staff as _,
        now.to_sqlx() as _,
        End::Revoked.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Ends all of somebody's sessions but one.
///
/// # Errors
/// The database's.
pub async fn end_all(
    conn: &mut PgConnection,
    staff: StaffId,
    keep: Option<SessionId>,
    why: End,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update staff_session set ended_at = $3, end_reason = $4
         where staff_id = $1 and ended_at is null and id is distinct from $2",
        staff as _,
        keep as _,
        now.to_sqlx() as _,
        why.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A session as its owner sees it.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub id: SessionId,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_seen_at: Timestamp,
    /// From where it began.
    pub address: String,
    /// What the browser calls itself.
    pub agent: String,
}

/// Somebody's sessions that are in force, the newest in front.
///
/// # Errors
/// The database's.
pub async fn list(
    conn: &mut PgConnection,
    staff: StaffId,
    now: Timestamp,
) -> sqlx::Result<Vec<Listed>> {
    let rows = sqlx::query!(
        "select id, created_at, last_seen_at, address, agent
         from staff_session
         where staff_id = $1 and ended_at is null and last_seen_at > $2 and created_at > $3
         order by last_seen_at desc, id desc",
        staff as _,
        before(now, IDLE).to_sqlx() as _,
        before(now, ABSOLUTE).to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    let listed = rows.into_iter().map(|row| Listed {
        id: row.id,
        created_at: row.created_at.to_jiff(),
        last_seen_at: row.last_seen_at.to_jiff(),
        address: row.address,
        agent: row.agent,
    });
    Ok(listed.collect())
}

fn before(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.saturating_sub(span).unwrap_or(Timestamp::MIN)
}
