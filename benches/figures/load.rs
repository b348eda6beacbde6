//! The load: texts by HTTP over kept connections, each of them talk in a conversation drawn at
//! random. A thread for each connection: their sleep is exact to some microseconds.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use crate::{
    database::{SECRET, masked_numbers},
    table::Timed,
};

/// When texts come.
#[derive(Debug, Clone)]
pub(crate) enum Pace {
    /// Each connection sends one after another, for so long.
    For(Duration),
    /// The same, so many in all.
    Texts(u64),
    /// At these times from the start, whether those before have been answered or not.
    At(Arc<[Duration]>),
}

impl Pace {
    /// So many a second in the mean, at times drawn by chance as pgbench draws them: the waits
    /// between them are exponential. The same each time.
    pub(crate) fn per_second(rate: f64, time: Duration) -> Self {
        let mut chance = Xoshiro256PlusPlus::seed_from_u64(7);
        let (mut at, mut times) = (0.0, Vec::new());
        loop {
            let drawn: f64 = chance.random();
            at -= (1.0 - drawn).ln() / rate;
            if at >= time.as_secs_f64() {
                return Self::At(times.into());
            }
            times.push(Duration::from_secs_f64(at));
        }
    }

    /// When this text is to be sent; none when the run is over.
    fn due(&self, start: Instant, place: u64) -> Option<Instant> {
        match self {
            Self::For(time) => (start.elapsed() < *time).then(Instant::now),
            Self::Texts(count) => (place < *count).then(Instant::now),
            Self::At(times) => times.get(usize::try_from(place).unwrap()).map(|at| start + *at),
        }
    }
}

/// Sends texts, and returns when each was to be sent and how long it took from then to be answered,
/// and how long it took in all.
pub(crate) async fn run(
    address: SocketAddr,
    conversations: u64,
    connections: usize,
    pace: Pace,
) -> (Vec<Timed>, Duration) {
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let (pace, next) = (pace.clone(), next.clone());
            thread::spawn(move || client(address, conversations, &pace, start, &next))
        })
        .collect();
    let wait = || clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let times = tokio::task::spawn_blocking(wait).await.unwrap();
    (times, start.elapsed())
}

fn client(
    address: SocketAddr,
    conversations: u64,
    pace: &Pace,
    start: Instant,
    next: &AtomicU64,
) -> Vec<Timed> {
    let mut chance: Xoshiro256PlusPlus = rand::make_rng();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut times, mut answer) = (Vec::new(), [0; 1024]);
    while let Some(due) = pace.due(start, next.fetch_add(1, Ordering::Relaxed)) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let request = request(chance.random_range(0..conversations), conversations);
        stream.write_all(request.as_bytes()).unwrap();
        let read = stream.read(&mut answer).unwrap();
        times.push(Timed { at: due - start, took: due.elapsed() });
        let answer = &answer[..read];
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
    }
    times
}

/// A text by the first of the two in this conversation, as the carrier's webhook brings it.
fn request(n: u64, conversations: u64) -> String {
    let (through, id) = (n % masked_numbers(conversations), rand::random::<u128>());
    let body = format!(
        r#"{{"to":"1415{through:07}","from":"1206{n:07}","body":"see you at the corner by five","id":"mdr2-{id:032x}"}}"#
    );
    let length = body.len();
    format!(
        "POST /api/message/{SECRET} HTTP/1.1\r\nhost: maskline\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}
