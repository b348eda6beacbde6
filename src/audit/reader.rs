//! Reads sealed words of many authors, each key fetched and unwrapped once.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    ids::{PersonId, RecordId},
    vault::{Author, Field, Unreadable, Vault},
};

/// How many keys it holds at most between two batches.
const HELD: usize = 20_000;

/// Reads words on record.
pub(super) struct Reader<'a> {
    vault: &'a Vault,
    /// None where the key is gone.
    authors: HashMap<PersonId, Option<Author>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(vault: &'a Vault) -> Self {
        Self { vault, authors: HashMap::new() }
    }

    /// Fetches the keys of these people, so that their words can be read until the next call.
    pub(super) async fn meet(
        &mut self,
        conn: &mut PgConnection,
        people: impl Iterator<Item = PersonId>,
    ) -> sqlx::Result<()> {
        if self.authors.len() > HELD {
            self.authors.clear();
        }
        let mut strangers: Vec<Uuid> =
            people.filter(|id| !self.authors.contains_key(id)).map(PersonId::uuid).collect();
        strangers.sort_unstable();
        strangers.dedup();
        if strangers.is_empty() {
            return Ok(());
        }
        let keys =
            sqlx::query!("select id, wrapped_key from person where id = any($1)", &strangers,)
                .fetch_all(conn)
                .await?;
        for row in keys {
            let author = self.vault.author_of(Some(row.id), row.wrapped_key.as_deref());
            self.authors.insert(row.id, author.ok());
        }
        Ok(())
    }

    /// Takes in a key that was fetched with a record.
    pub(super) fn take(&mut self, person: PersonId, wrapped: Option<&[u8]>) {
        if self.authors.len() > HELD {
            self.authors.clear();
        }
        let vault = self.vault;
        let author = || vault.author_of(Some(person), wrapped).ok();
        self.authors.entry(person).or_insert_with(author);
    }

    /// Reads the words of a record.
    pub(super) fn words(
        &self,
        author: Option<PersonId>,
        id: RecordId,
        sealed: &[u8],
    ) -> Result<String, Unreadable> {
        self.author(author)?.read(Field::RecordBody, id, sealed)
    }

    /// Reads the media of a record.
    pub(super) fn media(
        &self,
        author: Option<PersonId>,
        id: RecordId,
        sealed: &[u8],
    ) -> Result<Value, Unreadable> {
        let json = self.author(author)?.open(Field::RecordMedia, id, sealed)?;
        serde_json::from_slice(&json).map_err(|_| Unreadable)
    }

    fn author(&self, author: Option<PersonId>) -> Result<&Author, Unreadable> {
        match author {
            None => Ok(self.vault.own()),
            Some(person) => self.authors.get(&person).and_then(Option::as_ref).ok_or(Unreadable),
        }
    }
}
