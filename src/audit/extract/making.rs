//! Writing the records of an export, some at a time.

use std::mem;

use sqlx::PgConnection;

use super::{ExtractError, Progress, body::Pages, entry, folder::Folder};
use crate::{
    audit::{
        pace::Pace,
        reader::Reader,
        search::{Alone, Query},
    },
    ids::ConversationId,
};

/// How many conversations, and how many records of none, are read at once.
const CHUNK: u32 = 200;
const ALONE: u32 = 1_000;

/// An export while it is written.
pub(super) struct Making<'a> {
    pub(super) query: &'a Query,
    pub(super) reader: Reader<'a>,
    pub(super) pages: Pages,
    pub(super) folder: Folder,
    pub(super) far: Progress,
}

impl Making<'_> {
    /// Writes what belongs to these conversations.
    pub(super) async fn conversations(
        &mut self,
        conn: &mut PgConnection,
        pace: &mut Pace,
        ids: &[ConversationId],
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), ExtractError> {
        let mut left = ids;
        while !left.is_empty() {
            let (some, rest) = left.split_at(left.len().min(pace.batch(CHUNK) as usize));
            entry::read(conn, &mut self.reader, self.query, some, |entry| {
                self.pages.add(&mut self.folder, entry).map_err(ExtractError::from)
            })
            .await?;
            self.far.conversations += some.len() as u64;
            self.far.records = self.pages.tally.records;
            progress(self.far);
            pace.rest(conn).await?;
            left = rest;
        }
        Ok(())
    }

    /// Writes what belongs to none. What the carrier reported of an earlier text may stand with its
    /// conversation already.
    pub(super) async fn alone(
        &mut self,
        conn: &mut PgConnection,
        pace: &mut Pace,
        alone: &[Alone],
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), ExtractError> {
        let mut written = mem::take(&mut self.pages.tally.leaves);
        written.sort_unstable();
        let mut left = alone;
        while !left.is_empty() {
            let (some, rest) = left.split_at(left.len().min(pace.batch(ALONE) as usize));
            entry::read_alone(conn, &mut self.reader, self.query, some, |entry| {
                if written.binary_search(&entry.leaf.cast_unsigned()).is_ok() {
                    return Ok(());
                }
                self.pages.add(&mut self.folder, entry).map_err(ExtractError::from)
            })
            .await?;
            self.far.records = self.pages.tally.records;
            progress(self.far);
            pace.rest(conn).await?;
            left = rest;
        }
        self.pages.tally.leaves.extend(written);
        Ok(())
    }
}
