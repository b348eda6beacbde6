//! The list of who may not be texted.

use std::io::IsTerminal;

use crate::{
    cli::{Done, moment, numbers::Format, pseudonym},
    consent::Silent,
};

/// Prints who may not be texted.
pub(super) fn print(silent: &[Silent], format: Format) -> Done {
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(silent)?),
        Format::Table if silent.is_empty() && std::io::stdout().is_terminal() => {
            println!("Nobody is opted out.");
        }
        Format::Table => {
            println!(
                "{:<6}  {:<8}  {:<20}  {:<13}  {:<7}  EVIDENCE",
                "NUMBER", "PERSON", "SINCE", "RULE", "CHANNEL"
            );
            for one in silent {
                println!(
                    "…{:<5}  {:<8}  {:<20}  {:<13}  {:<7}  {}",
                    one.last_two_digits,
                    pseudonym(one.person),
                    moment(one.since),
                    one.rule,
                    one.channel.as_deref().unwrap_or("-"),
                    one.evidence.as_deref().unwrap_or("-"),
                );
            }
        }
    }
    Ok(())
}
