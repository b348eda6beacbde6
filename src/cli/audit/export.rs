//! `maskline audit export`: the sealed trail, or what a search finds, for others.

use std::{
    io::{BufWriter, IsTerminal, Seek},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use sqlx::{PgConnection, PgPool};

use super::{
    cannot,
    filters::{Filters, Whom},
    private_file, telling,
};
use crate::{
    audit::{
        self, Record,
        checkpoint::{self, Outside},
        export::{self, ExportError},
        extract::{self, Folder, Kind, Order, Progress},
        note::{Checkpoint, Signer},
        search::Query,
    },
    cli::{
        Done, Failure,
        by::{By, name, refuse_numbers},
        now, open, open_at, words,
    },
    config,
    vault::Vault,
};

/// How it is used.
pub(super) const EXAMPLES: &str = "\
Example:  maskline audit export trail.jsonl
          maskline audit export case-17 --format csv --conversation 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94 \\
              --reason \"subpoena\" --case 2026-CV-17
          maskline audit export march --format html --person - --from 2026-03-01 --until 2026-04-01 \\
              --zone America/New_York --reason \"asked by the court\"
          maskline audit export march-lines --from 2026-03-01 --until 2026-04-01 --zone UTC \\
              --reason \"our own archive\"
          maskline audit export held --format rsmf --held --reason \"disclosure\" --case 2026-CV-17

The folder holds words that anybody can read: hand it over as you would the phones themselves.";

/// What to export, and how.
#[derive(Debug, Args)]
pub struct Export {
    /// The file of lines, or the folder, to write; it must not be there yet.
    #[arg(value_name = "FILE|FOLDER")]
    to: PathBuf,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Written::Jsonl)]
    format: Written,
    #[command(flatten)]
    filters: Filters,
    /// Texts with this in their words.
    #[arg(long, value_name = "TEXT")]
    keyword: Option<String>,
    /// An earlier checkpoint, by the number of records that it counts: the same export once more.
    #[arg(long, value_name = "RECORDS")]
    checkpoint: Option<u32>,
    /// Why, such as "subpoena". It stands in the manifest: no names and no phone numbers.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: Option<String>,
    /// The case or ticket.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    case: Option<String>,
    /// Who approved it, where somebody has to. It stands in the manifest.
    #[arg(long, value_name = "NAME", value_parser = name)]
    approver: Option<String>,
    /// Who asks for it.
    #[command(flatten)]
    by: By,
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Written {
    /// All that is sealed, as lines of JSON in a file, words encrypted; or what is found, in a folder.
    Jsonl,
    /// What is found, as a table for spreadsheets.
    Csv,
    /// What is found, as pages to read and to print.
    Html,
    /// What is found, as RSMF 2.0, for the programs of lawyers.
    Rsmf,
}

/// Writes one.
pub(super) async fn run(config: Option<&Path>, what: Export) -> Done {
    let kind = match what.format {
        Written::Jsonl if !is_filtered(&what) => return sealed(config, &what).await,
        Written::Jsonl => Kind::Jsonl,
        Written::Csv => Kind::Csv,
        Written::Html => Kind::Html,
        Written::Rsmf => Kind::Rsmf,
    };
    let reason = what.reason.as_deref().ok_or("--reason is needed: words leave the trail")?;
    refuse_numbers("--reason", reason)?;
    what.case.as_deref().map_or(Ok(()), |case| refuse_numbers("--case", case))?;
    let (url, (masters, audit)) = config::database_url_pen_and_audit(config)?;
    let signer = audit.signer.ok_or(
        "MASKLINE_AUDIT_KEY is not set: an export is signed, so that others can verify it. Make a key with `maskline audit key`",
    )?;
    let db = open_at(&url).await?;
    let vault = Vault::open(&mut *db.acquire().await?, &masters).await?;
    let folder = Folder::create(&what.to).map_err(|error| cannot("make", &what.to, &error))?;
    let outside = Outside::look(&audit.targets, Some(&signer)).await;
    let (query, note) = noted(&db, &vault, (&signer, outside), &what, reason).await?;
    let mut tx = db.begin().await?;
    let requester = what.by.name();
    let order = Order {
        requester: &requester,
        approver: what.approver.as_deref(),
        reason,
        case: what.case.as_deref(),
        kind,
        checkpoint: &note,
    };
    let is_watched = std::io::stderr().is_terminal();
    let progress = |far: Progress| {
        if is_watched {
            eprint!(
                "\r{} records, {} of {} conversations",
                far.records, far.conversations, far.conversations_in_all
            );
        }
    };
    let made = extract::write(&mut tx, &vault, &query, order, &signer, folder, progress).await?;
    tx.commit().await?;
    if is_watched {
        eprintln!();
    }
    println!("{} in {}", made.counted(), what.to.display());
    let excluded = made.excluded.erased + made.excluded.unreadable;
    if excluded > 0 {
        println!("The words of {excluded} of them cannot be read: see excluded.csv");
    }
    if made.excluded.withheld > 0 {
        println!(
            "What staff wrote about {} of their deeds is not handed out: see excluded.csv",
            made.excluded.withheld
        );
    }
    Ok(())
}

