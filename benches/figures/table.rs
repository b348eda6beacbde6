//! What a run brought, and how it is printed.

use std::time::Duration;

/// So long at the start of a run is not counted: connections are made, plans are chosen, and each
/// page is written whole into the log once. Services run for weeks.
pub(crate) const WARM: Duration = Duration::from_secs(3);

/// One of the texts of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timed {
    /// When it was to begin, from the start of the run.
    pub(crate) at: Duration,
    /// How long it took from then.
    pub(crate) took: Duration,
}

/// What one run brought.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p95: Duration,
    pub(crate) p99: Duration,
}

impl Figures {
    /// Of what began after this, in a run that took so long.
    pub(crate) fn of(times: &[Timed], from: Duration, took: Duration) -> Self {
        let counted = times.iter().filter(|timed| timed.at >= from);
        let mut times: Vec<_> = counted.map(|timed| timed.took).collect();
        assert!(!times.is_empty(), "nothing was measured");
        times.sort_unstable();
        let count = times.len();
        Self {
            per_second: number(count) / took.saturating_sub(from).as_secs_f64(),
            p50: times[count / 2],
            p95: times[count * 95 / 100],
            p99: times[count * 99 / 100],
        }
    }
}

/// Prints a heading, and the names of the columns under it.
pub(crate) fn heading(what: &str, columns: &[&str]) {
    println!("\n{what}");
    row("", columns.iter().map(|column| (*column).to_owned()));
}

/// Prints a line of a table.
pub(crate) fn row(what: &str, cells: impl IntoIterator<Item = String>) {
    print!("{what:<40}");
    cells.into_iter().for_each(|cell| print!("{cell:>16}"));
    println!();
}

/// Prints how many in a second, how many times the base's that is, and the times.
pub(crate) fn rate(what: &str, connections: usize, figures: &Figures, base: &Figures) {
    let Figures { per_second, p50, p95, p99 } = figures;
    let ratio = format!("{:.2}", per_second / base.per_second);
    let times = [p50, p95, p99].map(|time| ms(*time));
    let cells = [connections.to_string(), format!("{per_second:.0}"), ratio];
    row(what, cells.into_iter().chain(times));
}

/// Milliseconds.
pub(crate) fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

/// A count to reckon with.
pub(crate) fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// How much memory a process holds, in megabytes.
pub(crate) fn memory(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: usize = line.split_whitespace().next().unwrap().parse().unwrap();
    number(kilobytes) / 1024.0
}
