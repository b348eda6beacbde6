//! Conversations, opt-outs and the outbox as the trail alone tells them, and as the tables hold them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// A record, without its words.
#[derive(Debug, Deserialize)]
struct Record {
    kind: String,
    conversation: Option<Uuid>,
    person: Option<Uuid>,
    recipient: Option<Uuid>,
    number: Option<String>,
    text: Option<Uuid>,
    detail: Option<String>,
}

/// A trigger's records have ids without a time; what it records comes before all else of its moment.
const TRAIL: &str = "
    select coalesce(json_agg(json_build_object('kind', kind,
        'conversation', conversation_id, 'person', person_id, 'recipient', recipient_id,
        'number', masked_number, 'text', text_id, 'detail', detail)
        order by at, substr(id::text, 15, 1) = '7', id), '[]')::text
    from audit_record where at >= $1";

const TABLES: &str = "
    select json_build_object(
        'conversations', (select coalesce(json_object_agg(c.id, json_build_object(
                'state', coalesce(c.end_reason, c.state),
                'warned', c.state = 'active'
                    and coalesce(c.warned_at >= c.last_talk_at, false),
                'asked', c.reopen_asked_by,
                'seats', (select coalesce(json_agg(json_build_array(p.person_id, m.number)
                        order by p.seat), '[]')
                    from participant p join masked_number m on m.id = p.masked_number_id
                    where p.conversation_id = c.id))), '{}')
            from conversation c),
        'suppressed', (select coalesce(json_agg(person_id), '[]') from suppression),
        'cut', (select coalesce(json_agg(json_build_array(b.person_id, m.number)), '[]')
            from carrier_block b join masked_number m on m.id = b.masked_number_id),
        'apart', (select coalesce(json_agg(json_build_array(person_id, other_id)), '[]') from block),
        'outbox', (select coalesce(json_object_agg(o.id, json_build_object(
                'to', o.recipient_id, 'through', m.number, 'about', o.conversation_id, 'unknown', o.state = 'unknown')), '{}')
            from outbox o join masked_number m on m.id = o.masked_number_id)
    )::text";

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Conversation {
    /// Waiting, active, or why it ended.
    pub state: String,
    /// Whether its participants were told that it is about to end, and nobody said anything since.
    pub warned: bool,
    /// Who asked to open it again.
    pub asked: Option<Uuid>,
    /// Who sits or sat in it, on which number.
    pub seats: Vec<(Uuid, String)>,
}

/// A text that waits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Waiting {
    pub to: Uuid,
    pub through: String,
    /// The conversation that it belongs to.
    pub about: Option<Uuid>,
    /// Nobody knows whether the carrier has it.
    pub unknown: bool,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct State {
    pub conversations: BTreeMap<Uuid, Conversation>,
    pub suppressed: BTreeSet<Uuid>,
    pub cut: BTreeSet<(Uuid, String)>,
    /// Each pair both ways or one, as whoever asked for it.
    pub apart: BTreeSet<(Uuid, Uuid)>,
    pub outbox: BTreeMap<Uuid, Waiting>,
}

impl State {
    /// As the tables hold it.
    pub async fn held(conn: &mut PgConnection) -> Self {
        let json: String = sqlx::query_scalar(TABLES).fetch_one(conn).await.unwrap();
        let mut state: Self = serde_json::from_str(&json).unwrap();
        state.apart = state.apart.into_iter().map(in_order).collect();
        state
    }

    /// As the trail tells it from this time on, and nothing else.
    pub async fn told(conn: &mut PgConnection, since: Timestamp) -> Self {
        let query = sqlx::query_scalar(TRAIL).bind(since.to_sqlx());
        let json: String = query.fetch_one(conn).await.unwrap();
        let trail: Vec<Record> = serde_json::from_str(&json).unwrap();
        let mut state = Self::default();
        for record in &trail {
            state.take(record);
        }
        state
    }

