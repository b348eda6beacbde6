//! Hands checkpoints to places outside the database, where its administrator cannot change them.
//!
//! Each place gets every checkpoint from the time on when it was first named, in their order, at
//! least once. That it cannot be reached is logged and counted, and stops no sealing.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::{self, Path, PathBuf},
    time::Duration,
};

use futures_util::future::join_all;
use reqwest::redirect::Policy;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use url::Url;

use crate::app::App;

/// How often it is looked for new ones.
const PAUSE: Duration = Duration::from_secs(2);
/// How long one that does not take them is left alone at most.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long an address may take to answer.
const CALL: Duration = Duration::from_secs(15);
/// How many are handed over in a turn.
const TURN: i64 = 100;
/// How long somebody has a turn unless they go on: longer than one call takes.
const LEASE: Duration = Duration::from_secs(20);

/// A place outside the database. It shows no address: one may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A folder that gets a file for each.
    Folder(PathBuf),
    /// An address that they are posted to.
    Address(Url),
}

/// Why a place did not take a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The database could not be used.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The folder cannot be written to.
    #[error("{0}")]
    Folder(#[from] io::Error),
    /// Another checkpoint of the same size is there: one of the two trails is not this one.
    #[error("another checkpoint of {0} records is there, and stays")]
    Contradiction(u64),
    /// The address cannot be reached.
    #[error("it cannot be reached")]
    Unreachable,
    /// The address does not take it.
    #[error("it answers {0}")]
    Refused(u16),
}

