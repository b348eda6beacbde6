//! How pages say times, spans and who somebody is.

use jiff::{SignedDuration, Timestamp};

/// A time as pages show it, always in UTC.
pub(super) fn moment(at: &Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// What stands for a person or a conversation: the end of its id.
pub(super) fn pseudonym(id: impl std::fmt::Display) -> String {
    crate::cli::pseudonym(id)
}

/// The day of a time, in UTC.
pub(super) fn day(at: &Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// The time of day, in UTC.
pub(super) fn clock(at: &Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// A number as people read it, in groups of three.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
pub(super) fn count(number: &i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut said = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            said.push('\u{202f}');
        }
        said.push(digit);
    }
    if *number < 0 { format!("\u{2212}{said}") } else { said }
}

/// How long ago or ahead a time is, in one unit, such as `3 hours ago` and `in 2 days`.
pub(super) fn distance(at: &Timestamp, now: &Timestamp) -> String {
    let apart = at.duration_since(*now);
    let span = span(apart.abs());
    if apart.abs() < SignedDuration::from_mins(1) {
        "just now".to_owned()
    } else if apart.is_negative() {
        format!("{span} ago")
    } else {
        format!("in {span}")
    }
}

/// A span of so many seconds.
#[expect(clippy::cast_possible_truncation, reason = "a span of seconds, far from the edge")]
pub(super) fn seconds(seconds: f64) -> String {
    span(SignedDuration::from_secs(seconds as i64))
}

/// A span in its largest whole unit.
pub(super) fn span(span: SignedDuration) -> String {
    let (count, unit) = match span.as_secs() {
        seconds @ ..60 => (seconds, "second"),
        seconds @ 60..3_600 => (seconds / 60, "minute"),
        seconds @ 3_600..172_800 => (seconds / 3_600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    let many = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{many}")
}

/// What a browser calls itself, as people know it: the program and the system.
pub(super) fn browser(agent: &str) -> String {
    let first = |words: &[(&str, &'static str)]| {
        words.iter().find(|(word, _)| agent.contains(word)).map(|(_, name)| *name)
    };
    // Each says the names of those it came after, too.
    let program = first(&[
        ("Edg/", "Edge"),
        ("Firefox/", "Firefox"),
        ("HeadlessChrome/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iPadOS"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (program, system) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(program), None) => program.to_owned(),
        _ => "a browser that does not say which".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_in_one_unit() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for (at, said) in [
            ("2026-03-01T12:00:30Z", "just now"),
            ("2026-03-01T11:58:59Z", "1 minute ago"),
            ("2026-03-01T15:59:00Z", "in 3 hours"),
            ("2026-02-27T12:00:00Z", "2 days ago"),
            ("2026-03-02T13:00:00Z", "in 25 hours"),
        ] {
            assert_eq!(distance(&at.parse().unwrap(), &now), said);
        }
    }

    #[test]
    fn browsers_are_known_by_their_own_names() {
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                    Chrome/142.0 Safari/537.36 Edg/142.0";
        assert_eq!(browser(edge), "Edge on Windows");
        assert_eq!(
            browser("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko Firefox/145.0"),
            "Firefox on Linux"
        );
        assert_eq!(browser(""), "a browser that does not say which");
    }
}
