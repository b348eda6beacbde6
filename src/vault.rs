//! The vault: numbers, words and pictures are sealed before they reach the database.
//!
//! Each person has a key of their own, wrapped by the master key, which stands in the settings only.
//! What somebody wrote is sealed under their key, wherever it lies: destroying it makes all of that
//! unreadable, in copies of the database too. Maskline's own words have a key that belongs to nobody.
//! A person is found by a tag of their number, made with a third key. Nothing here ever falls back
//! to plain text: without the right master key nothing starts.

mod file;
mod keys;
mod master;
pub mod seal;
mod store;

#[cfg(test)]
mod tests;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sqlx::PgConnection;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::keys::Key;
pub use self::{
    file::FileKey,
    keys::{Field, Unreadable},
    master::{Fingerprint, MasterKeys},
    store::{Progress, Rotated, rotate},
};
use crate::{ids::PersonId, phone::PhoneNumber, texts::Brand};

/// What Maskline writes with: the name it goes by, and the keys under which words are sealed.
#[derive(Debug, Clone)]
pub struct Pen {
    /// How Maskline's own texts introduce themselves.
    pub brand: Brand,
    /// The keys.
    pub vault: Vault,
}

/// The keys of a database. Clones share them; `Debug` shows none.
#[derive(Debug, Clone)]
pub struct Vault {
    masters: MasterKeys,
    lookup: Key,
    own: Author,
}

/// Why the vault cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be used.
    #[error("the database cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    /// No master key of the settings is that of the database.
    #[error(
        "MASKLINE_MASTER_KEY is not this database's: it was encrypted with the key {wanted}, and \
         what is set is {given}. Nothing was changed. Set the right key, from your backup of it; \
         without it the numbers and texts in this database cannot be read by anybody"
    )]
    WrongKey {
        /// The fingerprint of the key that was used.
        wanted: Fingerprint,
        /// Those of the keys that are set.
        given: String,
    },
    /// A key in the database was damaged.
    #[error("a key in the database is damaged: restore the table vault_key from a backup")]
    Damaged,
    /// The database holds what a version without encryption wrote.
    #[error(
        "this database holds numbers or texts that an earlier version wrote without encryption: run \
         `maskline keys seal` once, while nothing else runs on it"
    )]
    NotSealed,
}

/// What stands in the database for somebody's words; only their author's key opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    author: Option<PersonId>,
    bytes: Vec<u8>,
}

impl Sealed {
    /// Whose words they are; none for Maskline's own.
    pub fn author(&self) -> Option<PersonId> {
        self.author
    }

    /// What is kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }
}

/// Whose words are sealed and opened: a person with their key, or Maskline itself.
#[derive(Debug, Clone)]
pub struct Author {
    person: Option<PersonId>,
    key: Key,
}

impl Author {
    /// The person; none for Maskline itself.
    pub fn person(&self) -> Option<PersonId> {
        self.person
    }

    /// Seals what stands in this field of the row with this id; it opens nowhere else.
    pub fn seal(&self, field: Field, row: impl Into<Uuid>, plain: &[u8]) -> Sealed {
        Sealed { author: self.person, bytes: self.key.seal(field, row.into(), plain) }
    }

    /// Opens what this author's key sealed in this field of this row.
    ///
    /// # Errors
    /// When it was changed, stood elsewhere, or was sealed by another key.
    pub fn open(
        &self,
        field: Field,
        row: impl Into<Uuid>,
        sealed: &[u8],
    ) -> Result<Vec<u8>, Unreadable> {
        self.key.open(field, row.into(), sealed)
    }

    /// The same for words.
    ///
    /// # Errors
    /// The same.
    pub fn read(
        &self,
        field: Field,
        row: impl Into<Uuid>,
        sealed: &[u8],
    ) -> Result<String, Unreadable> {
        String::from_utf8(self.open(field, row, sealed)?).map_err(|_| Unreadable)
    }
}

/// A person whom nobody knows yet, as they are written down.
#[derive(Debug)]
pub struct Stranger {
    /// Their id.
    pub id: PersonId,
    /// By what they are found again.
    pub tag: Vec<u8>,
    /// Their key, wrapped.
    pub wrapped_key: Vec<u8>,
    /// Their number, sealed under that key.
    pub number_sealed: Vec<u8>,
}

impl Vault {
    /// Opens the vault of a database, or makes its keys where it has none.
    ///
    /// # Errors
    /// When the master key is another's, or what is there is not encrypted.
    pub async fn open(conn: &mut PgConnection, masters: &MasterKeys) -> Result<Self, OpenError> {
        if store::has_plain(conn).await? {
            return Err(OpenError::NotSealed);
        }
        Self::unlock(conn, masters).await
    }

    /// The same, whatever else the database holds.
    ///
    /// # Errors
    /// When the master key is another's.
    pub async fn unlock(conn: &mut PgConnection, masters: &MasterKeys) -> Result<Self, OpenError> {
        let lookup = store::key(conn, masters, "lookup").await?;
        let own = store::key(conn, masters, "own").await?;
        let own = Author { person: None, key: own };
        Ok(Self { masters: masters.clone(), lookup, own })
    }

    /// Maskline itself, the author of all that no person wrote.
    pub fn own(&self) -> &Author {
        &self.own
    }

    /// By what the person with this number is found: 16 bytes that tell nothing without the key.
    pub fn tag(&self, number: &PhoneNumber) -> Vec<u8> {
        // A key shorter than a block is filled up with zeros, by HMAC's own definition.
        let mut block = Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(self.lookup.expose());
        let mac = Hmac::<Sha256>::new((&*block).into());
        let mut tag = mac.chain_update(number.as_str()).finalize().into_bytes().to_vec();
        tag.truncate(16);
        tag
    }

    /// Draws a key for somebody with this number whom nobody may know yet.
    pub fn stranger(&self, number: &PhoneNumber) -> Stranger {
        self.person(PersonId::new(), number)
    }

    /// Draws a key for this person, who has none.
    pub fn person(&self, id: PersonId, number: &PhoneNumber) -> Stranger {
        let key = Key::draw();
        Stranger {
            id,
            tag: self.tag(number),
            wrapped_key: self.masters.wrap(&key, id.uuid()),
            number_sealed: key.seal(Field::Number, id.uuid(), number.as_str().as_bytes()),
        }
    }

    /// The person whose key this is.
    ///
    /// # Errors
    /// When none of the master keys opens it.
    pub fn author(&self, person: PersonId, wrapped: &[u8]) -> Result<Author, Unreadable> {
        Ok(Author { person: Some(person), key: self.masters.unwrap(wrapped, person.uuid())? })
    }

    /// The person whose key this is, or Maskline itself where there is no person.
    ///
    /// # Errors
    /// When none of the master keys opens it, or the key is gone: that person was forgotten.
    pub fn author_of(
        &self,
        person: Option<PersonId>,
        wrapped: Option<&[u8]>,
    ) -> Result<Author, Unreadable> {
        match person {
            None => Ok(self.own.clone()),
            Some(person) => self.author(person, wrapped.ok_or(Unreadable)?),
        }
    }

    /// Reads a person's number.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn number(
        &self,
        person: PersonId,
        wrapped: &[u8],
        sealed: &[u8],
    ) -> Result<PhoneNumber, Unreadable> {
        let number = self.author(person, wrapped)?.read(Field::Number, person, sealed)?;
        number.parse().map_err(|_| Unreadable)
    }
}