impl Target {
    /// Reads a folder or an URL.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if !text.contains("://") {
            return path::absolute(text).ok().map(Self::Folder);
        }
        let url = Url::parse(text).ok()?;
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none();
        is_plain.then_some(Self::Address(url))
    }

    /// The folder, where it is one.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Address(_) => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Folder(_) => "folder",
            Self::Address(_) => "address",
        }
    }

    /// What stands for it in the database.
    pub(super) fn digest(&self) -> [u8; 32] {
        let name = match self {
            Self::Folder(folder) => folder.as_os_str().as_encoded_bytes(),
            Self::Address(url) => url.as_str().as_bytes(),
        };
        Sha256::digest(name).into()
    }

    async fn hand(&self, size: u64, note: String) -> Result<(), PublishError> {
        match self {
            Self::Folder(folder) => {
                let folder = folder.clone();
                let written = move || keep(&folder, size, &note);
                tokio::task::spawn_blocking(written).await.map_err(io::Error::other)?
            }
            Self::Address(url) => {
                // The provider of encryption must be in place before the first client is made.
                rustls::crypto::ring::default_provider().install_default().ok();
                let http = reqwest::Client::builder().timeout(CALL).redirect(Policy::none());
                let http = http.build().map_err(|_| PublishError::Unreachable)?;
                let post =
                    http.post(url.clone()).header("content-type", "text/plain; charset=utf-8");
                // What reqwest says holds the address.
                let answer = post.body(note).send().await;
                let status = answer.map_err(|_| PublishError::Unreachable)?.status();
                if status.is_success() {
                    Ok(())
                } else {
                    Err(PublishError::Refused(status.as_u16()))
                }
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Address(url) => f.write_str(url.host_str().unwrap_or_default()),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

/// The name of a checkpoint's file. In the order of names they are in that of sizes.
pub fn file_name(size: u64) -> String {
    format!("checkpoint-{size:020}.txt")
}

/// The size that such a name says.
pub(super) fn size_of_name(name: &str) -> Option<u64> {
    let size = name.strip_prefix("checkpoint-")?.strip_suffix(".txt")?.parse().ok()?;
    (file_name(size) == name).then_some(size)
}

/// The greatest that any place was given, by what the database says.
///
/// # Errors
/// The database's.
pub(super) async fn published(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let size =
        sqlx::query_scalar!(r#"select coalesce(max(size), 0) as "size!" from audit_published"#);
    Ok(size.fetch_one(conn).await?.cast_unsigned())
}

/// Writes a file that is there whole or not at all, and never in place of another.
fn keep(folder: &Path, size: u64, note: &str) -> Result<(), PublishError> {
    fs::create_dir_all(folder)?;
    let (path, half) =
        (folder.join(file_name(size)), folder.join(format!(".{:032x}", rand::random::<u128>())));
    let linked = || {
        let mut file = File::create_new(&half)?;
        file.write_all(note.as_bytes())?;
        file.sync_all()?;
        // Unlike a renaming, it fails where something is.
        fs::hard_link(&half, &path)?;
        File::open(folder)?.sync_all()
    };
    let linked = linked();
    fs::remove_file(&half).ok();
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let is_same = fs::read(&path)? == note.as_bytes();
            if is_same { Ok(()) } else { Err(PublishError::Contradiction(size)) }
        }
        linked => Ok(linked?),
    }
}

/// Publishes until the app is draining, to each place by itself.
pub async fn run(app: App) {
    join_all(app.settings.audit.targets.iter().map(|target| go_on(&app, target))).await;
}

async fn go_on(app: &App, target: &Target) {
    let (mut pause, mut failing) = (PAUSE, false);
    while !app.draining.is_cancelled() {
        match turn(app, target).await {
            Ok(_) => {
                if failing {
                    tracing::info!(%target, "checkpoints of the audit trail are published again");
                }
                (pause, failing) = (PAUSE, false);
            }
            Err(error) => {
                metrics::counter!("maskline_audit_publish_failures_total", "target" => target.kind())
                    .increment(1);
                if !failing {
                    tracing::error!(%error, %target, "a checkpoint of the audit trail was not published; trying again");
                }
                (pause, failing) = ((pause * 2).min(LONGEST_PAUSE), true);
            }
        }
        tokio::select! {
            () = app.draining.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Hands over those that a place has not got, if nobody else does. Returns how many.
///
/// # Errors
/// Why the place did not take one; those before it are noted.
pub async fn turn(app: &App, target: &Target) -> Result<usize, PublishError> {
    let digest = target.digest();
    // A place that is new begins with the newest.
    sqlx::query!(
        "insert into audit_published (target, size)
         select $1, coalesce((select max(size) - 1 from audit_checkpoint), 0)
         on conflict do nothing",
        &digest,
    )
    .execute(&app.db)
    .await?;
    let leased = sqlx::query_scalar!(
        "update audit_published
         set leased_until = clock_timestamp() + make_interval(secs => $2)
         where target = $1 and (leased_until is null or leased_until < clock_timestamp())
         returning size",
        &digest,
        LEASE.as_secs_f64(),
    )
    .fetch_optional(&app.db)
    .await?;
    let Some(from) = leased else { return Ok(0) };
    let (mut handed, mut outcome) = (0, Ok(()));
    for (size, note) in after(app, from).await? {
        outcome = target.hand(size.cast_unsigned(), note).await;
        if outcome.is_err() {
            break;
        }
        note_published(app, &digest, size).await?;
        handed += 1;
    }
    sqlx::query!("update audit_published set leased_until = null where target = $1", &digest)
        .execute(&app.db)
        .await?;
    outcome.map(|()| handed)
}

async fn after(app: &App, size: i64) -> sqlx::Result<Vec<(i64, String)>> {
    let found = sqlx::query!(
        "select size, note
         from audit_checkpoint
         where size > $1
         order by size
         limit $2",
        size,
        TURN,
    )
    .fetch_all(&app.db)
    .await?;
    Ok(found.into_iter().map(|checkpoint| (checkpoint.size, checkpoint.note)).collect())
}

async fn note_published(app: &App, digest: &[u8], size: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update audit_published
         set size = greatest(size, $2), leased_until = clock_timestamp() + make_interval(secs => $3)
         where target = $1",
        digest,
        size,
        LEASE.as_secs_f64(),
    )
    .execute(&app.db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_and_another_never_replaces_it() {
        let folder =
            std::env::temp_dir().join(format!("maskline-keep-{:032x}", rand::random::<u128>()));
        for _ in 0..2 {
            keep(&folder, 7, "one").unwrap();
        }
        assert!(matches!(keep(&folder, 7, "other"), Err(PublishError::Contradiction(7))));
        keep(&folder, 12, "two").unwrap();
        let mut names: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [file_name(7).as_str(), &file_name(12)]);
        assert_eq!(fs::read_to_string(folder.join(file_name(7))).unwrap(), "one");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_place_is_a_folder_or_an_address_and_does_not_show_what_opens_it() {
        let shown = |text: &str| Target::read(text).map(|target| format!("{target:?}"));
        assert_eq!(shown("/var/kept").as_deref(), Some("Target(/var/kept)"));
        let address = shown("https://witness.example/hunter2?key=hunter2");
        assert_eq!(address.as_deref(), Some("Target(witness.example)"));
        for wrong in ["ftp://witness.example", "https://u:p@witness.example", "http://"] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }
}
