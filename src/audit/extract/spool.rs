//! An export on its way into one file. Until it is packed it lies on this computer's disk, and there
//! it is sealed under a key that stands in this process's memory alone: whatever happens to the
//! process, nobody can read what it leaves behind.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::folder::{self, Folder};
use crate::vault::{FileKey, Unreadable};

/// How such folders are called.
const PREFIX: &str = "maskline-export-";
/// How much is sealed at once, in bytes.
const FRAME: usize = 1 << 16;
/// How old a folder is that whoever made it has left behind.
const LEFT: Duration = Duration::from_hours(24);

/// A folder of sealed files. It goes when this is dropped.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    key: FileKey,
}

impl Spool {
    /// Makes one, and the folder to write an export into.
    ///
    /// # Errors
    /// The disk's.
    pub fn create() -> io::Result<(Self, Folder)> {
        let name = format!("{PREFIX}{:032x}", rand::random::<u128>());
        let spool = Self { path: std::env::temp_dir().join(name), key: FileKey::draw() };
        let folder = Folder::sealed(&spool.path, &spool.key)?;
        Ok((spool, folder))
    }

    /// Packs all files, opened, into one zip in which they stand in a folder of this name. The same
    /// files make the same zip, byte by byte.
    ///
    /// # Errors
    /// The disk's, or those of where it goes.
    pub fn pack<W: Write>(&self, folder: &str, to: W) -> io::Result<W> {
        let mut zip = ZipWriter::new_stream(to);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(0o644);
        for name in folder::names(&self.path)? {
            let path = self.path.join(&name);
            // What is sealed is a little longer than what it holds.
            let is_large = fs::metadata(&path)?.len() > u32::MAX.into();
            zip.start_file(format!("{folder}/{name}"), options.large_file(is_large))?;
            io::copy(&mut Opened::new(&path, self.key.clone())?, &mut zip)?;
        }
        Ok(zip.finish()?.into_inner())
    }

    /// Removes what processes that were killed have left behind.
    pub fn clear_left() {
        let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
        for entry in entries.flatten() {
            let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
            let changed = entry.metadata().and_then(|it| it.modified());
            let is_old = changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > LEFT));
            if is_ours && is_old {
                fs::remove_dir_all(entry.path()).ok();
            }
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, "the sealed folder of an export stays on the disk");
        }
    }
}

/// A file that is sealed frame by frame while it is written: the length of each, and the frame.
pub(super) struct Frames {
    to: File,
    key: FileKey,
    count: u64,
}

impl Frames {
    pub(super) fn new(to: File, key: FileKey) -> Self {
        Self { to, key, count: 0 }
    }
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(FRAME)];
        if bytes.is_empty() {
            return Ok(0);
        }
        let frame = self.key.seal(self.count, bytes);
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        self.to.write_all(&length.to_be_bytes())?;
        self.to.write_all(&frame)?;
        self.count += 1;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads such a file.
struct Opened {
    from: BufReader<File>,
    key: FileKey,
    count: u64,
    frame: Vec<u8>,
    at: usize,
}

impl Opened {
    fn new(path: &Path, key: FileKey) -> io::Result<Self> {
        let from = BufReader::with_capacity(FRAME, File::open(path)?);
        Ok(Self { from, key, count: 0, frame: Vec::new(), at: 0 })
    }

    /// Opens the next frame; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        let mut length = [0; 4];
        if self.from.read(&mut length[..1])? == 0 {
            return Ok(false);
        }
        self.from.read_exact(&mut length[1..])?;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
        if length > 2 * FRAME {
            return Err(io::Error::other(Unreadable));
        }
        let mut sealed = vec![0; length];
        self.from.read_exact(&mut sealed)?;
        self.frame = self.key.open_piece(self.count, &sealed).map_err(io::Error::other)?;
        (self.at, self.count) = (0, self.count + 1);
        Ok(true)
    }
}

impl Read for Opened {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.frame.len() && !self.next()? {
            return Ok(0);
        }
        let part = &self.frame[self.at..];
        let length = part.len().min(into.len());
        into[..length].copy_from_slice(&part[..length]);
        self.at += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
        let (spool, folder) = Spool::create().unwrap();
        for (name, bytes) in files {
            let mut sheet = folder.file(name).unwrap();
            sheet.write_all(bytes).unwrap();
            sheet.flush().unwrap();
        }
        let on_disk: Vec<u8> = folder::names(&spool.path)
            .unwrap()
            .iter()
            .flat_map(|name| fs::read(spool.path.join(name)).unwrap())
            .collect();
        assert!(!on_disk.windows(7).any(|at| at == b"bicycle"), "nothing readable on the disk");
        let zip = spool.pack("export", Vec::new()).unwrap();
        let path = spool.path.clone();
        drop(spool);
        assert!(!path.exists());
        zip
    }

    #[test]
    fn what_is_packed_is_what_was_written_and_the_same_each_time() {
        let long = b"a bicycle ".repeat(40_000);
        let files: [(&str, &[u8]); 3] =
            [("records.csv", &long), ("empty.csv", b""), ("a day/x.rsmf", b"bicycle")];
        let zip = packed(&files);
        assert_eq!(zip, packed(&files));
        let mut read = zip::ZipArchive::new(io::Cursor::new(zip)).unwrap();
        assert_eq!(read.len(), 3);
        for (name, bytes) in files {
            let mut found = Vec::new();
            read.by_name(&format!("export/{name}")).unwrap().read_to_end(&mut found).unwrap();
            assert_eq!(found, bytes, "{name}");
        }
    }
}
