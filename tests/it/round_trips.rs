//! How often a text goes to the database and back between `begin` and `commit`.

use std::collections::HashMap;

use crate::{
    replicas::connect,
    service::{ANN, BEN, Site},
    support::cable,
};

/// A transaction, as the line to the server heard it.
#[derive(Debug, Default)]
struct Heard {
    /// What was asked, in order.
    asked: Vec<String>,
    /// How often the answer was waited for.
    waits: usize,
    /// Whether a statement was prepared in it, which takes another wait, once for a connection.
    prepares: bool,
}

/// The messages of one connection: the kind of each, and what it says.
fn messages(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let length = |bytes: &[u8]| u32::from_be_bytes(*bytes.first_chunk().unwrap()) as usize;
    // The first one has no kind.
    bytes = &bytes[length(bytes)..];
    let mut found = Vec::new();
    while let [kind, rest @ ..] = bytes {
        if rest.len() < 4 || rest.len() < length(rest) {
            break;
        }
        found.push((*kind, rest[4..length(rest)].to_vec()));
        bytes = &rest[length(rest)..];
    }
    found
}

/// The words up to each of the zeros in a message.
fn strings(message: &[u8]) -> Vec<String> {
    message.split(|byte| *byte == 0).map(|it| String::from_utf8_lossy(it).into_owned()).collect()
}

/// The transactions that one connection has committed.
fn transactions(bytes: &[u8]) -> Vec<Heard> {
    let (mut names, mut open, mut done) = (HashMap::new(), None::<Heard>, Vec::new());
    for (kind, message) in messages(bytes) {
        let words = strings(&message);
        match kind {
            b'Q' if words[0].starts_with("begin") => open = Some(Heard::default()),
            b'Q' if words[0].eq_ignore_ascii_case("commit") => done.extend(open.take()),
            b'Q' if words[0].eq_ignore_ascii_case("rollback") => open = None,
            b'P' => {
                names.insert(words[0].clone(), words[1].clone());
                if let Some(open) = &mut open {
                    open.prepares = true;
                }
            }
            // The portal, then the statement.
            b'B' => {
                if let Some(open) = &mut open {
                    open.asked.push(names[&words[1]].clone());
                }
            }
            b'Q' | b'S' => {
                if let Some(open) = &mut open {
                    open.waits += 1;
                }
            }
            _ => {}
        }
    }
    done
}

#[tokio::test]
async fn words_cost_two_round_trips_between_begin_and_commit() {
    let cable = cable();
    let site = Site::new().await;
    let database: url::Url = site.database().url.parse().unwrap();
    let through = cable.url(database.path().trim_start_matches('/'));
    // Nobody is there to take traces. They are written all the same, where they are built in.
    let settings =
        [("DATABASE_URL", &*through), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")];
    let served = site.serve_with("serve", &settings).await;
    connect(&site).await;
    for n in 0..20 {
        site.text(ANN, &format!("number {n}")).await;
    }
    site.inbox(BEN, 21).await;
    served.stop().await;
    let heard: Vec<Heard> = cable.heard().iter().flat_map(|bytes| transactions(bytes)).collect();
    let is_words = |one: &&Heard| one.asked.iter().any(|sql| sql.contains("take_in_by_tag("));
    let words: Vec<&Heard> = heard.iter().filter(is_words).filter(|one| !one.prepares).collect();
    assert!(words.len() >= 10, "{heard:#?}");
    for one in words {
        assert_eq!((one.asked.len(), one.waits), (2, 2), "{one:#?}");
    }
}
