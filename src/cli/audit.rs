//! `maskline audit`: what proves that no record of the trail was changed.

mod key;
mod retain;
mod show;

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{Done, Failure, by::By, list::Format};
use crate::{
    audit::{
        self, checkpoint, export,
        note::{Signer, Verifier},
        verify::{Judge, Kept, Report},
        walk,
    },
    config,
};

/// After how many records progress is told.
const PROGRESS: u64 = 1_000_000;
/// What the names of kept checkpoints begin with in a folder.
const KEPT: &str = "checkpoint-";

/// Proves that no record was changed, and keeps what proves it.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Recompute the seal of every record and say which one is not what it was.
    ///
    /// Reads the database, or an export where there is none. Compares each record with its leaf, and the
    /// tree of all leaves with every checkpoint: those in the database, and those kept outside. Only
    /// the latter prove something against whoever can change the database. Exit code 0: intact; 1: not
    /// intact, or it could not be found out.
    #[command(after_help = "\
Example:  maskline audit verify
          maskline audit verify --key mask.example+0123abcd+AX… --checkpoints /mnt/kept
          maskline audit verify --export trail.jsonl --key mask.example+0123abcd+AX… \\
              --checkpoints checkpoint-00000000000000012345.txt       without any database")]
    Verify(Verify),
    /// Print the newest signed checkpoint; sign one first if something was sealed since.
    ///
    /// Needs `MASKLINE_AUDIT_KEY` to sign. Keep what it prints where nobody can change it who can change
    /// the database: in a mail to your lawyer, in another company's storage, on paper.
    #[command(after_help = "Example:  maskline audit checkpoint > checkpoint-$(date +%F).txt")]
    Checkpoint,
    /// Make a key pair for signing checkpoints.
    ///
    /// The private key goes to `MASKLINE_AUDIT_KEY`, or into the file that `MASKLINE_AUDIT_KEY_FILE` names,
    /// readable to nobody but Maskline. Keep a copy offline: who has it can sign in your name, and without
    /// it the log cannot be continued under this name. The public key is no secret. Give it to
    /// whoever is to verify, and keep it apart from the database: a key that is fetched from what it is
    /// to prove proves nothing.
    #[command(after_help = "\
Example:  maskline audit key mask.example
          maskline audit key mask.example --private /etc/maskline/audit-key    prints the public key only")]
    Key(key::Key),
    /// Show what was said in a conversation, or what a task is about, words opened. That you looked is
    /// put on record first.
    ///
    /// People stand in it by the end of their ids. `maskline conversations list` and `maskline tasks
    /// list` show the ids of conversations.
    #[command(
        after_help = "Example:  maskline audit show 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94 --format json"
    )]
    Show {
        /// The whole id of the conversation or of the task.
        #[arg(value_name = "ID")]
        id: Uuid,
        /// A table for people, JSON for programs.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Who looks.
        #[command(flatten)]
        by: By,
    },
    /// Remove whole months that are older than `MASKLINE_AUDIT_KEEP_MONTHS`, with a signed manifest.
    ///
    /// A month goes only if every record of it is sealed, the whole trail is intact, a signed checkpoint
    /// counts it (in every place of `MASKLINE_AUDIT_CHECKPOINTS`, if that is set), and no legal hold
    /// covers any of its records. The fingerprints of its records stay, so that all that was ever proven
    /// can still be. Run it with the `DATABASE_URL` of the trail's owner: the service may not do this.
    #[command(after_help = "\
