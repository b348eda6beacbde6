//! Runs pgbench, and reads how long each of its transactions took.

use std::{path::PathBuf, process::Command, time::Duration};

use maskline::demo::postgres::PrivatePostgres;

use crate::{database::SERVE, table::Timed};

/// When pgbench stops.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    Seconds(u64),
    /// After so many by each client.
    Transactions(u64),
}

/// Runs this script as the service's login on so many connections; as fast as it can, or so many times a second in all,
/// spread by chance. Returns when each transaction was to begin, and how long it took from then.
pub(crate) async fn run(
    postgres: &PrivatePostgres,
    script: &str,
    connections: usize,
    until: Until,
    rate: Option<f64>,
) -> Vec<Timed> {
    let folder = std::env::temp_dir().join(format!("maskline-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("script.sql");
    std::fs::write(&file, script).unwrap();
    let mut command = Command::new(path());
    command
        .current_dir(&folder)
        .args(["-n", "-M", "prepared", "-j", &connections.min(2).to_string(), "-l"])
        .args(["--log-prefix", "log", "-c", &connections.to_string(), "-f"])
        .arg(&file);
    match until {
        Until::Seconds(seconds) => command.args(["-T", &seconds.to_string()]),
        Until::Transactions(count) => command.args(["-t", &count.to_string()]),
    };
    if let Some(rate) = rate {
        command.args(["-R", &format!("{rate:.1}")]);
    }
    command.arg(postgres.url_as(SERVE, "postgres"));
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut times = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("log") {
            times.extend(std::fs::read_to_string(&path).unwrap().lines().filter_map(time));
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let start = times.iter().map(|timed| timed.at).min().unwrap_or_default();
    times.iter().map(|timed| Timed { at: timed.at.saturating_sub(start), ..*timed }).collect()
}

/// A line of pgbench's log: client, transaction, microseconds, script, when it ended in seconds and
/// microseconds, …
fn time(line: &str) -> Option<Timed> {
    let fields: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let [_, _, took, _, seconds, micros, ..] = fields[..] else { return None };
    let (took, end) = (Duration::from_micros(took), Duration::from_secs(seconds));
    Some(Timed { at: (end + Duration::from_micros(micros)).saturating_sub(took), took })
}

fn path() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = installed.map(|version| version.path().join("bin/pgbench")).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop().unwrap_or_else(|| "pgbench".into())
}
