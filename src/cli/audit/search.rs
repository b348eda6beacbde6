//! `maskline audit search`: which conversations there are, and which records of none.

use std::path::Path;

use clap::Args;

use super::filters::{Filters, Whom};
use crate::{
    audit::{
        self,
        search::{self, Cursor, Found, Query},
    },
    cli::{
        Done,
        by::By,
        list::{Format, Rows},
        moment, now, open_with_pen, pseudonym,
    },
};

/// How it is used.
pub(super) const EXAMPLES: &str = "\
Example:  maskline audit search --person - --from 2026-03-01 --until 2026-04-01 --zone Europe/Berlin
          maskline audit search --number +14155550100 --kind failed --format json
          maskline audit search --from 2026-03-01 --until 2026-04-01 --zone UTC --keyword refund
          maskline audit search --external mdr2-0123456789abcdef
          maskline audit search --held --state active --limit 200

--person - reads the number from the terminal or from standard input, so that no shell remembers it.
A keyword is looked for in the words of each text, whatever its case, with --person, --conversation
or --external, or within 31 days at most. The trail keeps its length and not the word.
What the carrier reported of a text (--kind delivered, reported, failed) counts where it was promised.
A record that belongs to no conversation, such as the answer to a HELP, an opt-out or what staff did,
is a row of its own: nothing stands under CONVERSATION and STATE, and WHAT says what happened.";

/// What to find, and how to print it.
#[derive(Debug, Args)]
pub struct Search {
    #[command(flatten)]
    filters: Filters,
    /// Texts with this in their words.
    #[arg(long, value_name = "TEXT")]
    keyword: Option<String>,
    /// How many conversations and records of none at most.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Go on behind an earlier page: what it ended with, or the cursor of a row in JSON.
    #[arg(long, value_name = "CURSOR")]
    before: Option<Cursor>,
    /// A table for people, JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Who looks.
    #[command(flatten)]
    by: By,
}

/// Finds what fits, once it is on record who looks for what.
pub(super) async fn run(config: Option<&Path>, what: Search) -> Done {
    let (db, pen) = open_with_pen(config).await?;
    let mut rows = Rows::new(what.format, heading);
    let mut tx = db.begin().await?;
    let now = now(&mut tx).await?;
    let (query, told) = match what.filters.whom(&mut tx, &pen.vault).await? {
        Whom::Nobody => (None, "a person by a number that nobody has".to_owned()),
        Whom::Known(person) => {
            let filter = what.filters.filter(&mut tx, person).await?;
            let query = Query::new(filter, what.keyword.as_deref(), what.before, now)?;
            let told = query.to_string();
            (Some(query), told)
        }
    };
    let record = what.by.record("audit_search", &format!("looked for {told}"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    let Some(query) = query else {
        rows.end("Nobody with this number is known: there is nothing of them here.");
        return Ok(());
    };
    let mut tx = db.begin().await?;
    let mut failed = None;
    let show = |found: Found| {
        if let Err(error) = rows.row(&found, line) {
            failed.get_or_insert(error);
        }
    };
    let more = search::find(&mut tx, &pen.vault, &query, what.limit.into(), show).await?;
    tx.commit().await?;
    failed.map_or(Ok(()), Err)?;
    rows.end("Nothing fits.");
    if let Some(cursor) = more {
        eprintln!("There may be more. The same again with --before {cursor}");
    }
    Ok(())
}

fn heading() {
    println!(
        "{:<36}  {:<20}  {:<20}  {:>7}  {:<7}  {:<18}  {:<26}  {:<16}  FLAGS",
        "CONVERSATION", "LAST", "FIRST", "RECORDS", "STATE", "PEOPLE", "MASKED NUMBERS", "WHAT"
    );
}

fn line(found: &Found) {
    let people: Vec<String> = found.people.iter().map(pseudonym).collect();
    let flags =
        [(found.has_media, "pictures"), (found.is_flagged, "flagged"), (found.is_held, "held")];
    let flags: Vec<&str> =
        flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).collect();
    let no_state = if found.record.is_some() { "" } else { "-" };
    let what: Vec<&str> =
        [&found.kind, &found.rule].into_iter().flatten().map(|it| &**it).collect();
    println!(
        "{:<36}  {:<20}  {:<20}  {:>7}  {:<7}  {:<18}  {:<26}  {:<16}  {}",
        found.conversation.map(|id| id.to_string()).unwrap_or_default(),
        moment(found.last),
        moment(found.first),
        found.records,
        found.state.as_deref().unwrap_or(no_state),
        people.join(", "),
        found.masked_numbers.join(", "),
        what.join(" "),
        flags.join(", "),
    );
}
