//! What kind of server to start.

use std::path::{Path, PathBuf};

use super::PORT;

/// What kind of server to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the data stays from one start to the next; without it, it lasts one run.
    pub data_dir: Option<PathBuf>,
    /// Whether a commit survives a crash of the computer; tests go without, and faster.
    pub durable: bool,
    /// How many connections the server takes.
    pub max_connections: u16,
    /// How much memory it keeps pages of the data in (`shared_buffers`), such as `64MB`.
    pub shared_buffers: String,
}

impl Default for Options {
    fn default() -> Self {
        let shared_buffers = "64MB".to_owned();
        Self { data_dir: None, durable: true, max_connections: 100, shared_buffers }
    }
}

impl Options {
    /// The arguments of the server whose socket lies in this folder.
    pub(super) fn arguments(&self, run: &Path) -> Vec<String> {
        let durable = if self.durable { "on" } else { "off" };
        [
            ("listen_addresses", ""),
            ("unix_socket_directories", &format!("\"{}\"", run.display())),
            ("unix_socket_permissions", "0700"),
            ("port", &PORT.to_string()),
            ("max_connections", &self.max_connections.to_string()),
            ("shared_buffers", &self.shared_buffers),
            ("wal_level", "minimal"),
            ("max_wal_senders", "0"),
            ("fsync", durable),
            ("synchronous_commit", durable),
            ("full_page_writes", durable),
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
            // The log never shows a number: no parameters, and no details such as "Key (number)=…".
            ("log_parameter_max_length", "0"),
            ("log_parameter_max_length_on_error", "0"),
            ("log_error_verbosity", "terse"),
        ]
        .into_iter()
        .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")])
        .collect()
    }
}
