//! Signed notes (C2SP signed-note) and the checkpoints in them (C2SP tlog-checkpoint).
//!
//! Both are text that anybody's tools can read and check: what is signed, an empty line, and a line
//! for each signature, with Ed25519 over the text.

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::tree::Hash;

/// What stands before Ed25519's bytes wherever a key names its kind.
const ED25519: u8 = 1;
/// What a private key in its text form begins with.
const PRIVATE: &str = "PRIVATE+KEY+";
/// What stands before the 32 bytes of an Ed25519 key in PKCS#8, in either version.
const PKCS8: [&[u8]; 2] = [
    b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
    b"\x30\x51\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
];

/// Why a note is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is no signed note, or no checkpoint stands in it.
    #[error("it is no signed checkpoint")]
    Malformed,
    /// No signature on it is of a key that was given.
    #[error("it is not signed by the key that was given")]
    Stranger,
    /// It names the key, and the signature is not the key's.
    #[error("its signature is forged, or its text was changed")]
    Forged,
}

/// Who signs: a name and a private key. `Debug` does not show the key.
#[derive(Clone)]
pub struct Signer {
    name: String,
    key: SigningKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.name)
    }
}

impl Signer {
    /// Signs under this name with the key of these 32 random bytes.
    pub fn new(name: &str, seed: &[u8; 32]) -> Self {
        Self { name: name.to_owned(), key: SigningKey::from_bytes(seed) }
    }

    /// Reads a private key: the text form of notes, which holds its name, or 32 bytes or PKCS#8 in
    /// base64, with or without PEM's lines around, whose name is `name`.
    pub(crate) fn read(text: &str, name: &str) -> Option<Self> {
        if let Some(named) = text.strip_prefix(PRIVATE) {
            let (name, id, bytes) = parts(named)?;
            let signer = Self::new(name, bytes.as_slice().try_into().ok()?);
            return (signer.verifier().id == id).then_some(signer);
        }
        let lines = text.lines().filter(|line| !line.starts_with("-----"));
        let bytes = BASE64_STANDARD.decode(lines.collect::<String>()).ok()?;
        let der = PKCS8.iter().find_map(|head| bytes.strip_prefix(*head)?.first_chunk());
        let seed = der.or_else(|| bytes.as_slice().try_into().ok())?;
        is_name(name).then(|| Self::new(name, seed))
    }

    /// Its name, which is the log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who checks its signatures.
    pub fn verifier(&self) -> Verifier {
        let key = self.key.verifying_key();
        Verifier { id: key_id(&self.name, &key), name: self.name.clone(), key }
    }

    /// The private key as text, to be kept.
    pub fn to_text(&self) -> String {
        let bytes = [&[ED25519], self.key.as_bytes().as_slice()].concat();
        format!("{PRIVATE}{}", join(&self.name, self.verifier().id, &bytes))
    }

    /// A note of this text, which ends with a line feed, signed.
    pub fn sign(&self, text: &str) -> String {
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        let signature = [self.verifier().id.as_slice(), &signature].concat();
        format!("{text}\n— {} {}\n", self.name, BASE64_STANDARD.encode(signature))
    }
}

/// Who checks signatures: a name and a public key, in notes' text form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl FromStr for Verifier {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (name, id, bytes) = parts(text)?;
            let key = VerifyingKey::from_bytes(bytes.as_slice().try_into().ok()?).ok()?;
            let name = name.to_owned();
            (key_id(&name, &key) == id).then_some(Self { name, id, key })
        };
        read().ok_or("must be a public key such as mask.example+0123abcd+AX…, whole and unchanged")
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[ED25519], self.key.as_bytes().as_slice()].concat();
        f.write_str(&join(&self.name, self.id, &bytes))
    }
}

impl Verifier {
    /// Its name, which is the log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, text: &str, signatures: &str) -> Result<(), NoteError> {
        let mine = signatures.lines().find_map(|line| {
            let (name, signature) = line.strip_prefix("— ")?.rsplit_once(' ')?;
            let signature = BASE64_STANDARD.decode(signature).ok()?;
            let (id, signature) = signature.split_first_chunk()?;
            (name == self.name && *id == self.id).then(|| signature.to_vec())
        });
        let mine = mine.ok_or(NoteError::Stranger)?;
        let signature = Signature::from_slice(&mine).map_err(|_| NoteError::Forged)?;
        self.key.verify_strict(text.as_bytes(), &signature).map_err(|_| NoteError::Forged)
    }
}

/// What the log says of itself: its name, how many records it has, and their root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64_STANDARD.encode(self.root.0))
    }

    /// Reads what a note says, whoever signed it.
    ///
    /// # Errors
    /// That it is no checkpoint.
    pub fn read(note: &str) -> Result<Self, NoteError> {
        let read = || {
            let (text, _) = split(note)?;
            let mut lines = text.lines();
            let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
            let root = Hash::read(&BASE64_STANDARD.decode(root).ok()?)?;
            let checkpoint = Self { origin: origin.to_owned(), size: size.parse().ok()?, root };
            // One form for each, so that whoever compares bytes compares what is said.
            (is_name(origin) && text.starts_with(&checkpoint.text())).then_some(checkpoint)
        };
        read().ok_or(NoteError::Malformed)
    }

    /// The same, of a note that one of these keys signed. The key's name is the log's.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn open(note: &str, keys: &[Verifier]) -> Result<Self, NoteError> {
        let checkpoint = Self::read(note)?;
        // Without a key nothing is believed here.
        if keys.is_empty() {
            return Err(NoteError::Stranger);
        }
        text(note, |_| Some(checkpoint.origin.clone()), keys)?;
        Ok(checkpoint)
    }
}

