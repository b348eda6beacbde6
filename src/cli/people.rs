//! `maskline people`: one person's data, exported for them or erased.

use std::{
    fs::File,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use sqlx::{PgConnection, PgPool};
use tokio::io::BufWriter;

use super::{
    Done, Failure,
    ask::ask,
    by::{By, refuse_numbers},
    moment,
    whose::Whose,
    words,
};
use crate::{
    audit::{self, Record, holds},
    consent,
    dispatch::{self, Erased},
    ids::PersonId,
    people::{self, About},
    vault::Pen,
};

/// Exports or erases all there is of one person.
#[derive(Debug, Subcommand)]
pub enum People {
    /// Write all there is of a person into a file, for them. That it was made is put on record first.
    ///
    /// Lines of JSON: their number, their entries on consent, what they wrote, and what reached them.
    /// Whom they talked to stands nowhere in it, unless somebody said so in words. Pictures stand in it
    /// by type and size.
    #[command(after_help = "\
Example:  maskline people export - ben.jsonl --reason \"asked by letter, case 4711\"
          maskline people export 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94 ben.jsonl --reason \"case 4711\"
          maskline people export - ben.jsonl --reason \"case 4711\" --preview")]
    Export {
        /// Whose.
        person: Whose,
        /// The file to write; it must not be there yet.
        file: PathBuf,
        /// Why.
        #[command(flatten)]
        why: Why,
        /// Only say what there is, and write nothing.
        #[arg(long)]
        preview: bool,
    },
    /// Erase a person: destroy the key to all that they wrote, and their number. Nothing brings it back.
    ///
    /// Their conversations end, and the others are told that. What waits by them or for them is dropped,
    /// their pictures are removed by `maskline serve` within an hour or so. All records stay in
    /// their place, without words that anybody could read, and verifying still proves them. An opt-out
    /// of theirs stays in force. A legal hold wins.
    #[command(after_help = "\
Example:  maskline people erase - --reason \"asked by letter\" --case 4711 --preview
          maskline people erase 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94 --reason \"asked by letter\"

Backups from before hold their key until you have changed the master key and destroyed the old one:
see docs/privacy.md.")]
    Erase {
        /// Whom.
        person: Whose,
        /// Why.
        #[command(flatten)]
        why: Why,
        /// Only say what there is, and what would become of it.
        #[arg(long)]
        preview: bool,
        /// Do not ask.
        #[arg(long, conflicts_with = "preview")]
        yes: bool,
    },
}

/// Why it is done, and who does it.
#[derive(Debug, Args)]
pub struct Why {
    /// Why, such as "asked by letter". It stays readable: no names and no phone numbers.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    /// The case or ticket.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    case: Option<String>,
    /// Who does it.
    #[command(flatten)]
    by: By,
}

impl Why {
    fn check(&self) -> Done {
        refuse_numbers("--reason", &self.reason)?;
        self.case.as_ref().map_or(Ok(()), |case| refuse_numbers("--case", case))
    }

    /// The record of what was done. The reason is sealed under Maskline's own key: it outlives theirs.
    fn record(&self, rule: &'static str, what: &str, person: PersonId, pen: &Pen) -> Record {
        let reason = match &self.case {
            Some(case) => format!("{} (case {case})", self.reason),
            None => self.reason.clone(),
        };
        let record = self.by.record(rule, what).saying(pen.vault.own(), &reason);
        Record { person: Some(person), ..record }
    }
}

/// Runs one of the commands.
///
/// # Errors
/// When the settings, the database or the file cannot be used, there is no such person, or a legal
/// hold keeps them.
pub async fn run(config: Option<&Path>, command: People) -> Done {
    let (db, pen) = super::open_with_pen(config).await?;
    let mut conn = db.acquire().await?;
    match command {
        People::Export { person, file, why, preview } => {
            why.check()?;
            let person = person.find(&mut conn, &pen.vault).await?;
            let about = present(&mut conn, person).await?;
            drop(conn);
            if preview {
                looked(&db, &pen, person, &why).await?;
                would_export(person, &about);
                return Ok(());
            }
            export(&db, &pen, person, &file, &why).await
        }
        People::Erase { person, why, preview, yes } => {
            why.check()?;
            let person = person.find(&mut conn, &pen.vault).await?;
            let about = present(&mut conn, person).await?;
            let held = holds::on_person(&mut conn, person).await?;
            drop(conn);
            if !yes {
                looked(&db, &pen, person, &why).await?;
            }
            show(person, &about, &held);
            if !held.is_empty() {
                return Err(is_held(&held));
            }
            if preview {
                return Ok(());
            }
            if !yes {
                ask("give --yes to erase them")?;
            }
            erase(&db, &pen, person, &why).await
        }
    }
}

