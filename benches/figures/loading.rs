//! What a database is loaded with, by `COPY`: open conversations, and the trail of what was said.

use std::{
    fmt::Write as _,
    io::IsTerminal,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use maskline::vault::Field;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::database::{Database, RARE, id, masked_number, masked_numbers};

/// So much is sent to the database at once, in a transaction of its own: a trail is one of many.
const PORTION: usize = 1024 * 1024;

/// How many texts have come in where the trail is empty.
const FEW: u64 = 20_000;

impl Database {
    pub(crate) async fn load_conversations(&self) {
        let (count, numbers) = (self.conversations, masked_numbers(self.conversations));
        let until = Timestamp::now() + SignedDuration::from_hours(24);
        self.copy("masked_number (id, number, added_at)", numbers, |n, to| {
            writeln!(to, "{}\t{}\tnow", id('a', n), masked_number(n))
        })
        .await;
        let person = "person (id, tag, wrapped_key, number_sealed, first_seen_at)";
        self.copy(person, count, |n, to| {
            self.person(2 * n, &format!("+1206{n:07}"), to)?;
            self.person(2 * n + 1, &format!("+1312{n:07}"), to)
        })
        .await;
        // What pgbench looks up, since it cannot make a tag.
        self.run("create table bench_sender (n bigint primary key, tag bytea not null)").await;
        self.copy("bench_sender (n, tag)", count, |n, to| {
            let tag = self.vault.tag(&format!("+1206{n:07}").parse().unwrap());
            writeln!(to, "{n}\t{}", bytes(&tag))
        })
        .await;
        let conversation = "conversation (id, code, code_expires_at, state, opened_at, last_talk_at, next_look_at)";
        self.copy(conversation, count, |n, to| {
            writeln!(to, "{}\t{}\t{until}\tactive\tnow\tnow\t{until}", id('c', n), code(n))
        })
        .await;
        let participant =
            "participant (conversation_id, seat, person_id, masked_number_id, joined_at)";
        self.copy(participant, count, |n, to| {
            let (conversation, number) = (id('c', n), id('a', n % numbers));
            writeln!(to, "{conversation}\t1\t{}\t{number}\tnow", id('b', 2 * n))?;
            writeln!(to, "{conversation}\t2\t{}\t{number}\tnow", id('b', 2 * n + 1))
        })
        .await;
    }

    /// The line of a person.
    fn person(&self, n: u64, number: &str, to: &mut String) -> std::fmt::Result {
        let id = id('b', n);
        let person = id.parse().unwrap();
        let it = self.vault.person(person, &number.parse().unwrap());
        let (tag, key, number) = (bytes(&it.tag), bytes(&it.wrapped_key), bytes(&it.number_sealed));
        if self.records > 0 && n.is_multiple_of(2) {
            let author = self.vault.author(person, &it.wrapped_key).unwrap();
            self.authors.lock().unwrap().push(author);
        }
        writeln!(to, "{id}\t{tag}\t{key}\t{number}\tnow")
    }

    /// What the author of a conversation wrote, sealed for the record with this id.
    fn words(&self, conversation: u64, n: u64, record: &str) -> String {
        let author = &self.authors.lock().unwrap()[usize::try_from(conversation).unwrap()];
        let rare = if n.is_multiple_of(RARE) { "the umbrella" } else { "the parcel" };
        let words = format!("Nr. {n}: {rare} is behind the door, see you at {}", n % 24);
        let record: Uuid = record.parse().unwrap();
        bytes(&author.seal(Field::RecordBody, record, words.as_bytes()).to_bytes())
    }

    /// The carrier's ids of the texts that the trail tells of. A service that has never had a text
    /// is no measure: PostgreSQL scans a table of which it last saw that it is empty.
    pub(crate) async fn load_carrier_ids(&self) {
        let texts = (self.records / 2).max(FEW);
        self.copy("carrier_message (carrier_id, direction, noted_at)", texts, |n, to| {
            writeln!(to, "{}\tinbound\tnow", carrier_id(n, texts))
        })
        .await;
    }

    /// The trail of texts that were passed on, two records each. The
    /// indexes are made anew behind it, which is quicker than to keep them up.
    pub(crate) async fn load_records(&self) {
        if self.records == 0 {
            return;
        }
        let (count, texts) = (self.conversations, self.records / 2);
        let numbers = masked_numbers(count);
        self.run("select audit_make_partitions(now() - interval '30 days', 2)").await;
        let indexes: Vec<String> = sqlx::query_scalar(
            "select pg_get_indexdef(indexrelid)
             from pg_index
             where indrelid = 'audit_record'::regclass and not indisprimary",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        self.run(
            "do $$
             declare
                 index regclass;
             begin
                 alter table audit_record drop constraint audit_record_pkey;
                 for index in select indexrelid from pg_index where indrelid = 'audit_record'::regclass
                 loop
                     execute format('drop index %s', index);
                 end loop;
             end
             $$",
        )
        .await;
        // Over the last twenty days.
        let (start, days) = (Timestamp::now() - SignedDuration::from_hours(480), 1_728_000_000_u64);
        let record = "audit_record (id, at, kind, conversation_id, person_id, recipient_id,
            masked_number, carrier_id, text_id, author_id, body_sealed)";
        self.copy(record, texts, |n, to| {
            let passed = SignedDuration::from_millis(i64::try_from(days * n / texts).unwrap());
            let (at, c) = (start + passed, n % count);
            let (conversation, one, two) = (id('c', c), id('b', 2 * c), id('b', 2 * c + 1));
            let (through, carrier) = (masked_number(c % numbers), carrier_id(n, texts));
            let (first, second, text) = (id('d', 2 * n), id('d', 2 * n + 1), id('e', n));
            let body = self.words(c, n, &first);
            writeln!(to, "{first}\t{at}\treceived\t{conversation}\t{one}\t\\N\t{through}\t{carrier}\t\\N\t{one}\t{body}")?;
            let body = self.words(c, n, &second);
            writeln!(to, "{second}\t{at}\trelayed\t{conversation}\t{one}\t{two}\t{through}\t{carrier}\t{text}\t{one}\t{body}")
        })
        .await;
        let primary = "alter table audit_record add primary key (at, id)".to_owned();
        for make in indexes.iter().map(|made| made.replace(" ON ONLY ", " ON ")).chain([primary]) {
            progress(&make);
            self.run(&format!("set maintenance_work_mem = '256MB'; {make}")).await;
        }
        progress("");
    }

    /// Loads a table with what is written for each count, and tells how far it is.
    async fn copy(
        &self,
        table: &str,
        count: u64,
        line: impl Fn(u64, &mut String) -> std::fmt::Result,
    ) {
        // References are right by the way they are made; to look each up takes longer than all else.
        let mut conn = self.pool.acquire().await.unwrap();
        sqlx::raw_sql("set session_replication_role = replica").execute(&mut *conn).await.unwrap();
        let mut told = Instant::now();
        let copy = format!("copy {table} from stdin");
        let mut portion = String::with_capacity(PORTION + 1024);
        for n in 0..count {
            line(n, &mut portion).unwrap();
            if portion.len() > PORTION {
                put(&mut conn, &copy, &mut portion).await;
                if told.elapsed() > Duration::from_millis(500) {
                    told = Instant::now();
                    let name = table.split(' ').next().unwrap_or_default();
                    progress(&format!("{name}: {} %", n * 100 / count));
                }
            }
        }
        put(&mut conn, &copy, &mut portion).await;
        progress("");
        sqlx::raw_sql("reset session_replication_role").execute(&mut *conn).await.unwrap();
    }
}

async fn put(conn: &mut PgConnection, copy: &str, portion: &mut String) {
    let mut into = conn.copy_in_raw(copy).await.unwrap();
    into.send(portion.as_bytes()).await.unwrap();
    into.finish().await.unwrap();
    portion.clear();
}

/// Tells whoever watches how far it is, on one line.
fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

/// Bytes as `COPY` takes them.
fn bytes(bytes: &[u8]) -> String {
    bytes.iter().fold("\\\\x".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A carrier's id: spread as the carrier's are, and loaded in their order.
fn carrier_id(n: u64, count: u64) -> String {
    format!("mdr2-{:08x}{:024x}", (u128::from(n) << 32) / u128::from(count), n)
}

/// A code of its own for each conversation.
fn code(n: u64) -> String {
    let letter = |place: u64| char::from(b"234679ACDEFGHJKM"[(n >> (4 * place) & 15) as usize]);
    (0..6).map(letter).chain("79".chars()).collect()
}
