//! Whatever is texted has one meaning, and is read in time that grows with its length.

#![no_main]

use libfuzzer_sys::fuzz_target;
use maskline::command::{Command, Rule, parse, plea};

/// What is long enough to take minutes if reading takes the square of the length.
const LONG: usize = 256 * 1024;

fuzz_target!(|data: &[u8]| {
    let body = String::from_utf8_lossy(data);
    let parsed = parse(&body);
    let pleaded = plea(&body);

    match parsed {
        Command::OptOut { bare_stop, .. } => {
            assert_eq!(bare_stop, body.trim_ascii().eq_ignore_ascii_case("stop"));
        }
        Command::Join(ref code) => assert_eq!(parse(&format!("JOIN {code}")), parsed),
        Command::EndCode(ref code) => assert_eq!(parse(&format!("END {code}")), parsed),
        Command::LeaveCode(ref code) => assert_eq!(parse(&format!("LEAVE {code}")), parsed),
        Command::Empty => assert_eq!(pleaded, None),
        Command::MoveCode(ref code) => assert_eq!(parse(&format!("MOVE {code}")), parsed),
        Command::Talk { plea } => assert_eq!(plea, pleaded),
        _ => {}
    }

    let lot = lot(data);
    let same = match lot % 5 {
        0 => body.to_string(),
        1 => body.trim_ascii().to_owned(),
        2 => format!("\r\n{body}\t "),
        3 => body.to_ascii_uppercase(),
        _ => body.to_ascii_lowercase(),
    };
    assert_eq!(parse(&same), parsed, "neither white space around it nor case changes anything");
    assert_eq!(plea(&same), pleaded);
    match lot % 7 {
        0 => {
            let quoted = match parsed.rule() {
                Rule::Empty => Rule::Talk,
                rule => rule,
            };
            assert_eq!(parse(&format!("“{body}”")).rule(), quoted, "quotes change nothing either");
        }
        1 => {
            let after = plea(&format!("{body} leave me alone"));
            assert!(after.is_some(), "a wish is heard after any words");
        }
        _ => {}
    }

    // Seldom, since it takes long.
    if lot % 9973 == 7 && !body.is_empty() {
        let long = body.repeat(LONG / body.len());
        parse(&long);
        plea(&long);
    }
});

/// Draws a number by the content, so that a crash can be had again.
fn lot(data: &[u8]) -> u32 {
    data.iter().fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()))
}
