//! The trail of ten million records: sealing, verifying and exporting it, and what that costs the webhook.

use std::{
    fs::File,
    io::BufWriter,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use maskline::{
    app::App,
    audit::{
        behind::behind,
        checkpoint::{self, Outside},
        export,
        extract::{self, Folder, Kind, Order},
        note::{Checkpoint, Signer},
        seal::{Sealer, Step},
        search::{self, Filter, Query},
        verify::Judge,
        walk,
    },
};

use uuid::Uuid;

use crate::{
    database::{Database, id},
    load::{self, Pace},
    table::{self, Figures, WARM, ms},
    webhook,
};

/// How many times the webhook is measured with and without something beside it, by turns.
const TURNS: usize = 3;
/// On so many connections.
const CONNECTIONS: usize = 8;

/// Seals, verifies and exports the whole trail, and prints how many records a second each takes.
pub(crate) async fn measure(database: &Database) {
    table::heading(
        &format!("the trail, {} records", database.records),
        &["records", "seconds", "records/s", "aim", "memory MB"],
    );
    let start = Instant::now();
    let count = seal(webhook::app(database, 64).await).await;
    row("seal", count, start.elapsed(), "1,000");
    database.run("vacuum analyze audit_leaf").await;

    let mut conn = database.pool.acquire().await.unwrap();
    let start = Instant::now();
    let report =
        walk::verify(&mut conn, Judge::new(Vec::new(), Vec::new()), |_, _| {}).await.unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
    row("verify", report.records, start.elapsed(), "100,000");

    let path = std::env::temp_dir().join(format!("maskline-figures-{}.jsonl", std::process::id()));
    let to = BufWriter::new(File::create_new(&path).unwrap());
    let start = Instant::now();
    let written = export::write(&mut conn, to, |_, _| {}).await.unwrap();
    row("export, all that is sealed", written, start.elapsed(), "20,000");
    std::fs::remove_file(&path).unwrap();
}

/// Writes out what was said in two days, in each form with words, and prints how many records a second.
pub(crate) async fn export(database: &Database) {
    table::heading("exports of two days", &["records", "seconds", "records/s", "aim", "memory MB"]);
    let signer = Signer::new("figures.maskline", &[7; 32]);
    let mut conn = database.pool.acquire().await.unwrap();
    let note = checkpoint::sign(&mut conn, &signer, Outside::default()).await.unwrap().unwrap();
    for kind in [Kind::Csv, Kind::Html, Kind::Rsmf] {
        let start = Instant::now();
        let records = two_days(database, kind, &signer, &note).await;
        row(kind.as_str(), records, start.elapsed(), "20,000");
        std::fs::remove_dir_all(folder()).unwrap();
    }
}

/// Where exports are written.
fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("maskline-figures-{}", std::process::id()))
}

/// Writes out two days under this checkpoint, and counts the records.
async fn two_days(database: &Database, kind: Kind, signer: &Signer, note: &str) -> u64 {
    let now = Timestamp::now();
    let size = Checkpoint::read(note).unwrap().size.cast_signed();
    let from = now - SignedDuration::from_hours(24 * 10);
    let filter = Filter {
        from: Some(from),
        until: Some(from + SignedDuration::from_hours(48)),
        ..Filter::default()
    };
    let query = Query::new(filter, None, None, now).unwrap().covered_by(size);
    let order = Order {
        requester: "figures",
        approver: None,
        reason: "to measure",
        case: None,
        kind,
        checkpoint: note,
    };
    let folder = Folder::create(&folder()).unwrap();
    let mut tx = database.pool.begin().await.unwrap();
    let made = extract::write(&mut tx, &database.vault, &query, order, signer, folder, |_| {})
        .await
        .unwrap();
    tx.commit().await.unwrap();
    made.records
}

/// What is looked for, and how soon there must be an answer.
const QUESTIONS: [(&str, u64); 5] = [
    ("all of a person", 200),
    ("a conversation", 200),
    ("first page of ten days", 500),
    ("a keyword in ten days, to the first hit", 2000),
    ("a keyword that nobody wrote, ten days", 0),
];
/// How many answers each of them is asked for, of others each time.
const ASKED: u64 = 7;

