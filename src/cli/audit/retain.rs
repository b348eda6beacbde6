//! `maskline audit retain`: months that are old enough are removed, all of them or those that staff granted.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::Timestamp;
use sqlx::{PgConnection, PgPool};

use super::{cannot, telling, verify::read_configured};
use crate::{
    audit::{
        self,
        granted::{self, Granted},
        note::Verifier,
        retain::{self, Month, RetainError, Terms},
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
    /// Only what was asked for and granted in the console; never asks, so that a timer can run it.
    #[arg(long)]
    granted: bool,
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

/// A month that is old enough, or was granted, or both.
struct Step {
    name: String,
    month: Option<Month>,
    granted: Option<Granted>,
}

impl Step {
    /// All months that are old enough.
    fn due(months: Vec<Month>) -> Vec<Self> {
        let step =
            |month: Month| Self { name: month.name.clone(), month: Some(month), granted: None };
        months.into_iter().map(step).collect()
    }

    /// What was granted of them, and what was granted and is not among them.
    fn granted(months: &[Month], granted: Vec<Granted>) -> Vec<Self> {
        let step = |granted: Granted| Self {
            name: granted.month.clone(),
            month: months.iter().find(|month| month.name == granted.month).cloned(),
            granted: Some(granted),
        };
        granted.into_iter().map(step).collect()
    }

    /// Why it stays; nothing where it may be removed.
    fn stays(&self, keep: u32) -> Option<String> {
        match &self.month {
            Some(month) => month.stays(),
            None => Some(format!("not a month that is older than {keep} whole months")),
        }
    }

    /// By whose wish it goes.
    fn wish(&self) -> String {
        let wish = |it: &Granted| {
            format!(
                "; asked for by {}, granted by {}, for {}",
                it.asked_by, it.granted_by, it.matter
            )
        };
        self.granted.as_ref().map(wish).unwrap_or_default()
    }
}

pub(super) async fn run(config: Option<&Path>, what: Retain) -> Done {
    let (url, audit) = config::database_url_and_audit(config)?;
    let keep = audit
        .keep_months
        .ok_or("MASKLINE_AUDIT_KEEP_MONTHS is not set, so records are kept for ever")?;
    let db = open_at(&url).await?;
    let mut conn = db.acquire().await?;
    let at = now(&mut conn).await?;
    let steps = plan(&mut conn, what.granted, keep, at).await?;
    let (stay, ready): (Vec<_>, Vec<_>) = steps.iter().partition(|it| it.stays(keep).is_some());
    let has_work = !ready.is_empty() || (what.granted && !stay.is_empty());
    let Some(folder) = what.manifests.filter(|_| !what.preview && has_work) else {
        return Ok(());
    };
    let signer = audit.signer.as_deref().ok_or(
        "MASKLINE_AUDIT_KEY is not set: what is removed must be signed, or verifying would call it missing",
    )?;
    if !retain::is_owner(&mut conn).await? {
        return Err("only the trail's owner can remove months: run this with the DATABASE_URL of the owner, who runs the migrations".into());
    }
    for step in stay {
        leave(&mut conn, step, &step.stays(keep).unwrap_or_default()).await?;
    }
    if ready.is_empty() {
        return Ok(());
    }
    if !what.yes && !what.granted {
        ask("give --yes to remove them")?;
    }
    eprintln!("verifying the whole trail first");
    let keys: Vec<Verifier> = std::iter::once(signer.verifier()).chain(what.keys).collect();
    let kept = read_configured(&audit.targets, &keys).await;
    let judge = Judge::new(keys, kept);
    if !walk::verify(&mut conn, judge, telling()).await?.is_intact() {
        for step in &ready {
            leave(&mut conn, step, "the trail is not intact").await?;
        }
        return Err(
            "the trail is not intact, so nothing is removed: run `maskline audit verify`".into()
        );
    }
    drop(conn);
    let by = what.by.name();
    let terms = Terms { by: &by, signer, keep, targets: &audit.targets };
    carry_out(&db, &ready, terms, &what.by, &folder).await
}

/// What is to be done, which is printed.
async fn plan(
    conn: &mut PgConnection,
    granted: bool,
    keep: u32,
    at: Timestamp,
) -> sqlx::Result<Vec<Step>> {
    let months = retain::due(conn, keep, at).await?;
    if granted {
        let steps = Step::granted(&months, granted::list(conn, at).await?);
        preview(&steps, "No removal is granted that is still to be done.", keep);
        return Ok(steps);
    }
    let steps = Step::due(months);
    preview(&steps, &format!("No month is older than {keep} whole months."), keep);
    let strays = retain::strays(conn, keep, at).await?;
    if strays > 0 {
        println!("{strays} records are as old and stay: they lie in no month of their own");
    }
    Ok(steps)
}

fn preview(steps: &[Step], none: &str, keep: u32) {
    if steps.is_empty() {
        println!("{none}");
    } else {
        println!("{:<8}  {:>12}  WHAT BECOMES OF IT", "MONTH", "RECORDS");
    }
    for step in steps {
        let fate = step.stays(keep).map_or_else(
            || "is removed, its fingerprints stay".to_owned(),
            |why| format!("stays: {why}"),
        );
        let records = step.month.as_ref().map_or_else(String::new, |it| it.records.to_string());
        println!("{:<8}  {records:>12}  {fate}{}", step.name, step.wish());
    }
}

/// Removes one month after the other. One that was granted and cannot be removed keeps no other from it.
async fn carry_out(db: &PgPool, ready: &[&Step], terms: Terms<'_>, by: &By, folder: &Path) -> Done {
    let mut failed = 0;
    for step in ready {
        let Err(error) = remove(db, step, terms, by, folder).await else { continue };
        if step.granted.is_none() {
            return Err(error);
        }
        eprintln!("{} stays: {error}", step.name);
        leave(&mut *db.acquire().await?, step, &error.to_string()).await?;
        let is_in_order = matches!(
            error.downcast_ref::<RetainError>(),
            Some(RetainError::Held(_) | RetainError::Gone(_))
        );
        failed += u32::from(!is_in_order);
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of the months that were granted could not be removed").into()),
    }
}

/// Notes why a month stays, for whoever asked for its removal.
async fn leave(conn: &mut PgConnection, step: &Step, why: &str) -> sqlx::Result<()> {
    let Some(granted) = &step.granted else { return Ok(()) };
    let at = now(conn).await?;
    granted::stays(conn, granted, why, at).await
}

/// Removes one month: first the manifest is on disk, then the month is gone.
async fn remove(db: &PgPool, step: &Step, terms: Terms<'_>, by: &By, folder: &Path) -> Done {
    let Some(month) = &step.month else { return Ok(()) };
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
    let request = step.granted.as_ref().map(|granted| granted.request);
    let what = format!(
        "{} records of {} removed ({which}), kept for {} months{}{}",
        manifest.records,
        month.name,
        terms.keep,
        step.wish(),
        request.map(|id| format!(" (removal {id})")).unwrap_or_default(),
    );
    audit::record(&mut tx, &[by.record("audit_retain", &what)], now).await?;
    retain::remove(&mut tx, &note, &manifest, request).await?;
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
