//! Checkpoints: every few seconds the sealer signs what the whole trail is.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::PgConnection;

use super::{
    kept,
    note::{Checkpoint, Signer},
    publish::{self, Target},
    tree::Frontier,
};
use crate::app::App;

/// How often one is made, where something new was sealed.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// Why no checkpoint was made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The database could not be used.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// A checkpoint that was signed before says more, or something else.
    #[error(
        "the trail has {0} records and is not what its last checkpoint says: run `maskline audit verify`"
    )]
    Contradiction(u64),
    /// More was signed and handed out than the trail still has a checkpoint of.
    #[error(
        "a checkpoint of {handed} records was handed to a place outside, and the trail's own last is of {last}: the trail is not what was signed. Run `maskline audit verify` with the checkpoints that are kept there"
    )]
    Withdrawn {
        /// How many records the greatest counts that was handed out.
        handed: u64,
        /// How many the last counts that is still there.
        last: u64,
    },
}

impl SignError {
    /// Whether the trail is not what was signed before.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Contradiction(_) | Self::Withdrawn { .. })
    }
}

/// How many records the greatest checkpoint counts that is kept in a folder outside; by default none is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outside(u64);

impl Outside {
    /// Looks into the folders, outside of any transaction: they may be slow.
    pub async fn look(targets: &[Target], signer: Option<&Signer>) -> Self {
        match signer {
            Some(signer) => Self(kept::greatest(targets, signer.name()).await),
            None => Self::default(),
        }
    }
}

/// Makes one if there is something to say and a key to sign with. `known` is what is kept outside, as far
/// as this process knows: folders may hold millions, and are not looked through each time.
pub(super) async fn tick(app: &App, known: &mut Option<Outside>) {
    let Some(signer) = &app.settings.audit.signer else { return };
    let made = make_knowing(app, signer, known).await;
    if let Err(error) = &made {
        tracing::error!(%error, "no checkpoint of the audit trail was made; trying again");
    }
    let is_refused = made.is_err_and(|error| error.is_refusal());
    if let Err(error) = note(app, is_refused).await {
        tracing::warn!(%error, "whether the audit trail is signed could not be noted");
    }
}

/// Notes whether the signer refuses, for the console and the metrics.
async fn note(app: &App, is_refused: bool) -> sqlx::Result<()> {
    sqlx::query!(
        "update audit_seal
         set refused_since = case when $1 then clock_timestamp() end
         where (refused_since is not null) <> $1",
        is_refused,
    )
    .execute(&app.db)
    .await?;
    Ok(())
}

/// Signs what is sealed so far, unless that is signed already. The newest note; none while nothing
/// is sealed.
///
/// # Errors
/// The database's, or that it would contradict what was signed before.
pub async fn make(app: &App, signer: &Signer) -> Result<Option<String>, SignError> {
    make_knowing(app, signer, &mut None).await
}

async fn make_knowing(
    app: &App,
    signer: &Signer,
    known: &mut Option<Outside>,
) -> Result<Option<String>, SignError> {
    let last = last(&mut *app.db.acquire().await?).await?;
    let last = last.map_or(0, |last| last.size.cast_unsigned());
    // What seems to contradict may have been taken away from there meanwhile.
    let outside = match *known {
        Some(outside) if outside.0 <= last => outside,
        _ => Outside::look(&app.settings.audit.targets, Some(signer)).await,
    };
    let mut tx = app.db.begin().await?;
    let made = sign(&mut tx, signer, outside).await?;
    tx.commit().await?;
    let newest = made.as_deref().and_then(|note| Checkpoint::read(note).ok());
    *known = Some(Outside(newest.map_or(0, |newest| newest.size)));
    Ok(made)
}

/// The same, within a transaction.
///
/// # Errors
/// The same.
pub async fn sign(
    conn: &mut PgConnection,
    signer: &Signer,
    outside: Outside,
) -> Result<Option<String>, SignError> {
    // Nothing is sealed meanwhile.
    let seal = sqlx::query!("select size, frontier from audit_seal for update")
        .fetch_one(&mut *conn)
        .await?;
    let size = seal.size.cast_unsigned();
    let tree = Frontier::read(size, &seal.frontier).ok_or(SignError::Contradiction(size))?;
    let last = newest(conn).await?;
    let counted = last.as_ref().map_or(0, |(counted, _, _)| counted.cast_unsigned());
    let handed = publish::published(conn).await?.max(outside.0);
    if handed > counted {
        return Err(SignError::Withdrawn { handed, last: counted });
    }
    match last {
        None if size == 0 => return Ok(None),
        Some((counted, _, _)) if counted > seal.size => return Err(SignError::Contradiction(size)),
        Some((counted, root, note)) if counted == seal.size => {
            let is_same = root == tree.root().0;
            return if is_same { Ok(Some(note)) } else { Err(SignError::Contradiction(size)) };
        }
        _ => {}
    }
    let checkpoint = Checkpoint { origin: signer.name().to_owned(), size, root: tree.root() };
    let note = signer.sign(&checkpoint.text());
    sqlx::query!(
        "insert into audit_checkpoint (size, root, note) values ($1, $2, $3)",
        seal.size,
        &checkpoint.root.0,
        note,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("update audit_seal set unsigned_since = null").execute(&mut *conn).await?;
    Ok(Some(note))
}

/// A checkpoint, and when it was signed.
#[derive(Debug)]
pub struct Signed {
    /// How many records it counts.
    pub size: i64,
    /// When it was signed.
    pub at: Timestamp,
    /// What was signed, with the signature.
    pub note: String,
}

/// The newest checkpoint, and when it was signed.
///
/// # Errors
/// The database's.
pub async fn last(conn: &mut PgConnection) -> sqlx::Result<Option<Signed>> {
    let found = sqlx::query!(
        "select size, at, note
         from audit_checkpoint
         order by size desc
         limit 1"
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|found| Signed { size: found.size, at: found.at.to_jiff(), note: found.note }))
}

/// The newest checkpoint: its size, its root and its note.
///
/// # Errors
/// The database's.
pub async fn newest(conn: &mut PgConnection) -> sqlx::Result<Option<(i64, Vec<u8>, String)>> {
    let found = sqlx::query!(
        "select size, root, note
         from audit_checkpoint
         order by size desc
         limit 1"
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|found| (found.size, found.root, found.note)))
}

/// The note of the checkpoint that counts so many records.
///
/// # Errors
/// The database's.
pub async fn of_size(conn: &mut PgConnection, size: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select note from audit_checkpoint where size = $1", size)
        .fetch_optional(conn)
        .await
}
