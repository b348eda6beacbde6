//! The folder that an export is written into, each file hashed on its way.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::spool::Frames;
use crate::{audit::tree::Hash, vault::FileKey};

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listed {
    /// Its name within the folder, with `/` in between.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// The SHA-256 of it.
    pub sha256: String,
}

/// A new folder that is nobody else's business on this computer.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// What its files are sealed with, until they are packed; none where they are to be read there.
    key: Option<FileKey>,
    files: Vec<Listed>,
}

impl Folder {
    /// Makes it.
    ///
    /// # Errors
    /// The disk's; such as that it is there already.
    pub fn create(path: &Path) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(path)?;
        Ok(Self { path: path.to_owned(), key: None, files: Vec::new() })
    }

    /// The same, where nothing readable may lie on the disk.
    pub(super) fn sealed(path: &Path, key: &FileKey) -> io::Result<Self> {
        Ok(Self { key: Some(key.clone()), ..Self::create(path)? })
    }

    /// Begins a file.
    pub(super) fn file(&self, name: &str) -> io::Result<Sheet> {
        let path = self.path.join(name);
        if let Some(parent) = path.parent() {
            DirBuilder::new().mode(0o700).recursive(true).create(parent)?;
        }
        let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        let to: Box<dyn Write + Send> = match &self.key {
            Some(key) => Box::new(Frames::new(file, key.clone())),
            None => Box::new(file),
        };
        let to = BufWriter::with_capacity(1 << 16, to);
        Ok(Sheet { name: name.to_owned(), to, hasher: Sha256::new(), bytes: 0 })
    }

    /// Ends a file.
    pub(super) fn close(&mut self, mut sheet: Sheet) -> io::Result<()> {
        sheet.to.flush()?;
        let sha256 = Hash(sheet.hasher.finalize().into()).to_string();
        self.files.push(Listed { name: sheet.name, bytes: sheet.bytes, sha256 });
        Ok(())
    }

    /// All files that were ended, by their names.
    pub(super) fn listed(&mut self) -> Vec<Listed> {
        self.files.sort();
        std::mem::take(&mut self.files)
    }
}

/// A file that is being written.
pub(super) struct Sheet {
    name: String,
    to: BufWriter<Box<dyn Write + Send>>,
    hasher: Sha256,
    bytes: u64,
}

impl Sheet {
    /// Writes all of a file that stands in no list.
    pub(super) fn whole(mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }
}

impl Write for Sheet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// How long a file is, and its SHA-256.
pub(super) fn measure(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut hasher, mut bytes) = (File::open(path)?, Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = io::Read::read(&mut file, &mut buffer)?;
        if read == 0 {
            return Ok((bytes, Hash(hasher.finalize().into()).to_string()));
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// The names of all files within a folder.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let (mut names, mut open) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(inside) = open.pop() {
        for entry in fs::read_dir(folder.join(&inside))? {
            let entry = entry?;
            let path = inside.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else {
                names.push(path.to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}
