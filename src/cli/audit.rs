//! `maskline audit`: what proves that no record of the trail was changed.

mod export;
mod filters;
mod key;
mod retain;
mod search;
mod show;
mod verify;

use std::{fs::File, io, path::Path};

use clap::Subcommand;
use uuid::Uuid;

use super::{Done, Failure, by::By, list::Format, said::Said};
use crate::{
    audit::{
        self,
        checkpoint::{self, Outside},
    },
    config,
};

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
    Verify(verify::Verify),
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
    /// Find conversations, and what is on record outside of any: by person, number, time, and by a word that
    /// was said. That you looked is put on record first.
    ///
    /// A conversation is found if one of its records fits all that is asked of a record (person, number,
    /// times, direction, kind, rule, media, hold, keyword), and if it fits itself (its id, a text of it,
    /// its state, flagged). A record that belongs to no conversation is found by itself, by all that is asked
    /// of a record. Newest first; FIRST, LAST and RECORDS are of those that fit. People stand in it by the
    /// end of their ids; `maskline audit show` opens the words of a conversation.
    #[command(after_help = search::EXAMPLES)]
    Search(Box<search::Search>),
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
    ///
    /// With --granted only those of them go whose removal one account asked for in the console and another
    /// granted, within 30 days of the grant. What stays, and why, is shown there. Exit code 0: each that was
    /// granted is removed or stays by rule; 1: one could not be removed that may be, or nothing was tried.
    #[command(after_help = "\
Example:  maskline audit retain --preview
          maskline audit retain --manifests /mnt/kept
          maskline audit retain --granted --manifests /mnt/kept      each night")]
    Retain(retain::Retain),
    /// Write all that is sealed as lines of JSON; or what a search finds, to be read.
    ///
    /// Lines of JSON hold everything, with leaves, hashes and checkpoints; words stay encrypted in them.
    ///
    /// The other formats, and lines of JSON where something is looked for, hold what a search with the same
    /// options finds, with the words, in a folder: conversations, whole within --from and --until, and
    /// records that belong to none. Beside them are a manifest that `MASKLINE_AUDIT_KEY` signs, and proofs
    /// that they stand in the trail. They hold what the newest checkpoint counts, or that of --checkpoint:
    /// the same export of the same checkpoint is the same, byte by byte. That it is made is put on record
    /// first. Verify either anywhere with `maskline audit verify --export`.
    #[command(after_help = export::EXAMPLES)]
    Export(Box<export::Export>),
}

/// Runs one of the commands.
///
/// # Errors
/// When the trail is not intact, or the settings, the database or a file cannot be used.
pub async fn run(config: Option<&Path>, command: Audit) -> Done {
    match command {
        Audit::Verify(what) => verify::run(config, what).await,
        Audit::Checkpoint => print_checkpoint(config).await,
        Audit::Key(what) => key::make(&what),
        Audit::Retain(what) => retain::run(config, what).await,
        Audit::Search(what) => search::run(config, *what).await,
        Audit::Show { id, format, by } => look(config, id, format, &by).await,
        Audit::Export(what) => export::run(config, *what).await,
    }
}

/// Tells at times how many records were seen, and of how many.
fn telling() -> impl FnMut(u64, u64) {
    let mut said = Said::new();
    move |seen, of| said.at_times(|| format!("{seen} of {of} records"))
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
    show::print(&mut conn, &pen.vault, id, format).await
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    format!("cannot {what} {}: {error}", path.display()).into()
}

async fn print_checkpoint(config: Option<&Path>) -> Done {
    let (url, audit) = config::database_url_and_audit(config)?;
    let db = super::open_at(&url).await?;
    let outside = Outside::look(&audit.targets, audit.signer.as_deref()).await;
    let mut tx = db.begin().await?;
    let note = if let Some(signer) = &audit.signer {
        checkpoint::sign(&mut tx, signer, outside).await?
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
