//! What staff write into forms: one line that is kept for years and may hold no telephone number.

use crate::{cli, phone};

/// Reads such a line; `what` names it in what is said when it cannot be taken.
pub(super) fn line(text: &str, what: &str) -> Result<String, String> {
    let words = cli::words(text).map_err(|must| format!("{what} {must}."))?;
    if phone::stands_in(&words) {
        return Err(format!(
            "{what} holds what looks like a telephone number, and those are kept in one place only: leave it out. \
             If it is something else, such as a ticket, put a letter between its digits."
        ));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_words_and_no_number() {
        assert_eq!(line(" called them ", "The outcome").unwrap(), "called them");
        for wrong in ["", "  ", "a\nb", "call 206-555-0142", &"x".repeat(501)] {
            assert!(line(wrong, "The outcome").unwrap_err().starts_with("The outcome "), "{wrong}");
        }
    }
}