/// The text of a note that one of these keys signed for the log of this name; with no keys, whoever
/// signed it.
pub(super) fn text<'a>(
    note: &'a str,
    origin: impl FnOnce(&str) -> Option<String>,
    keys: &[Verifier],
) -> Result<&'a str, NoteError> {
    let (text, signatures) = split(note).ok_or(NoteError::Malformed)?;
    let origin = origin(text).ok_or(NoteError::Malformed)?;
    let mut outcome = if keys.is_empty() { Ok(text) } else { Err(NoteError::Stranger) };
    for key in keys.iter().filter(|key| key.name == origin) {
        match key.check(text, signatures) {
            Ok(()) => return Ok(text),
            Err(NoteError::Stranger) => {}
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

/// The text of a note with its last line feed, and the lines of its signatures.
fn split(note: &str) -> Option<(&str, &str)> {
    let (text, signatures) = note.rsplit_once("\n\n")?;
    Some((&note[..=text.len()], signatures))
}

/// Whether this can be a key's name: something, without spaces and plus signs.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// What stands for a key on a signature.
fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let hasher = Sha256::new_with_prefix(name).chain_update([b'\n', ED25519]);
    let hash: [u8; 32] = hasher.chain_update(key.as_bytes()).finalize().into();
    [hash[0], hash[1], hash[2], hash[3]]
}

fn join(name: &str, id: [u8; 4], bytes: &[u8]) -> String {
    format!("{name}+{:08x}+{}", u32::from_be_bytes(id), BASE64_STANDARD.encode(bytes))
}

/// The name, the id and the bytes of an Ed25519 key in its text form.
fn parts(text: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, rest) = text.split_once('+')?;
    let (id, bytes) = rest.split_once('+')?;
    let id = u32::from_str_radix(id, 16).ok().filter(|_| id.len() == 8)?;
    let bytes = BASE64_STANDARD.decode(bytes).ok()?;
    let key = bytes.strip_prefix(&[ED25519])?.to_vec();
    is_name(name).then(|| (name, id.to_be_bytes(), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys and the note of the package that signed notes come from (golang.org/x/mod).
    const SIGNER: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const SIGNATURE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "mask.example".to_owned(), size: 42, root: Hash([7; 32]) }
    }

    #[test]
    fn notes_are_those_of_others() {
        let signer = Signer::read(SIGNER, "ignored").unwrap();
        assert_eq!(signer.sign(TEXT), format!("{TEXT}\n{SIGNATURE}"));
        assert_eq!(signer.to_text(), SIGNER);
        assert_eq!(signer.verifier().to_string(), VERIFIER);
        let verifier: Verifier = VERIFIER.parse().unwrap();
        assert_eq!(verifier.check(TEXT, SIGNATURE), Ok(()));
        assert_eq!(verifier.check(&TEXT.to_uppercase(), SIGNATURE), Err(NoteError::Forged));
    }

    #[test]
    fn a_checkpoint_is_three_lines() {
        let text = "mask.example\n42\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n";
        assert_eq!(checkpoint().text(), text);
        let note = Signer::new("mask.example", &[1; 32]).sign(text);
        assert_eq!(Checkpoint::read(&note), Ok(checkpoint()));
        for wrong in [
            note.replace("42", "042"),
            note.replace("42", "-42"),
            note.replace("Bwc=", "Bwd="),
            note.replace("mask.example\n", ""),
            text.to_owned(),
            String::new(),
        ] {
            assert_eq!(Checkpoint::read(&wrong), Err(NoteError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn only_its_own_key_opens_a_checkpoint() {
        let signer = Signer::new("mask.example", &[1; 32]);
        let (key, note) = (signer.verifier(), signer.sign(&checkpoint().text()));
        let other = Signer::new("mask.example", &[2; 32]).verifier();
        let open = |note: &str, keys: &[Verifier]| Checkpoint::open(note, keys);
        assert_eq!(open(&note, &[other.clone(), key.clone()]), Ok(checkpoint()));
        assert_eq!(open(&note, &[other]), Err(NoteError::Stranger));
        let changed = note.replace("42", "43");
        assert_eq!(open(&changed, std::slice::from_ref(&key)), Err(NoteError::Forged));
        // A key signs for the log of its own name only.
        let elsewhere = Checkpoint { origin: "other.example".to_owned(), ..checkpoint() };
        let note = signer.sign(&elsewhere.text());
        assert_eq!(open(&note, &[key]), Err(NoteError::Stranger));
    }

    #[test]
    fn a_private_key_may_come_in_any_of_its_forms() {
        let (seed, name) = ([9; 32], "mask.example");
        let signer = Signer::new(name, &seed);
        let der = BASE64_STANDARD.encode([PKCS8[0], &seed].concat());
        let newer = [PKCS8[1], &seed, b"\x81\x21\x00", signer.verifier().key.as_bytes()].concat();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----");
        let newer = BASE64_STANDARD.encode(newer);
        for text in [BASE64_STANDARD.encode(seed), der, pem, newer, signer.to_text()] {
            assert_eq!(Signer::read(&text, name).unwrap().to_text(), signer.to_text());
        }
        for wrong in ["", "AAAA", &signer.verifier().to_string(), &SIGNER.replace("c74f", "c74e")] {
            assert!(Signer::read(wrong, name).is_none(), "{wrong}");
        }
        assert!(Signer::read(&BASE64_STANDARD.encode(seed), "a b").is_none());
        assert_eq!(format!("{signer:?}"), "Signer(mask.example)");
    }
}
