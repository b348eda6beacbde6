//! What an export says of itself, signed; and whether its files are those that it names.

use std::{
    fs, io,
    path::{Component, Path},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    folder::{self, Folder, Listed},
    proof,
};
use crate::audit::{
    note::{self, Checkpoint, NoteError, Signer, Verifier},
    verify::Kept,
};

/// What a manifest says that it is.
pub(super) const FORMAT: &str = "maskline filtered export v1";
/// The manifest, and its signature: the last lines of a signed note of it.
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.json.sig";

/// What an export says of itself. No time stands in it at which it was made: the same export of the
/// same checkpoint is the same, byte by byte.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// What it is.
    pub format: String,
    /// The program and its version.
    pub tool: String,
    /// The log's name, which is that of the key that signs.
    pub origin: String,
    /// Who asked for it.
    pub requester: String,
    /// Who else has approved it, where somebody had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    /// Why.
    pub reason: String,
    /// The case or ticket.
    pub case: Option<String>,
    /// How the files are written: csv, html, jsonl or rsmf.
    pub kind: String,
    /// What was asked for.
    pub filter: Value,
    /// When the first record in it happened.
    pub first: Option<Timestamp>,
    /// When the last did.
    pub last: Option<Timestamp>,
    /// How many conversations.
    pub conversations: u64,
    /// How many records.
    pub records: u64,
    /// Those of them that belong to no conversation.
    #[serde(default)]
    pub of_no_conversation: u64,
    /// Those of them whose words are not in it.
    pub excluded: Excluded,
    /// Months within that time that were removed because they were old.
    pub removed_months: Vec<String>,
    /// How many records `proofs.jsonl` proves to stand under the checkpoint: all that are in it.
    pub proven: u64,
    /// The checkpoint that all its records are covered by, as it was signed.
    pub checkpoint: String,
    /// The files.
    pub files: Vec<Listed>,
}

/// Records whose words are left out, and why. Each stands in `excluded.csv`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// Whoever wrote them was forgotten.
    pub erased: u64,
    /// They cannot be opened.
    pub unreadable: u64,
    /// Staff wrote them about what they did.
    #[serde(default)]
    pub withheld: u64,
}

impl Manifest {
    /// How much is in it, in words.
    pub fn counted(&self) -> String {
        let most = format!("{} records of {} conversations", self.records, self.conversations);
        match self.of_no_conversation {
            0 => most,
            some => format!("{most}, {some} of them of none,"),
        }
    }

    /// Writes it into the folder of its files, and its signature.
    pub(super) fn write(&self, folder: &Folder, signer: &Signer) -> io::Result<()> {
        let text = format!("{}\n", serde_json::to_string_pretty(self)?);
        let note = signer.sign(&text);
        folder.file(MANIFEST)?.whole(text.as_bytes())?;
        // What stands behind the text and an empty line.
        folder.file(SIGNATURE)?.whole(&note.as_bytes()[text.len() + 1..])
    }
}

/// Why an export cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file could not be read.
    #[error("{0}: {1}")]
    File(&'static str, io::Error),
    /// The manifest is none that this version writes.
    #[error("{MANIFEST} is not as this version writes it")]
    Malformed,
}

/// What was found of an export.
#[derive(Debug)]
pub struct Verified {
    /// What it says of itself.
    pub manifest: Manifest,
    /// What is wrong, a sentence each.
    pub wrong: Vec<String>,
    /// How many kept checkpoints it was compared with.
    pub compared: usize,
}

/// Verifies an export in a folder: that its manifest was signed by one of these keys (by anybody's
/// where there are none), and that its files are those that the manifest names.
///
/// # Errors
/// When the manifest cannot be read.
pub fn verify(path: &Path, keys: &[Verifier], kept: &[Kept]) -> Result<Verified, FolderError> {
    let read = |name| fs::read_to_string(path.join(name)).map_err(|it| FolderError::File(name, it));
    let (text, signature) = (read(MANIFEST)?, read(SIGNATURE)?);
    let manifest: Manifest = serde_json::from_str(&text).map_err(|_| FolderError::Malformed)?;
    if manifest.format != FORMAT {
        return Err(FolderError::Malformed);
    }
    let mut wrong = Vec::new();
    let origin = |_: &str| Some(manifest.origin.clone());
    if let Err(error) = note::text(&format!("{text}\n{signature}"), origin, keys) {
        wrong.push(format!("{MANIFEST}: {}", of_manifest(error)));
    }
    let (compared, of_checkpoint) = checkpoint(&manifest, keys, kept);
    wrong.extend(of_checkpoint);
    wrong.extend(files(path, &manifest.files).map_err(|it| FolderError::File("the folder", it))?);
    if let Ok(checkpoint) = Checkpoint::read(&manifest.checkpoint) {
        wrong.extend(proof::verify(&path.join(proof::NAME), manifest.proven, &checkpoint));
    }
    Ok(Verified { manifest, wrong, compared })
}

fn of_manifest(error: NoteError) -> &'static str {
    match error {
        NoteError::Malformed => "its signature is none",
        NoteError::Stranger => "it is not signed by the key that was given",
        NoteError::Forged => "its signature is forged, or it was changed",
    }
}

/// With how many kept checkpoints that of an export was compared, and what is wrong with it.
fn checkpoint(manifest: &Manifest, keys: &[Verifier], kept: &[Kept]) -> (usize, Vec<String>) {
    let open = |note: &str| match keys {
        [] => Checkpoint::read(note),
        keys => Checkpoint::open(note, keys),
    };
    let own = match open(&manifest.checkpoint) {
        Ok(own) => own,
        Err(error) => return (0, vec![format!("its checkpoint cannot be believed: {error}")]),
    };
    let (mut compared, mut wrong) = (0, Vec::new());
    for Kept { note, name } in kept {
        match open(note) {
            Err(error) => wrong.push(format!("{name} cannot be believed: {error}")),
            Ok(kept) if kept.size == own.size => {
                compared += 1;
                if kept != own {
                    wrong.push(format!("its checkpoint says something else than {name}"));
                }
            }
            Ok(_) => {}
        }
    }
    (compared, wrong)
}

/// What is wrong with the files: the first that is not what it was, and so on.
fn files(path: &Path, listed: &[Listed]) -> io::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for file in listed {
        let is_inside =
            Path::new(&file.name).components().all(|part| matches!(part, Component::Normal(_)));
        let found = if is_inside {
            folder::measure(&path.join(&file.name))
        } else {
            Err(io::ErrorKind::InvalidFilename.into())
        };
        match found {
            Err(error) => wrong.push(format!("{} cannot be read: {error}", file.name)),
            Ok((bytes, sha256)) if (bytes, &sha256) != (file.bytes, &file.sha256) => {
                wrong.push(format!("{} was changed", file.name));
            }
            Ok(_) => {}
        }
    }
    let is_known = |name: &String| {
        [MANIFEST, SIGNATURE].contains(&name.as_str()) || listed.iter().any(|it| it.name == *name)
    };
    let strangers = folder::names(path)?.into_iter().filter(|name| !is_known(name));
    wrong.extend(strangers.map(|name| format!("{name} is not of this export")));
    Ok(wrong)
}