/// Looks for things in the trail, and prints how long the first and all that was found took.
pub(crate) async fn search(database: &Database) {
    table::heading(
        &format!("search, {} records, median of {ASKED}", database.records),
        &["first ms", "all ms", "found", "aim ms"],
    );
    for (place, (what, aim)) in QUESTIONS.into_iter().enumerate() {
        let mut answers = Vec::new();
        for n in 0..ASKED {
            answers.push(answer(database, place, n * database.conversations / ASKED).await);
        }
        let middle = answers.len() / 2;
        answers.sort_by_key(|answer| answer.first);
        let first = answers[middle].first;
        answers.sort_by_key(|answer| answer.all);
        let Answer { all, found, .. } = answers[middle];
        let aim = if aim == 0 { "-".to_owned() } else { aim.to_string() };
        table::row(what, [ms(first), ms(all), found.to_string(), aim]);
    }
}

struct Answer {
    first: Duration,
    all: Duration,
    found: usize,
}

/// Asks one of the questions, about the conversation of this place where it is about one.
async fn answer(database: &Database, question: usize, conversation: u64) -> Answer {
    let now = Timestamp::now();
    // A day in the middle of what was loaded, and ten behind it.
    let from = now - SignedDuration::from_hours(24 * 16);
    let ten_days = Filter {
        from: Some(from),
        until: Some(from + SignedDuration::from_hours(240)),
        ..Filter::default()
    };
    let id = |kind, n| id(kind, n).parse::<Uuid>().unwrap();
    let (filter, keyword) = match question {
        0 => {
            let person = Some(id('b', 2 * conversation).into());
            (Filter { person, ..Filter::default() }, None)
        }
        1 => {
            let conversation = Some(id('c', conversation).into());
            (Filter { conversation, ..Filter::default() }, None)
        }
        2 => (ten_days, None),
        3 => (ten_days, Some("UMBRELLA")),
        _ => (ten_days, Some("nobody wrote this")),
    };
    let query = Query::new(filter, keyword, None, now).unwrap();
    let (start, mut first, mut found) = (Instant::now(), None, 0);
    let mut tx = database.pool.begin().await.unwrap();
    let show = |_| {
        first.get_or_insert_with(|| start.elapsed());
        found += 1;
    };
    search::find(&mut tx, &database.vault, &query, 50, show).await.unwrap();
    tx.commit().await.unwrap();
    let all = start.elapsed();
    Answer { first: first.unwrap_or(all), all, found }
}

/// Seals all that is not, and counts it.
async fn seal(app: App) -> u64 {
    let (mut sealer, mut count) = (Sealer::new(app), 0);
    loop {
        match sealer.step().await.unwrap() {
            Step::More(more) => count += more,
            Step::Done(more) => return count + more,
            Step::Others => unreachable!("nobody else seals"),
        }
    }
}

fn row(what: &str, records: u64, took: Duration, aim: &str) {
    let records = usize::try_from(records).unwrap();
    let seconds = took.as_secs_f64();
    let cells = [
        records.to_string(),
        format!("{seconds:.1}"),
        format!("{:.0}", table::number(records) / seconds),
        aim.to_owned(),
        format!("{:.0}", table::memory(std::process::id())),
    ];
    table::row(what, cells);
}

/// Something that goes on beside the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Sealer,
    Searching,
    Verifying,
    Exporting,
}

impl Beside {
    const ALL: [Self; 5] =
        [Self::Nothing, Self::Sealer, Self::Searching, Self::Verifying, Self::Exporting];

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing beside it",
            Self::Sealer => "the sealer beside it",
            Self::Searching => "sealer, and somebody searches",
            Self::Verifying => "sealer, and somebody verifies",
            Self::Exporting => "sealer, and somebody exports",
        }
    }
}

