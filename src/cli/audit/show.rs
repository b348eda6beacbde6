//! A conversation on a terminal.

use std::io::IsTerminal;

use crate::{
    audit::show::{Gap, Shown},
    cli::{Done, list::Format, moment, pseudonym},
};

/// Prints the records of a conversation.
pub(super) fn print(gaps: &[Gap], records: &[Shown], format: Format) -> Done {
    match format {
        Format::Json => {
            let gaps = gaps.iter().map(serde_json::to_value);
            let lines = gaps.chain(records.iter().map(serde_json::to_value));
            println!("{}", serde_json::to_string_pretty(&lines.collect::<Result<Vec<_>, _>>()?)?);
        }
        Format::Table
            if records.is_empty() && gaps.is_empty() && std::io::stdout().is_terminal() =>
        {
            println!("There is no record of such a conversation.");
        }
        Format::Table => {
            for gap in gaps {
                println!(
                    "What happened in {} is not here: that month was removed by retention on {}, {} \
                     records of all conversations",
                    gap.month,
                    moment(gap.removed_at),
                    gap.records,
                );
            }
            println!("{:<20}  {:<12}  {:<8}  {:<8}  TEXT", "TIME", "RECORD", "BY", "FOR");
            for record in records {
                let who = |id| Option::map_or_else(id, || "-".into(), pseudonym);
                println!(
                    "{:<20}  {:<12}  {:<8}  {:<8}  {}",
                    moment(record.at),
                    record.kind,
                    who(record.person),
                    who(record.recipient),
                    said(record),
                );
            }
        }
    }
    Ok(())
}

/// What stands in the last column, on one line whatever somebody texted.
fn said(record: &Shown) -> String {
    let mut parts = Vec::new();
    if let Some(at) = record.erased_at {
        parts.push(format!("(words erased on {})", moment(at)));
    } else if record.is_unreadable {
        parts.push("(cannot be read any more)".to_owned());
    }
    parts.extend(record.words.as_ref().map(|words| {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        words.chars().map(plain).collect()
    }));
    if let Some(media) = record.media.as_ref().and_then(|media| media.as_array()) {
        parts.push(format!("({} pictures)", media.len()));
    }
    if record.words.is_none() {
        parts.extend(record.rule.clone());
        parts.extend(record.detail.clone());
    }
    parts.join(" ")
}
