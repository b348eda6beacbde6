//! A key for one file, which is sealed piece by piece so that it need not fit into memory.

use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Author, Field, Unreadable, keys::Key};

/// The key of one file. Where it is destroyed, so is the file, wherever copies of it lie.
#[derive(Debug, Clone)]
pub struct FileKey(Key);

impl FileKey {
    /// Draws one.
    pub fn draw() -> Self {
        Self(Key::draw())
    }

    /// The key as it stands in the row of the file.
    pub fn sealed(&self, own: &Author, row: impl Into<Uuid>) -> Vec<u8> {
        own.seal(Field::FileKey, row, self.0.expose()).to_bytes()
    }

    /// Reads it from there.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(own: &Author, row: impl Into<Uuid>, sealed: &[u8]) -> Result<Self, Unreadable> {
        let bytes = Zeroizing::new(own.open(Field::FileKey, row, sealed)?);
        let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| Unreadable)?;
        Ok(Self(Key::from(bytes)))
    }

    /// Seals the piece at this place; it opens at no other.
    pub fn seal(&self, place: u64, plain: &[u8]) -> Vec<u8> {
        self.0.seal(Field::FilePiece, Uuid::from_u64_pair(0, place), plain)
    }

    /// Opens the piece at this place.
    ///
    /// # Errors
    /// When it was changed, or is of another place or file.
    pub fn open_piece(&self, place: u64, sealed: &[u8]) -> Result<Vec<u8>, Unreadable> {
        self.0.open(Field::FilePiece, Uuid::from_u64_pair(0, place), sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_opens_at_its_place_in_its_file_only() {
        let (key, other) = (FileKey::draw(), FileKey::draw());
        let sealed = key.seal(3, b"see you at five");
        assert_eq!(key.open_piece(3, &sealed).unwrap(), b"see you at five");
        assert_eq!(key.open_piece(2, &sealed), Err(Unreadable));
        assert_eq!(other.open_piece(3, &sealed), Err(Unreadable));
    }

    #[test]
    fn a_key_is_read_from_its_own_row_only() {
        let own = Author { person: None, key: Key::draw() };
        let (row, elsewhere) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let key = FileKey::draw();
        let kept = key.sealed(&own, row);
        let read = FileKey::open(&own, row, &kept).unwrap();
        assert_eq!(read.open_piece(0, &key.seal(0, b"x")).unwrap(), b"x");
        assert!(FileKey::open(&own, elsewhere, &kept).is_err());
    }
}