/// Measures the webhook with something beside it and without, by turns, and prints the best of each.
pub(crate) async fn beside_the_webhook(database: &Arc<Database>, seconds: u64) {
    let columns = ["texts/s", "ratio", "p99 ms", "half: p50 ms", "half: p99 ms", "behind"];
    table::heading(&format!("webhook, {CONNECTIONS} connections, best of {TURNS}"), &columns);
    let time = WARM + Duration::from_secs(seconds);
    let mut full = Beside::ALL.map(|_| Vec::new());
    for _ in 0..TURNS {
        for (place, beside) in Beside::ALL.into_iter().enumerate() {
            full[place].push(run(database, beside, Pace::For(time)).await.0);
        }
    }
    let best = full.map(|figures| {
        figures.into_iter().max_by(|a, b| a.per_second.total_cmp(&b.per_second)).unwrap()
    });
    let half = Pace::per_second(best[0].per_second / 2.0, time);
    let base = best[0].per_second;
    for (beside, full) in Beside::ALL.into_iter().zip(&best) {
        let (half, behind) = run(database, beside, half.clone()).await;
        let cells = [
            format!("{:.0}", full.per_second),
            format!("{:.2}", full.per_second / base),
            ms(full.p99),
            ms(half.p50),
            ms(half.p99),
            if beside == Beside::Nothing { "-".to_owned() } else { behind.to_string() },
        ];
        table::row(beside.name(), cells);
    }
    at_the_rate_of_the_aim(database, time).await;
}

/// The same at the rate that the sealer is to keep up with: 1,000 records a second, two of each text.
async fn at_the_rate_of_the_aim(database: &Arc<Database>, time: Duration) {
    let columns = ["texts/s", "p50 ms", "p95 ms", "p99 ms", "behind"];
    table::heading(&format!("webhook, 1,000 records a second, best of {TURNS}"), &columns);
    let pace = Pace::per_second(500.0, time);
    let mut runs = [Beside::Nothing, Beside::Sealer].map(|beside| (beside, Vec::new()));
    for _ in 0..TURNS {
        for (beside, runs) in &mut runs {
            runs.push(run(database, *beside, pace.clone()).await);
        }
    }
    for (beside, runs) in runs {
        let (best, behind) = runs.into_iter().min_by_key(|(figures, _)| figures.p99).unwrap();
        let Figures { per_second, p50, p95, p99 } = best;
        let times = [p50, p95, p99].map(ms);
        let cells = [format!("{per_second:.0}")].into_iter().chain(times);
        table::row(beside.name(), cells.chain([behind.to_string()]));
    }
}

/// Reads the trail again and again, as somebody does who searches or verifies.
async fn read(database: Arc<Database>, beside: Beside) {
    for n in 0.. {
        match beside {
            Beside::Nothing | Beside::Sealer => return,
            Beside::Searching => {
                let question = usize::try_from(n).unwrap() % QUESTIONS.len();
                answer(&database, question, n % database.conversations).await;
            }
            Beside::Verifying => {
                let mut conn = database.pool.acquire().await.unwrap();
                let judge = Judge::new(Vec::new(), Vec::new());
                walk::verify(&mut conn, judge, |_, _| {}).await.unwrap();
            }
            Beside::Exporting => {
                let signer = Signer::new("figures.maskline", &[7; 32]);
                let mut conn = database.pool.acquire().await.unwrap();
                let (_, _, note) = checkpoint::newest(&mut conn).await.unwrap().unwrap();
                drop(conn);
                two_days(&database, Kind::Csv, &signer, &note).await;
                std::fs::remove_dir_all(folder()).unwrap();
            }
        }
    }
}

/// One run, and how many records were not sealed at its end.
async fn run(database: &Arc<Database>, beside: Beside, pace: Pace) -> (Figures, u64) {
    database.clean().await;
    let app = webhook::app(database, 64).await;
    let (address, stop) = webhook::serve(&app).await;
    let sealing = (beside != Beside::Nothing).then(|| tokio::spawn(Sealer::new(app.clone()).run()));
    let reading = tokio::spawn(read(database.clone(), beside));
    let (times, took) = load::run(address, database.conversations, CONNECTIONS, pace).await;
    let mut conn = database.pool.acquire().await.unwrap();
    let left = behind(&mut conn).await.unwrap().records;
    stop.cancel();
    app.draining.cancel();
    reading.abort();
    reading.await.ok();
    std::fs::remove_dir_all(folder()).ok();
    if let Some(sealing) = sealing {
        sealing.await.unwrap();
    }
    // What is left is sealed before the next run, so that each begins alike.
    seal(app).await;
    (Figures::of(&times, WARM, took), left.cast_unsigned())
}