/// Whether what a search finds is to be written, and not the whole sealed trail.
fn is_filtered(what: &Export) -> bool {
    !what.filters.is_empty() || what.keyword.is_some() || what.checkpoint.is_some()
}

/// The trail as it is sealed.
async fn sealed(config: Option<&Path>, what: &Export) -> Done {
    let db = open(config).await?;
    let to = private_file(&what.to)?;
    let mut tx = db.begin().await?;
    let now = now(&mut tx).await?;
    let record = what.by.record("audit_export", "an export of the whole trail, words encrypted");
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    let mut conn = db.acquire().await?;
    loop {
        match export::write(&mut conn, BufWriter::new(&to), telling()).await {
            Ok(count) => {
                println!("{count} records in {}", what.to.display());
                return Ok(());
            }
            Err(ExportError::Removed) => {
                eprintln!("a month was removed by retention meanwhile: all is written once more");
                to.set_len(0)?;
                (&to).rewind()?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Puts on record who exports what: what that is, and the checkpoint that covers it.
async fn noted(
    db: &PgPool,
    vault: &Vault,
    signing: (&Signer, Outside),
    what: &Export,
    reason: &str,
) -> Result<(Query, String), Failure> {
    let mut tx = db.begin().await?;
    let now = now(&mut tx).await?;
    let record = |told: &str| -> Record {
        let why = match &what.case {
            Some(case) => format!("{reason} (case {case})"),
            None => reason.to_owned(),
        };
        what.by.record("audit_export", told).saying(vault.own(), &why)
    };
    let Whom::Known(person) = what.filters.whom(&mut tx, vault).await? else {
        let record = record("an export of a person by a number that nobody has");
        audit::record(&mut tx, &[record], now).await?;
        tx.commit().await?;
        return Err("nobody with this number is known: there is nothing of them here".into());
    };
    let filter = what.filters.filter(&mut tx, person).await?;
    let note = covering(&mut tx, signing, what.checkpoint).await?;
    let size = Checkpoint::read(&note)?.size;
    let query = Query::new(filter, what.keyword.as_deref(), None, now)?;
    let query = query.covered_by(size.cast_signed());
    let approved = what.approver.as_ref().map(|name| format!(", approved by {name}"));
    let approved = approved.unwrap_or_default();
    let told = format!("an export of {query}, of the first {size} records{approved}");
    audit::record(&mut tx, &[record(&told)], now).await?;
    tx.commit().await?;
    Ok((query, note))
}

/// The checkpoint that counts so many records, or the newest.
async fn covering(
    conn: &mut PgConnection,
    (signer, outside): (&Signer, Outside),
    size: Option<u32>,
) -> Result<String, Failure> {
    match size {
        Some(size) => checkpoint::of_size(conn, size.into()).await?.ok_or_else(|| {
            "there is no checkpoint that counts so many records: see the manifest of the earlier export".into()
        }),
        None => checkpoint::sign(conn, signer, outside).await?.ok_or_else(|| {
            "nothing is sealed yet: `maskline serve` does that within seconds".into()
        }),
    }
}