Example:  maskline audit retain --preview
          maskline audit retain --manifests /mnt/kept")]
    Retain(retain::Retain),
    /// Write all that is sealed as lines of JSON, with leaves, hashes and checkpoints.
    ///
    /// Words stay encrypted in it. Verify it anywhere with `maskline audit verify --export`.
    #[command(after_help = "Example:  maskline audit export trail.jsonl")]
    Export {
        /// The file to write; it must not be there yet.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// What to verify.
#[derive(Debug, Args)]
pub struct Verify {
    /// The public key that checkpoints must be signed with; may be repeated, for one that was
    /// replaced. Without it that of `MASKLINE_AUDIT_KEY`.
    #[arg(long = "key", value_name = "VERIFIER")]
    keys: Vec<Verifier>,
    /// Checkpoints that were kept: a file, or a folder of files named checkpoint-…; may be repeated.
    #[arg(long, value_name = "FOLDER|FILE")]
    checkpoints: Vec<PathBuf>,
    /// An export to verify instead of the database.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
}

/// Runs one of the commands.
///
/// # Errors
/// When the trail is not intact, or the settings, the database or a file cannot be used.
pub async fn run(config: Option<&Path>, command: Audit) -> Done {
    match command {
        Audit::Verify(what) => verify(config, what).await,
        Audit::Checkpoint => print_checkpoint(config).await,
        Audit::Key(what) => key::make(&what),
        Audit::Retain(what) => retain::run(config, what).await,
        Audit::Show { id, format, by } => look(config, id, format, &by).await,
        Audit::Export { file } => {
            let db = super::open(config).await?;
            let to = private_file(&file)?;
            let mut conn = db.acquire().await?;
            let count = export::write(&mut conn, BufWriter::new(to), tell).await?;
            println!("{count} records in {}", file.display());
            Ok(())
        }
    }
}

fn tell(seen: u64, of: u64) {
    if seen.is_multiple_of(PROGRESS) {
        eprintln!("{seen} of {of} records");
    }
}

/// Shows a conversation, once it is on record who looked at it.
async fn look(config: Option<&Path>, id: Uuid, format: Format, by: &By) -> Done {
    let (db, pen) = super::open_with_pen(config).await?;
    let mut tx = db.begin().await?;
    let now = super::now(&mut tx).await?;
    let record = by.record("audit_show", &format!("words of {id} were read"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    let mut conn = db.acquire().await?;
    let gaps = audit::show::gaps(&mut conn, id).await?;
    show::print(&gaps, &audit::show::records(&mut conn, &pen.vault, id).await?, format)
}

async fn verify(config: Option<&Path>, what: Verify) -> Done {
    let kept =
        what.checkpoints.iter().map(|path| read_kept(path)).collect::<Result<Vec<_>, _>>()?;
    let kept: Vec<Kept> = kept.into_iter().flatten().collect();
    let keys = |signer: Option<&Signer>| match signer {
        Some(signer) if what.keys.is_empty() => vec![signer.verifier()],
        _ => what.keys.clone(),
    };
    let (report, has_key) = if let Some(file) = &what.export {
        let keys = keys(config::audit(config)?.signer.as_deref());
        let has_key = !keys.is_empty();
        let from = File::open(file).map_err(|error| cannot("read", file, &error))?;
        let progress = |seen: u64| tell(seen, seen);
        (export::verify(BufReader::new(from), Judge::new(keys, kept), progress)?, has_key)
    } else {
        let (url, audit) = config::database_url_and_audit(config)?;
        let keys = keys(audit.signer.as_deref());
        let has_key = !keys.is_empty();
        let db = super::open_at(&url).await?;
        let mut conn = db.acquire().await?;
        (walk::verify(&mut conn, Judge::new(keys, kept), tell).await?, has_key)
    };
    say(&report, has_key)
}

fn say(report: &Report, has_key: bool) -> Done {
    for finding in &report.findings {
        println!("WRONG  {finding}");
    }
    if report.more > 0 {
        println!("WRONG  and {} more", report.more);
    }
    if !report.is_intact() {
        return Err("the trail is not intact; the first finding names where to begin".into());
    }
    println!(
        "intact: {} records, {} checkpoints in the trail, {} kept outside",
        report.records, report.checkpoints, report.kept
    );
    for gone in &report.removed {
        println!(
            "{} records of {} removed by retention on {}",
            gone.records,
            gone.month,
            super::moment(gone.removed_at)
        );
    }
    if report.covered < report.records {
        println!("{} of them are under no checkpoint yet", report.records - report.covered);
    }
    if report.unsealed > 0 {
        println!("{} records are newer and not sealed yet", report.unsealed);
    }
    if report.kept == 0 {
        println!(
            "no kept checkpoint was given: whoever can change the whole database could have sealed it anew"
        );
    }
    if !has_key {
        println!("no --key was given: signatures were not checked");
    }
    if let Some(root) = report.root {
        println!("root {root}");
    }
    Ok(())
}

/// The checkpoints in a file, or in a folder's files.
fn read_kept(path: &Path) -> Result<Vec<Kept>, Failure> {
    let read = |path: &Path| -> Result<Kept, Failure> {
        let note = fs::read_to_string(path).map_err(|error| cannot("read", path, &error))?;
        Ok(Kept { note, name: format!("the kept checkpoint {}", path.display()) })
    };
    if !path.is_dir() {
        return Ok(vec![read(path)?]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| cannot("read", path, &error))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(KEPT.as_bytes()))
        {
            found.push(read(&path)?);
        }
    }
    if found.is_empty() {
        return Err(format!("there is no file {KEPT}… in {}", path.display()).into());
    }
    Ok(found)
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    format!("cannot {what} {}: {error}", path.display()).into()
}

async fn print_checkpoint(config: Option<&Path>) -> Done {
    let (url, audit) = config::database_url_and_audit(config)?;
    let db = super::open_at(&url).await?;
    let mut tx = db.begin().await?;
    let note = if let Some(signer) = &audit.signer {
        checkpoint::sign(&mut tx, signer).await?
    } else {
        eprintln!("MASKLINE_AUDIT_KEY is not set: this is the newest that was signed before");
        checkpoint::newest(&mut tx).await?.map(|(_, _, note)| note)
    };
    tx.commit().await?;
    print!("{}", note.ok_or("nothing is signed yet")?);
    Ok(())
}

/// A new file that is nobody else's business on this computer.
fn private_file(path: &Path) -> Result<File, Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    let options = File::options().write(true).create_new(true).mode(0o600).open(path);
    options.map_err(|error| cannot("write", path, &error))
}
