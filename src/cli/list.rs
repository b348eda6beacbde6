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
