//! What is drawn for a demo: passwords between its parts, and the keys of its database.

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::audit::note::Signer;

/// The name of the demo's trail.
const LOG: &str = "demo.maskline";

/// What only this demo knows.
pub(super) struct Secrets {
    pub(super) webhook: String,
    pub(super) key: String,
    /// What numbers and words are encrypted with.
    pub(super) master_key: String,
    /// What the trail is signed with.
    pub(super) audit_key: String,
}

impl Secrets {
    /// Draws all of it, but for the keys of a database that is kept in this folder.
    pub(super) fn of(folder: Option<&Path>) -> io::Result<Self> {
        let draw = || format!("{:032x}", rand::random::<u128>());
        let master_key = BASE64_STANDARD.encode(rand::random::<[u8; 32]>());
        let audit_key = Signer::new(LOG, &rand::random()).to_text();
        Ok(Self {
            webhook: draw(),
            key: draw(),
            master_key: kept(folder, "master.key", master_key)?,
            audit_key: kept(folder, "audit.key", audit_key)?,
        })
    }
}

/// The key of a kept database lies in its folder, which is for trying things out; else it is the fresh
/// one.
fn kept(folder: Option<&Path>, name: &str, fresh: String) -> io::Result<String> {
    let Some(folder) = folder else { return Ok(fresh) };
    let path = folder.join(name);
    match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(fresh.as_bytes())?;
            Ok(fresh)
        }
        read => read,
    }
}
