//! Records as lines of JSON, one each, words opened, for programs.

use std::io::{self, Write};

use super::{
    entry::Entry,
    folder::{Folder, Sheet},
};

/// Begins the file.
pub(super) fn begin(folder: &Folder) -> io::Result<Sheet> {
    folder.file("records.jsonl")
}

/// Adds a record.
pub(super) fn record(to: &mut Sheet, entry: &Entry) -> io::Result<()> {
    serde_json::to_writer(&mut *to, entry)?;
    to.write_all(b"\n")
}