    fn take(&mut self, record: &Record) {
        match record.kind.as_str() {
            "opened" | "reopened" | "joined" | "ended" | "warned" | "extended" | "reopen_asked"
            | "moved" => self.turn(record),
            "relayed" | "answered" => self.promise(record),
            "opted_out" => {
                self.suppressed.insert(record.person.unwrap());
            }
            "opted_in" => {
                self.suppressed.remove(&record.person.unwrap());
            }
            "carrier_blocked" => {
                self.cut.insert(pair(record));
            }
            "carrier_lifted" => {
                self.cut.remove(&pair(record));
            }
            "blocked" | "person_reported" => {
                self.apart.insert(in_order((record.person.unwrap(), record.recipient.unwrap())));
            }
            "accepted" | "failed" | "dropped" => {
                self.outbox.remove(&record.text.unwrap());
            }
            "unknown" => self.text(record).unknown = true,
            "resent" => self.text(record).unknown = false,
            _ => {}
        }
    }

    fn turn(&mut self, record: &Record) {
        let id = record.conversation.unwrap();
        if matches!(record.kind.as_str(), "opened" | "reopened") {
            let of = record.detail.as_ref().and_then(|of| of.parse().ok());
            let fresh = match of.filter(|_| record.kind == "reopened") {
                None => Conversation {
                    state: "waiting".into(),
                    warned: false,
                    asked: None,
                    seats: vec![pair(record)],
                },
                // Whoever asked sits first.
                Some(of) => {
                    let old: &Conversation = &self.conversations[&of];
                    let mut seats = old.seats.clone();
                    seats.sort_by_key(|(who, _)| Some(*who) != old.asked);
                    Conversation { state: "active".into(), warned: false, asked: None, seats }
                }
            };
            self.conversations.insert(id, fresh);
            return;
        }
        let conversation = self.conversations.get_mut(&id).unwrap();
        match record.kind.as_str() {
            "joined" => {
                conversation.seats.push(pair(record));
                conversation.state = "active".into();
            }
            "ended" => {
                conversation.state = record.detail.clone().unwrap();
                conversation.warned = false;
            }
            "warned" => conversation.warned = true,
            "extended" => conversation.warned = false,
            "reopen_asked" => conversation.asked = record.person,
            _ => self.moved(record),
        }
    }

    /// A new phone takes the seat, the blocks and what waits for the old one, but not what the text
    /// that brought this about promised to the old one.
    fn moved(&mut self, record: &Record) {
        let (from, to) = (record.person.unwrap(), record.recipient.unwrap());
        let conversation = self.conversations.get_mut(&record.conversation.unwrap()).unwrap();
        for (who, _) in &mut conversation.seats {
            if *who == from {
                *who = to;
            }
        }
        let copied: Vec<_> = self
            .apart
            .iter()
            .filter_map(|(one, other)| match from {
                from if from == *one => Some(*other),
                from if from == *other => Some(*one),
                _ => None,
            })
            .filter(|other| *other != to)
            .map(|other| in_order((to, other)))
            .collect();
        self.apart.extend(copied);
        for waiting in self.outbox.values_mut() {
            if waiting.to == from && waiting.about == record.conversation {
                waiting.to = to;
            }
        }
    }

    fn promise(&mut self, record: &Record) {
        let (to, about) = (record.recipient.unwrap(), record.conversation);
        let through = record.number.clone().unwrap();
        self.outbox.insert(record.text.unwrap(), Waiting { to, through, about, unknown: false });
        // Words that are passed on begin the silence anew.
        if record.kind == "relayed" {
            self.conversations.get_mut(&about.unwrap()).unwrap().warned = false;
        }
    }

    fn text(&mut self, record: &Record) -> &mut Waiting {
        self.outbox.get_mut(&record.text.unwrap()).unwrap()
    }
}

/// Who, and on which number.
fn pair(record: &Record) -> (Uuid, String) {
    (record.person.unwrap(), record.number.clone().unwrap())
}

fn in_order((one, other): (Uuid, Uuid)) -> (Uuid, Uuid) {
    (one.min(other), one.max(other))
}
