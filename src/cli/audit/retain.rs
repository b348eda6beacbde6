//! `maskline audit retain`: months that are old enough are removed.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use sqlx::PgPool;

use super::{cannot, tell};
use crate::{
    audit::{
        self,
        note::Verifier,
        retain::{self, Month, Terms},
        verify::Judge,
        walk,
    },
    cli::{Done, Failure, ask::ask, by::By, now, open_at},
    config,
};

/// What to remove, and where to write what was.
#[derive(Debug, Args)]
pub struct Retain {
    /// Only say what would be removed, and what stays and why.
    #[arg(long)]
    preview: bool,
    /// Do not ask.
    #[arg(long, conflicts_with = "preview")]
    yes: bool,
    /// The folder for the manifests, a file for each month. Keep them where you keep checkpoints.
    #[arg(long, value_name = "FOLDER", required_unless_present = "preview")]
    manifests: Option<PathBuf>,
    /// The public key of an earlier signing key, where it was replaced; may be repeated.
    #[arg(long = "key", value_name = "VERIFIER")]
    keys: Vec<Verifier>,
    /// Who removes it.
    #[command(flatten)]
    by: By,
}

pub(super) async fn run(config: Option<&Path>, what: Retain) -> Done {
    let (url, audit) = config::database_url_and_audit(config)?;
    let keep = audit
        .keep_months
        .ok_or("MASKLINE_AUDIT_KEEP_MONTHS is not set, so records are kept for ever")?;
    let db = open_at(&url).await?;
    let mut conn = db.acquire().await?;
    let now = now(&mut conn).await?;
    let months = retain::due(&mut conn, keep, now).await?;
    preview(&months, retain::strays(&mut conn, keep, now).await?, keep);
    let ready: Vec<&Month> =
        months.iter().filter(|it| it.held.is_empty() && it.unsealed == 0).collect();
    let Some(folder) = what.manifests.filter(|_| !what.preview && !ready.is_empty()) else {
        return Ok(());
    };
    let signer = audit.signer.as_deref().ok_or(
        "MASKLINE_AUDIT_KEY is not set: what is removed must be signed, or verifying would call it missing",
    )?;
    if !retain::is_owner(&mut conn).await? {
        return Err("only the trail's owner can remove months: run this with the DATABASE_URL of the owner, who runs the migrations".into());
    }
    if !what.yes {
        ask("give --yes to remove them")?;
    }
    eprintln!("verifying the whole trail first");
    let keys = std::iter::once(signer.verifier()).chain(what.keys).collect();
    let judge = Judge::new(keys, Vec::new());
    let report = walk::verify(&mut conn, judge, tell).await?;
    if !report.is_intact() {
        return Err(
            "the trail is not intact, so nothing is removed: run `maskline audit verify`".into()
        );
    }
    drop(conn);
    let by = what.by.name();
    let terms = Terms { by: &by, signer, keep, targets: &audit.targets };
    for month in ready {
        remove(&db, month, terms, &what.by, &folder).await?;
    }
    Ok(())
}

fn preview(months: &[Month], strays: i64, keep: u32) {
    if months.is_empty() {
        println!("No month is older than {keep} whole months.");
    } else {
        println!("{:<8}  {:>12}  WHAT BECOMES OF IT", "MONTH", "RECORDS");
    }
    for month in months {
        let fate = if !month.held.is_empty() {
            format!("stays: under legal hold for {}", month.held.join(", "))
        } else if month.unsealed > 0 {
            format!("stays: {} records are not sealed", month.unsealed)
        } else {
            "is removed, its fingerprints stay".to_owned()
        };
        println!("{:<8}  {:>12}  {fate}", month.name, month.records);
    }
    if strays > 0 {
        println!("{strays} records are as old and stay: they lie in no month of their own");
    }
}

/// Removes one month: first the manifest is on disk, then the month is gone.
async fn remove(db: &PgPool, month: &Month, terms: Terms<'_>, by: &By, folder: &Path) -> Done {
    let mut tx = db.begin().await?;
    let now = now(&mut tx).await?;
    let (note, manifest) = retain::manifest(&mut tx, month, terms, now).await?;
    let file = folder.join(format!("removed-{}.txt", month.name));
    write(&file, &note)?;
    let (first, last) = (manifest.leaves.first(), manifest.leaves.last());
    let which = first.zip(last).map_or_else(
        || "no leaf".to_owned(),
        |((first, _), (_, last))| format!("leaves {first} to {last}"),
    );
    let what = format!(
        "{} records of {} removed ({which}), kept for {} months",
        manifest.records, month.name, terms.keep
    );
    audit::record(&mut tx, &[by.record("audit_retain", &what)], now).await?;
    retain::remove(&mut tx, &note, &manifest).await?;
    tx.commit().await?;
    println!(
        "{} records of {} removed; manifest: {}",
        manifest.records,
        month.name,
        file.display()
    );
    Ok(())
}

/// Writes a manifest to the disk; one of an attempt that failed is replaced.
fn write(path: &Path, note: &str) -> Result<(), Failure> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(note.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| cannot("write", path, &error))
}
