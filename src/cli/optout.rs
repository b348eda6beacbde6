//! `maskline optout`: opt-outs that reached staff by other means than a text.

mod list;
mod number;

use std::path::Path;

use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use sqlx::{PgConnection, PgPool};

use self::number::{OneNumber, Whom, holds};
use super::{Done, Failure, by::By, list::Format, moment, words};
use crate::{
    audit::{self, Record},
    clock::Clock,
    consent::{self, Channel, InForce},
    dispatch,
    ids::PersonId,
    people,
    phone::PhoneNumber,
    pool,
    vault::Pen,
};

/// How often a long import says how far it is, in numbers.
const PROGRESS: usize = 500;

/// Notes opt-outs that did not come by text, and takes them back.
#[derive(Debug, Subcommand)]
pub enum OptOut {
    /// Note that somebody may not be texted any more.
    ///
    /// What is queued for them is dropped, their conversations end, and the other side is told that
    /// the conversation has ended. They themselves get no text.
    #[command(after_help = "\
Example:  maskline optout add +12065550142 --evidence \"asked by phone, ticket 4711\"
          maskline optout add - --channel import --evidence \"list of 3 March\" < numbers.txt")]
    Add {
        /// Their number in E.164, such as +12065550142, or their whole id, as tasks have it; - reads many
        /// numbers from standard input, one a line.
        #[arg(value_parser = OneNumber)]
        number: Whom,
        /// What proves it, such as a ticket. Not the number itself: it is kept in one place only.
        #[arg(long, value_name = "TEXT", value_parser = words)]
        evidence: Option<String>,
        /// How it came in.
        #[arg(long, value_enum, default_value_t = Source::Staff)]
        channel: Source,
        /// Who notes it.
        #[command(flatten)]
        by: By,
    },
    /// Let somebody be texted again.
    ///
    /// Who texted an opt-out themselves should text START; this asks before it overrules them.
    #[command(
        after_help = "Example:  maskline optout remove +12065550142 --reason \"asked by mail, ticket 4712\""
    )]
    Remove {
        /// Their number in E.164, such as +12065550142, or their whole id.
        #[arg(value_parser = OneNumber)]
        number: Whom,
        /// What proves that they may be texted again, such as a ticket.
        #[arg(long, value_name = "TEXT", value_parser = words)]
        reason: String,
        /// Do not ask, even where they opted out themselves.
        #[arg(long)]
        yes: bool,
        /// Who takes it back.
        #[command(flatten)]
        by: By,
    },
    /// List who may not be texted, with the last two digits of their numbers.
    #[command(after_help = "Example:  maskline optout list --format json")]
    List {
        /// A table for people, JSON for programs.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Who looks.
        #[command(flatten)]
        by: By,
    },
}

/// How an opt-out came in.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Source {
    /// Somebody told staff.
    Staff,
    /// It stood in a list from elsewhere.
    Import,
}

/// Runs one of the commands.
///
/// # Errors
/// When the settings or the database cannot be used, or nothing fits what was asked for.
pub async fn run(config: Option<&Path>, command: OptOut) -> Done {
    match command {
        OptOut::Add { number, evidence, channel, by } => {
            let channel = match channel {
                Source::Staff => Channel::Staff,
                Source::Import => Channel::Import,
            };
            let how = How { channel, evidence, by };
            let (db, pen) = super::open_with_pen(config).await?;
            let numbers = number.read(&db, &pen.vault).await?;
            add(&db, &pen, &numbers, &how).await
        }
        OptOut::Remove { number: Whom::Many, .. } => {
            Err("remove takes one number at a time, so that each has its own reason".into())
        }
        OptOut::Remove { number, reason, yes, by } => {
            let (db, pen) = super::open_with_pen(config).await?;
            for number in number.read(&db, &pen.vault).await? {
                remove(&db, &pen, &number, (reason.clone(), yes), &by).await?;
            }
            Ok(())
        }
        OptOut::List { format, by } => {
            let (db, pen) = super::open_with_pen(config).await?;
            let mut tx = db.begin().await?;
            let listed = consent::list(&mut tx, &pen.vault).await?;
            let now = super::now(&mut tx).await?;
            let record = by.record("optout_list", &format!("listed {} opt-outs", listed.len()));
            audit::record(&mut tx, &[record], now).await?;
            tx.commit().await?;
            list::print(&listed, format)
        }
    }
}

/// What is the same for every number of one `add`.
struct How {
    channel: Channel,
    evidence: Option<String>,
    by: By,
}

/// What became of one number.
enum Added {
    Before(Timestamp),
    Now { ended: usize },
}

