//! The real thing, driven and watched: texts go in at the door, and the database and the phones show
//! what came of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use maskline::{
    carrier::{
        simulator::{Faults, NewText, Way},
        wire::{InboundText, Media},
    },
    consent::{self, Channel},
    dispatch,
    ids::PersonId,
    inbound::{self, Intake},
    media,
    outbox::worker,
    phone::PhoneNumber,
    sweeper,
    vault::{Field, Vault},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{
    ops::PEOPLE,
    word::Heard,
    world::{Number, Person, Terms, Time},
};
use crate::{
    pictures::png,
    support::{TestApp, Wishes, number},
};

const NUMBERS: [&str; 3] = ["+14155550100", "+14155550101", "+12065550100"];
/// How the carrier's own answer to STOP begins.
const CARRIERS_OWN: &str = "You have been unsubscribed";

/// What the database holds after a step.
#[derive(Debug, Default, Deserialize)]
pub struct Seen {
    /// Numbers and ids of the people.
    pub people: Vec<(String, Uuid)>,
    pub open: Vec<SeenLink>,
    pub suppressed: Vec<Uuid>,
    pub apart: Vec<(Uuid, Uuid)>,
    pub cut: Vec<(Uuid, String)>,
    /// What is queued: for whom, from which number, and the words, in its order.
    pub queued: Vec<(Uuid, String, String)>,
    /// What the trail says of this very moment.
    pub trail: Vec<SeenRecord>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct SeenLink {
    pub code: String,
    pub state: String,
    pub seats: Vec<(Uuid, String)>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct SeenRecord {
    pub kind: String,
    pub rule: Option<String>,
    pub detail: Option<String>,
    pub cause: Option<String>,
    pub recipient: Option<Uuid>,
    pub number: Option<String>,
    pub body: Option<String>,
}

const SEEN: &str = "
    select json_build_object(
        'people', (select coalesce(json_agg(json_build_array(
                encode(number_sealed, 'base64'), id, encode(wrapped_key, 'base64'))), '[]')
            from person),
        'open', (select coalesce(json_agg(json_build_object('code', code, 'state', state, 'seats', (
                select json_agg(json_build_array(p.person_id, m.number) order by p.seat)
                from participant p join masked_number m on m.id = p.masked_number_id
                where p.conversation_id = c.id and p.left_at is null)) order by id), '[]')
            from conversation c where state <> 'ended'),
        'suppressed', (select coalesce(json_agg(person_id), '[]') from suppression),
        'apart', (select coalesce(json_agg(json_build_array(person_id, other_id)), '[]') from block),
        'cut', (select coalesce(json_agg(json_build_array(b.person_id, m.number)), '[]')
            from carrier_block b join masked_number m on m.id = b.masked_number_id),
        'queued', (select coalesce(json_agg(json_build_array(o.recipient_id, m.number,
                encode(o.body_sealed, 'base64'), o.id, o.author_id)
                order by o.seq), '[]')
            from outbox o join masked_number m on m.id = o.masked_number_id),
        'trail', (select coalesce(json_agg(json_build_object('kind', kind, 'rule', rule,
                'detail', detail, 'cause', carrier_id, 'recipient', recipient_id,
                'number', masked_number, 'body', encode(body_sealed, 'base64'), 'id', id,
                'author', author_id) order by id), '[]')
            from audit_record where at = $1)
    )::text";

const CLEAR: &str = "
    delete from outbox; delete from media; delete from answer_given; delete from suppression;
    delete from carrier_block; delete from task; delete from send_failure; delete from block;
    delete from move_code; delete from code_failure; delete from participant;
    delete from conversation; delete from carrier_message;
    alter table person disable trigger stays;
    delete from person;
    alter table person enable trigger stays;";

/// A running system, for one sequence after another.
pub struct System {
    pub test: TestApp,
    /// The door of one process; beside it texts come in alone, as if by another.
    intake: Intake,
    pub conn: PgConnection,
    pub numbers: Vec<PhoneNumber>,
    pub phones: Vec<PhoneNumber>,
    /// When the sequence began.
    pub began: Timestamp,
    people: u32,
    texts: u32,
    /// Where the one picture lies that everybody sends.
    picture: String,
    /// How many texts each phone had already got.
    got: HashMap<PhoneNumber, usize>,
}

impl System {
    pub async fn start(terms: &Terms, seed: u64) -> Self {
        let span = |time: Time| format!("{}h", time / 3600);
        let values = [
            ("MASKLINE_CODE_LIFETIME", span(terms.code_lifetime)),
            ("MASKLINE_SILENCE", span(terms.silence)),
            ("MASKLINE_LONGEST", span(terms.longest)),
            ("MASKLINE_REOPEN_WITHIN", span(terms.reopen_within)),
            ("MASKLINE_COOL_OFF", span(terms.cool_off)),
            ("MASKLINE_KEEP_APART", span(terms.keep_apart)),
            ("MASKLINE_NUMBER_CAPACITY", terms.capacity.to_string()),
            ("MASKLINE_CODE_FAILURES_ALARM", terms.alarm.to_string()),
            (
                "MASKLINE_NUMBER_CHOICE",
                if terms.never_the_same { "fresh" } else { "sticky" }.into(),
            ),
        ];
        let settings: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let numbers = &NUMBERS[..terms.numbers];
        let wishes = Wishes { seed, settings: &settings, numbers, ..Wishes::default() };
        let mut test = TestApp::wishing(wishes).await;
        test.leave_promises();
        // Receipts change nothing here, and each costs a request.
        test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
        let conn = PgConnection::connect(test.database_url()).await.unwrap();
        let numbers = numbers.iter().map(|text| number(text)).collect();
        let began = test.app.clock.now();
        let (phones, got) = (Vec::new(), HashMap::new());
        let intake = Intake::new(test.app.clone());
        let picture = test.hosts(png(2, 2)).url;
        Self { test, intake, conn, numbers, phones, began, people: 0, texts: 0, picture, got }
    }

    /// Forgets the last sequence, and brings new people, long after.
    pub async fn begin(&mut self) {
        sqlx::raw_sql(CLEAR).execute(&mut self.conn).await.unwrap();
        self.pass(100 * 24 * 3600);
        self.began = self.test.app.clock.now();
        self.got.clear();
        self.phones = (0..PEOPLE)
            .map(|place| {
                self.people += 1;
                let area = if place % 2 == 0 { 415 } else { 206 };
                number(&format!("+1{area}{}", 2_000_000 + self.people))
            })
            .collect();
    }

    pub fn pass(&self, seconds: Time) {
        self.test.advance(SignedDuration::from_secs(seconds));
    }

    /// Whether a phone and a number have the same area code.
    pub fn near(&self) -> Vec<Vec<bool>> {
        let is_near =
            |phone: &PhoneNumber, number: &PhoneNumber| phone.as_str()[..5] == number.as_str()[..5];
        let row = |phone| self.numbers.iter().map(|number| is_near(phone, number)).collect();
        self.phones.iter().map(row).collect()
    }

    /// Makes a text of what is heard, with an id of its own.
    pub fn text(&mut self, heard: &Heard) -> InboundText {
        self.texts += 1;
        let media =
            Media { url: self.picture.clone(), file_name: None, mime_type: None, file_size: None };
        InboundText {
            carrier_id: format!("in-{}", self.texts),
            from: Some(self.phones[heard.who].clone()),
            to: Some(self.numbers[heard.to].clone()),
            body: heard.body.clone(),
            media: heard.picture.then_some(media).into_iter().collect(),
            sent_at: None,
        }
    }

    /// A text comes in: what the carrier itself obeys by the carrier, all else at the door.
    pub async fn receive(&self, text: &InboundText) -> Result<(), String> {
        if !matches!(text.body.as_str(), "STOP" | "UNSTOP") {
            let here = text.carrier_id.ends_with(['1', '2', '4', '7']);
            let received = if here {
                self.intake.receive(text.clone()).await
            } else {
                inbound::receive(&self.test.app, text.clone()).await
            };
            return received.map_err(|error| format!("the door failed: {error}"));
        }
        let new = NewText {
            from: text.from.clone().unwrap(),
            to: text.to.clone().unwrap(),
            body: Some(text.body.clone()),
            media: Vec::new(),
            id: Some(text.carrier_id.clone()),
            shape: None,
        };
        let texted = self.test.simulator.text(new).await.unwrap();
        let taken = texted.statuses.iter().all(|status| *status == Some(200));
        if taken { Ok(()) } else { Err(format!("the webhook failed: {:?}", texted.statuses)) }
    }

    pub async fn sweep(&self) -> Result<(), String> {
        sweeper::step(&self.test.app).await.map(drop).map_err(|error| error.to_string())
    }

    /// Sends what is due, and returns what arrived, by phone and number.
    pub async fn deliver(&mut self) -> BTreeMap<(Person, Number), Vec<String>> {
        media::worker::step(&self.test.app, &self.test.sources).await.unwrap();
        while worker::step(&self.test.app, &self.test.carrier).await.unwrap() > 0 {}
        let mut arrived: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for (person, phone) in self.phones.iter().enumerate() {
            let all = self.test.simulator.phone(phone);
            let seen = self.got.insert(phone.clone(), all.len()).unwrap_or_default();
            for text in all.into_iter().skip(seen) {
                if text.direction == Way::In && !text.body.starts_with(CARRIERS_OWN) {
                    let number = self.numbers.iter().position(|it| *it == text.with).unwrap();
                    arrived.entry((person, number)).or_default().push(text.body);
                }
            }
        }
        arrived
    }

    /// Staff silence a person, or let them be texted again. False where they never texted.
    pub async fn staff(&mut self, who: Person, out: bool) -> bool {
        let app = &self.test.app;
        let mut tx = self.conn.begin().await.unwrap();
        let found =
            maskline::people::find(&mut tx, &app.pen.vault, &self.phones[who]).await.unwrap();
        let Some((person, author)) = found else { return false };
        let (now, why) = (app.clock.now(), "by letter".to_owned());
        if out {
            let by = (Channel::Staff, Some(why));
            dispatch::opt_out(&mut tx, &app.pen, (person, &author), by, now).await.unwrap();
        } else {
            dispatch::opt_in(&mut tx, (person, &author), why, now).await.unwrap();
        }
        tx.commit().await.unwrap();
        true
    }

    pub async fn see(&mut self) -> Seen {
        let now = self.test.app.clock.now();
        let json: String =
            sqlx::query_scalar(SEEN).bind(now.to_sqlx()).fetch_one(&mut self.conn).await.unwrap();
        let mut seen = serde_json::from_str(&json).unwrap();
        unseal(&self.test.app.pen.vault, &mut seen);
        serde_json::from_value(seen).unwrap()
    }

    /// Whom and what the ledger of consent has in force, read from its beginning.
    pub async fn folded(&mut self, seen: &Seen) -> (BTreeSet<Uuid>, BTreeSet<(Uuid, Uuid)>) {
        let (mut suppressed, mut cut) = (BTreeSet::new(), BTreeSet::new());
        for (_, person) in &seen.people {
            let entries = consent::history(&mut self.conn, (*person).into()).await.unwrap();
            let in_force = consent::fold(&entries);
            if in_force.suppressed {
                suppressed.insert(*person);
            }
            cut.extend(in_force.blocked.iter().map(|number| (*person, number.uuid())));
        }
        (suppressed, cut)
    }
}

/// Puts numbers and words in place of what is sealed. The tables of `support::opened` would do the
/// same, and be too slow after each step.
fn unseal(vault: &Vault, seen: &mut Value) {
    let bytes = |value: &Value| {
        let text = value.as_str().unwrap().replace('\n', "");
        BASE64_STANDARD.decode(text).unwrap()
    };
    let id = |value: &Value| value.as_str().map(|id| id.parse::<Uuid>().unwrap());
    let mut keys = HashMap::new();
    for person in seen["people"].as_array_mut().unwrap() {
        let (who, key) = (PersonId::from(id(&person[1]).unwrap()), bytes(&person[2]));
        let number = vault.number(who, &key, &bytes(&person[0])).unwrap();
        *person = json!([number.as_str(), person[1]]);
        keys.insert(who, key);
    }
    let words = |field, sealed: &Value, row: &Value, author: &Value| {
        if sealed.is_null() {
            return Value::Null;
        }
        let person = id(author).map(PersonId::from);
        let key = person.and_then(|person| keys.get(&person)).map(Vec::as_slice);
        let author = vault.author_of(person, key).unwrap();
        author.read(field, id(row).unwrap(), &bytes(sealed)).unwrap().into()
    };
    for text in seen["queued"].as_array_mut().unwrap() {
        let body = words(Field::OutboxBody, &text[2], &text[3], &text[4]);
        *text = json!([text[0], text[1], body.as_str().unwrap_or_default()]);
    }
    for record in seen["trail"].as_array_mut().unwrap() {
        let body = words(Field::RecordBody, &record["body"], &record["id"], &record["author"]);
        record["body"] = body;
    }
}
