//! Records as a table (RFC 4180), for spreadsheets.

use std::io;

use csv::{Terminator, WriterBuilder};
use jiff::Timestamp;

use super::{
    entry::{Entry, Why},
    folder::{Folder, Sheet},
};

const HEAD: [&str; 14] = [
    "leaf",
    "record",
    "at",
    "conversation",
    "kind",
    "rule",
    "person",
    "recipient",
    "masked_number",
    "carrier_id",
    "text",
    "words",
    "media",
    "detail",
];

/// A table that is being written.
pub(super) struct Table(csv::Writer<Sheet>);

impl Table {
    /// Begins one under this name, with this first line.
    fn new(folder: &Folder, name: &str, head: &[&str]) -> io::Result<Self> {
        let sheet = folder.file(name)?;
        let mut to = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(sheet);
        to.write_record(head)?;
        Ok(Self(to))
    }

    fn row(&mut self, cells: &[String]) -> io::Result<()> {
        let cells = cells.iter().map(|cell| harmless(cell));
        Ok(self.0.write_record(cells.map(String::into_bytes))?)
    }

    pub(super) fn close(self, folder: &mut Folder) -> io::Result<()> {
        let sheet = self.0.into_inner().map_err(csv::IntoInnerError::into_error)?;
        folder.close(sheet)
    }
}

/// Begins the table of all records.
pub(super) fn records(folder: &Folder) -> io::Result<Table> {
    Table::new(folder, "records.csv", &HEAD)
}

/// Adds a record.
pub(super) fn record(table: &mut Table, entry: &Entry) -> io::Result<()> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let id = |id: Option<String>| id.unwrap_or_default();
    table.row(&[
        entry.leaf.to_string(),
        entry.id.to_string(),
        entry.at.to_string(),
        id(entry.conversation.map(|id| id.to_string())),
        entry.kind.clone(),
        text(&entry.rule),
        id(entry.person.map(|person| person.to_string())),
        id(entry.recipient.map(|person| person.to_string())),
        text(&entry.masked_number),
        text(&entry.carrier_id),
        id(entry.text.map(|text| text.to_string())),
        text(&entry.words),
        entry.media.as_ref().map(ToString::to_string).unwrap_or_default(),
        text(&entry.detail),
    ])
}

/// Begins the table of the records whose words are left out.
pub(super) fn excluded(folder: &Folder) -> io::Result<Table> {
    Table::new(
        folder,
        "excluded.csv",
        &["leaf", "record", "at", "conversation", "why", "erased_at"],
    )
}

/// Adds one.
pub(super) fn exclude(table: &mut Table, entry: &Entry, why: Why) -> io::Result<()> {
    let erased_at: Option<Timestamp> = match why {
        Why::Erased(at) => Some(at),
        Why::Unreadable | Why::Withheld => None,
    };
    table.row(&[
        entry.leaf.to_string(),
        entry.id.to_string(),
        entry.at.to_string(),
        entry.conversation.map(|id| id.to_string()).unwrap_or_default(),
        why.as_str().to_owned(),
        erased_at.map(|at| at.to_string()).unwrap_or_default(),
    ])
}

/// A cell that no spreadsheet takes for a formula: whoever texts chooses the words.
fn harmless(cell: &str) -> String {
    let is_formula =
        cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0', '＝', '＋', '－', '＠']);
    if is_formula { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_compute_begins_with_a_quote() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\0=1", "＝1"] {
            assert_eq!(harmless(formula), format!("'{formula}"));
        }
        for plain in ["", "hello", " =1", "1+1", "'=1"] {
            assert_eq!(harmless(plain), plain);
        }
    }
}
