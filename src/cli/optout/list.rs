//! The list of who may not be texted.

use crate::{
    cli::{
        Done,
        list::{self, Format},
        moment, pseudonym,
    },
    consent::Silent,
};

/// Prints who may not be texted.
pub(super) fn print(silent: &[Silent], format: Format) -> Done {
    list::print(silent, format, "Nobody is opted out.", |silent| {
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
    })
}
