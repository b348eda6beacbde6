//! Asking whoever sits at the terminal.

use std::io::{BufRead, IsTerminal};

use super::Done;

/// Asks on the terminal; there is nobody to ask elsewhere, and `instead` says what to do there.
pub(super) fn ask(instead: &str) -> Done {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(format!("nobody can be asked here: {instead}").into());
    }
    eprint!("Type yes to go on: ");
    if said_yes(&mut input.lock()) { Ok(()) } else { Err("nothing was changed".into()) }
}

fn said_yes(input: &mut impl BufRead) -> bool {
    let mut answer = String::new();
    input.read_line(&mut answer).is_ok() && answer.trim() == "yes"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_word_yes_is_yes() {
        for (typed, yes) in [("yes\n", true), (" yes \n", true), ("y\n", false), ("", false)] {
            assert_eq!(said_yes(&mut typed.as_bytes()), yes, "{typed:?}");
        }
    }
}