async fn add(db: &PgPool, pen: &Pen, numbers: &[PhoneNumber], how: &How) -> Done {
    for number in numbers {
        if how.evidence.as_ref().is_some_and(|evidence| holds(evidence, number)) {
            return Err(number_in_words("--evidence"));
        }
        if pool::find(&mut *db.acquire().await?, number).await?.is_some() {
            return Err(format!(
                "{} is one of your masked numbers; give the number of a person. Nothing was written",
                number.as_str()
            )
            .into());
        }
    }
    let (mut new, mut ended) = (0, 0);
    for (done, number) in numbers.iter().enumerate() {
        if done > 0 && done % PROGRESS == 0 {
            eprintln!("{done} of {} numbers", numbers.len());
        }
        let added = add_one(db, pen, number, how).await.map_err(|error| {
            format!("after {done} of {} numbers: {error}\nRun it again: what is written is left as it is.", numbers.len())
        })?;
        match added {
            Added::Now { ended: more } => {
                new += 1;
                ended += more;
            }
            Added::Before(since) if numbers.len() == 1 => {
                println!("{} was opted out before, since {}", number.hidden(), moment(since));
            }
            Added::Before(_) => {}
        }
    }
    let conversations = count_ended(ended);
    match numbers {
        [_] if new == 0 => {}
        [number] => println!("{} is opted out; {conversations}", number.hidden()),
        _ => println!("{new} opted out, {} were before; {conversations}", numbers.len() - new),
    }
    Ok(())
}

fn count_ended(ended: usize) -> String {
    match ended {
        0 => "no conversation was open".into(),
        1 => "1 conversation ended".into(),
        many => format!("{many} conversations ended"),
    }
}

async fn add_one(
    db: &PgPool,
    pen: &Pen,
    number: &PhoneNumber,
    how: &How,
) -> Result<Added, Failure> {
    let mut tx = db.begin().await?;
    let (person, author) = people::lock(&mut tx, &pen.vault, number, Clock::System.now()).await?;
    let now = consent::lock(&mut tx, person, None).await?;
    let added = if let Some(since) = consent::silent_since(&mut tx, person).await? {
        Added::Before(since)
    } else {
        let how_known = (how.channel, how.evidence.clone());
        let who = (person, &author);
        let ended = dispatch::opt_out(&mut tx, pen, who, how_known, now).await?;
        let record = match &how.evidence {
            Some(evidence) => {
                how.by.record("optout_add", "on this evidence").saying(&author, evidence)
            }
            None => how.by.record("optout_add", "no evidence given"),
        };
        let record = Record { person: Some(person), ..record };
        audit::record(&mut tx, &[record], now).await?;
        Added::Now { ended }
    };
    tx.commit().await?;
    Ok(added)
}

async fn remove(
    db: &PgPool,
    pen: &Pen,
    number: &PhoneNumber,
    (reason, yes): (String, bool),
    by: &By,
) -> Done {
    if holds(&reason, number) {
        return Err(number_in_words("--reason"));
    }
    let nothing = || -> Failure {
        let who = number.hidden();
        format!("{who} is not opted out, so there is nothing to remove. `maskline optout list` shows who is")
            .into()
    };
    let known = people::find(&mut *db.acquire().await?, &pen.vault, number).await?;
    let (person, author) = known.ok_or_else(nothing)?;
    let before = in_force(&mut *db.acquire().await?, person).await?;
    if !before.suppressed {
        return Err(nothing());
    }
    if let Some(at) = before.own_at {
        eprintln!(
            "{} texted an opt-out themselves on {}. To text them again without their consent may \
             break the law. Best is that they text START.",
            number.hidden(),
            moment(at)
        );
        if !yes {
            super::ask::ask("give --yes if they do want to be texted")?;
        }
    }

    let mut tx = db.begin().await?;
    let now = consent::lock(&mut tx, person, None).await?;
    let after = in_force(&mut tx, person).await?;
    if after.own_at != before.own_at || !after.suppressed {
        return Err("they texted meanwhile: look again with `maskline optout list`".into());
    }
    let record = by.record("optout_remove", "for this reason").saying(&author, &reason);
    let record = Record { person: Some(person), ..record };
    dispatch::opt_in(&mut tx, (person, &author), reason, now).await?;
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;

    println!("{} may be texted again", number.hidden());
    match after.blocked.len() {
        0 => {}
        blocked => println!(
            "Flowroute still blocks them on {blocked} of your numbers; only UNSTOP, texted there \
             by them, lifts that"
        ),
    }
    Ok(())
}

fn number_in_words(option: &str) -> Failure {
    format!("{option} holds the number itself, which is kept in one place only: leave it out there")
        .into()
}

/// What is in force for a person. Releases without the ledger silence people beside it, and only by
/// their own texts: so does one that still runs while its successor is brought in.
async fn in_force(conn: &mut PgConnection, person: PersonId) -> sqlx::Result<InForce> {
    let in_force = consent::fold(&consent::history(conn, person).await?);
    Ok(match consent::silent_since(conn, person).await? {
        Some(since) if !in_force.suppressed => {
            InForce { suppressed: true, own: true, own_at: Some(since), ..in_force }
        }
        _ => in_force,
    })
}
