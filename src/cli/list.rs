//! How lists are printed.

use std::io::IsTerminal;

use clap::ValueEnum;
use serde::Serialize;

use super::Done;

/// How a list is printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// One JSON array.
    Json,
}

/// Prints a list: all of it as JSON for programs, or as the `table` that this prints. Where nothing is
/// listed somebody at a terminal is told that in words, and a program sees the heading alone.
pub(super) fn print<T: Serialize>(
    list: &[T],
    format: Format,
    none: &str,
    table: impl FnOnce(&[T]),
) -> Done {
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(list)?),
        Format::Table if list.is_empty() && std::io::stdout().is_terminal() => println!("{none}"),
        Format::Table => table(list),
    }
    Ok(())
}

/// Prints rows as they come: the elements of one JSON array, or lines of a table under its heading.
pub(super) struct Rows {
    format: Format,
    heading: fn(),
    count: usize,
}

impl Rows {
    pub(super) fn new(format: Format, heading: fn()) -> Self {
        Self { format, heading, count: 0 }
    }

    pub(super) fn row<T: Serialize>(&mut self, row: &T, line: impl FnOnce(&T)) -> Done {
        match self.format {
            Format::Json => {
                println!("{}", if self.count == 0 { "[" } else { "," });
                print!("{}", serde_json::to_string_pretty(row)?);
            }
            Format::Table => {
                if self.count == 0 {
                    (self.heading)();
                }
                line(row);
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Ends the list. Where nothing was in it, it says so as `print` does.
    pub(super) fn end(self, none: &str) {
        match self.format {
            Format::Json if self.count == 0 => println!("[]"),
            Format::Json => println!("\n]"),
            Format::Table if self.count > 0 => {}
            Format::Table if std::io::stdout().is_terminal() => println!("{none}"),
            Format::Table => (self.heading)(),
        }
    }
}
