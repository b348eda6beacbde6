//! The records of an export, in files of its kind, and what is counted on the way.

use std::io;

use jiff::Timestamp;

use super::{
    Excluded, Head, Kind, csv,
    entry::{Entry, Why},
    folder::{Folder, Sheet},
    html, jsonl, rsmf,
};
use crate::audit::search::Shelf;

/// What is counted on the way.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) conversations: u64,
    pub(super) records: u64,
    /// Those of them that belong to no conversation.
    pub(super) alone: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    pub(super) excluded: Excluded,
    /// The places of the records in the sealed trail.
    pub(super) leaves: Vec<u64>,
}

/// The files while they are written.
pub(super) struct Pages {
    body: Body,
    head: Head,
    excluded: csv::Table,
    pub(super) tally: Tally,
    current: Option<Shelf>,
}

enum Body {
    Csv(Box<csv::Table>),
    Html(Box<html::Pages>),
    Jsonl(Sheet),
    Rsmf(rsmf::Slices),
}

impl Pages {
    pub(super) fn new(kind: Kind, head: Head, folder: &Folder) -> io::Result<Self> {
        let body = match kind {
            Kind::Csv => Body::Csv(Box::new(csv::records(folder)?)),
            Kind::Html => Body::Html(Box::new(html::Pages::new())),
            Kind::Jsonl => Body::Jsonl(jsonl::begin(folder)?),
            Kind::Rsmf => Body::Rsmf(rsmf::Slices::default()),
        };
        let excluded = csv::excluded(folder)?;
        Ok(Self { body, head, excluded, tally: Tally::default(), current: None })
    }

    pub(super) fn add(&mut self, folder: &mut Folder, entry: &Entry) -> io::Result<()> {
        let tally = &mut self.tally;
        tally.records += 1;
        tally.leaves.push(entry.leaf.cast_unsigned());
        tally.first = Some(tally.first.map_or(entry.at, |first| first.min(entry.at)));
        tally.last = tally.last.max(Some(entry.at));
        match entry.shelf {
            Shelf::Conversation(_) if self.current.as_ref() != Some(&entry.shelf) => {
                tally.conversations += 1;
            }
            Shelf::Conversation(_) => {}
            _ => tally.alone += 1,
        }
        self.current = Some(entry.shelf.clone());
        if let Some(why) = entry.excluded {
            match why {
                Why::Erased(_) => tally.excluded.erased += 1,
                Why::Unreadable => tally.excluded.unreadable += 1,
                Why::Withheld => tally.excluded.withheld += 1,
            }
            csv::exclude(&mut self.excluded, entry, why)?;
        }
        match &mut self.body {
            Body::Csv(table) => csv::record(table, entry),
            Body::Html(pages) => pages.record(folder, &self.head, entry),
            Body::Jsonl(sheet) => jsonl::record(sheet, entry),
            Body::Rsmf(slices) => slices.record(folder, entry),
        }
    }

    pub(super) fn close(self, folder: &mut Folder) -> io::Result<Tally> {
        match self.body {
            Body::Csv(table) => table.close(folder)?,
            Body::Html(pages) => pages.close(folder, &self.head)?,
            Body::Jsonl(sheet) => folder.close(sheet)?,
            Body::Rsmf(mut slices) => slices.close(folder)?,
        }
        self.excluded.close(folder)?;
        Ok(self.tally)
    }
}
