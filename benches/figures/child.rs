//! `maskline serve` as a process of its own, the release binary, and what can be seen of it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    database::{Database, MASTER_KEY, SECRET, SERVE},
    table,
};

/// The binary of this build.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_maskline");
/// How long a start or a stop may take before it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that serves; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Serving {
    process: Child,
    pub(crate) public: SocketAddr,
    /// From when it was started until it said that it is ready.
    pub(crate) started_in: Duration,
}

impl Serving {
    /// Starts it on this database, with this carrier, and waits until it is ready.
    pub(crate) async fn start(database: &Database, carrier: String) -> Self {
        let url = database.postgres.url_as(SERVE, "postgres");
        tokio::task::spawn_blocking(move || Self::begin(&url, &carrier)).await.unwrap()
    }

    fn begin(database_url: &str, carrier: &str) -> Self {
        let (public, private) = (free_address(), free_address());
        let start = Instant::now();
        let process = Command::new(BINARY)
            .arg("serve")
            .env_clear()
            .env("DATABASE_URL", database_url)
            .env("MASKLINE_LISTEN", public.to_string())
            .env("MASKLINE_ADMIN_LISTEN", private.to_string())
            .env("MASKLINE_PUBLIC_URL", format!("http://{public}"))
            .env("MASKLINE_WEBHOOK_SECRETS", SECRET)
            .env("MASKLINE_MASTER_KEY", MASTER_KEY)
            .env("FLOWROUTE_ACCESS_KEY", "simulated")
            .env("FLOWROUTE_SECRET_KEY", "simulated")
            .env("MASKLINE_FLOWROUTE_URL", carrier)
            .env("MASKLINE_SMS_PER_SECOND", "10000")
            .env("RUST_LOG", "error")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut serving = Self { process, public, started_in: Duration::ZERO };
        while !is_ready(private) {
            let ended = serving.process.try_wait().unwrap();
            assert!(ended.is_none() && start.elapsed() < PATIENCE, "it does not start: {ended:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        serving.started_in = start.elapsed();
        serving
    }

    /// How much memory it holds, in megabytes.
    pub(crate) fn memory(&self) -> f64 {
        table::memory(self.process.id())
    }

    /// How much of the processor's time it has used.
    pub(crate) fn worked(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // In hundredths of a second, those of the process and of the system for it.
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// An address of this computer where nobody listens.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn is_ready(private: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(private) else { return false };
    let mut answer = [0; 64];
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: maskline\r\n\r\n").is_ok()
        && stream.read(&mut answer).is_ok_and(|read| answer[..read].starts_with(b"HTTP/1.1 200"))
}