/// What there is of a person who was not forgotten.
async fn present(conn: &mut PgConnection, person: PersonId) -> Result<About, Failure> {
    let about = people::about(conn, person).await?;
    let about = about.ok_or("there is no person with that id: give the whole one")?;
    match about.erased_at {
        Some(at) => Err(format!("this person was erased on {}", moment(at)).into()),
        None => Ok(about),
    }
}

fn is_held(matters: &[String]) -> Failure {
    format!(
        "nothing was erased: a legal hold keeps what there is of them ({}). See `maskline holds list`",
        matters.join(", ")
    )
    .into()
}

/// Puts on record that somebody looks how much there is of a person, before they see it.
async fn looked(db: &PgPool, pen: &Pen, person: PersonId, why: &Why) -> Done {
    note(db, why.record("people_preview", "for this reason", person, pen)).await?;
    Ok(())
}

/// Puts something on record, and returns when.
async fn note(db: &PgPool, record: Record) -> Result<Timestamp, Failure> {
    let mut tx = db.begin().await?;
    let now = super::now(&mut tx).await?;
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    Ok(now)
}

fn would_export(person: PersonId, about: &About) {
    let lines = [
        (about.records_by, "records of what they wrote or did: with their words"),
        (about.records_to, "records of what they were sent: with the words, where they arrived"),
        (about.consents, "entries on consent"),
        (about.pictures, "pictures: by type and size, not themselves"),
    ];
    count(person, about, &lines);
    others(about);
}

fn show(person: PersonId, about: &About, held: &[String]) {
    let lines = [
        (
            about.records_by,
            "records of what they wrote or did: they stay, nobody can read their words",
        ),
        (about.records_to, "records of what they were sent: they stay, the others' words too"),
        (about.open_conversations, "open conversations: they end, the others are told that"),
        (about.texts, "texts wait by them or for them: they are dropped"),
        (about.pictures, "pictures: they are removed from the storage"),
        (about.consents, "entries on consent: they stay, without what staff wrote"),
    ];
    count(person, about, &lines);
    if about.is_silent {
        println!("They are opted out. That is heeded further on, by a keyed tag of their number.");
    }
    others(about);
    for matter in held {
        println!("Under legal hold: {matter}");
    }
}

fn count(person: PersonId, about: &About, lines: &[(i64, &str)]) {
    println!("{person}, known since {}", moment(about.first_seen_at));
    for (count, what) in lines {
        println!("{count:>8}  {what}");
    }
}

fn others(about: &About) {
    for phone in &about.other_phones {
        println!("They had another phone, which is a person of its own: {phone}");
    }
}

async fn erase(db: &PgPool, pen: &Pen, person: PersonId, why: &Why) -> Done {
    let mut tx = db.begin().await?;
    let now = consent::lock(&mut tx, person, None).await?;
    let erased = dispatch::erase(&mut tx, pen, person, now).await?;
    let (conversations, texts, pictures, is_silent) = match erased {
        Erased::Gone => return Err("this person was erased meanwhile".into()),
        Erased::Held(matters) => return Err(is_held(&matters)),
        Erased::Now { conversations, texts, pictures, is_silent } => {
            (conversations, texts, pictures, is_silent)
        }
    };
    let record = why.record("people_erase", "for this reason", person, pen);
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    println!(
        "erased: {conversations} conversations ended, {texts} texts dropped, {pictures} pictures are \
         removed by `maskline serve` within an hour or so"
    );
    if is_silent {
        println!("Their opt-out stays in force, should they text again.");
    }
    println!(
        "Backups from before still hold their key. To make those unreadable, too, change the master \
         key (`maskline keys rotate`) and destroy the old one."
    );
    Ok(())
}

async fn export(db: &PgPool, pen: &Pen, person: PersonId, file: &Path, why: &Why) -> Done {
    let opened = File::options().write(true).create_new(true).mode(0o600).open(file);
    let to = opened.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let now = note(db, why.record("people_export", "for this reason", person, pen)).await?;
    let mut conn = db.acquire().await?;
    let mut to = BufWriter::new(tokio::fs::File::from_std(to));
    let count = people::export::write(&mut conn, &pen.vault, person, now, &mut to).await?;
    to.into_inner().sync_all().await?;
    println!("{count} records in {}", file.display());
    Ok(())
}
