//! Records as RSMF 2.0, which the programs of lawyers read: for each conversation and day in UTC a
//! mail whose attachment says in JSON who said what. What belongs to no conversation stands in channels:
//! one for each person, for what strangers sent to each masked number, for what staff did, and for the rest.

use std::{
    io::{self, Cursor, Write},
    mem,
};

use jiff::{civil::Date, tz::TimeZone};
use serde::Serialize;
use serde_json::{Value, json};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{
    entry::{Entry, Why},
    folder::Folder,
    mail,
};
use crate::{audit::search::Shelf, ids::PersonId};

/// How many records a file holds at most.
const LONGEST: usize = 10_000;
/// Who says Maskline's own words.
const OWN: &str = "maskline";

/// Files that are being written: the records of one conversation or channel on one day at a time.
#[derive(Default)]
pub(super) struct Slices {
    slice: Option<(Shelf, Date)>,
    /// How many files of that day there are.
    part: u32,
    entries: Vec<Entry>,
}

impl Slices {
    /// Adds a record.
    pub(super) fn record(&mut self, folder: &mut Folder, entry: &Entry) -> io::Result<()> {
        let slice = (entry.shelf.clone(), entry.at.to_zoned(TimeZone::UTC).date());
        let is_same = self.slice.as_ref() == Some(&slice);
        if !is_same || self.entries.len() == LONGEST {
            self.close(folder)?;
            self.part = if is_same { self.part + 1 } else { 1 };
            self.slice = Some(slice);
        }
        self.entries.push(entry.clone());
        Ok(())
    }

    /// Ends the file.
    pub(super) fn close(&mut self, folder: &mut Folder) -> io::Result<()> {
        let entries = mem::take(&mut self.entries);
        let (Some((place, day)), Some(first), Some(last)) =
            (&self.slice, entries.first(), entries.last())
        else {
            return Ok(());
        };
        let events = events(&entries);
        let people = people(&entries);
        let (key, title) = (place.key(), place.title());
        let manifest = manifest(place, &people, &events, &entries);
        let subject = format!("{title} on {day}");
        let mail = mail::Mail {
            subject: &subject,
            collection: &key,
            first: first.at,
            last: last.at,
            events: events.len(),
            participants: &people.iter().map(|id| display(id)).collect::<Vec<_>>().join(", "),
            text: &text(&events),
            zip: &zipped(&manifest)?,
        };
        let part = if self.part > 1 { format!("-{}", self.part) } else { String::new() };
        let mut sheet = folder.file(&format!("{day}/{key}{part}.rsmf"))?;
        sheet.write_all(&mail.to_bytes())?;
        folder.close(sheet)
    }
}

/// An event as the format has it.
#[derive(Debug, Serialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    participant: Option<String>,
    conversation: String,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    read_receipts: Vec<Value>,
    custom: Vec<Custom>,
    /// What was sent for it, to tell what became of that.
    #[serde(skip)]
    text: Option<(String, Option<PersonId>)>,
    /// The carrier's id of what came in.
    #[serde(skip)]
    came: Option<String>,
}

/// What the format has no place of its own for.
#[derive(Debug, Serialize)]
struct Custom {
    name: String,
    value: String,
}

fn custom(name: &str, value: impl Into<String>) -> Custom {
    Custom { name: name.to_owned(), value: value.into() }
}

/// What stands in the attachment. It is written as it is: a tree of JSON made of it first would cost
/// more than all else.
#[derive(Debug, Serialize)]
struct Manifest<'a> {
    version: &'static str,
    eventcollectionid: String,
    participants: Vec<Value>,
    conversations: [Value; 1],
    events: &'a [Event],
}

/// The events of these records. What was passed on as it came in, and what became of it, stands with
/// what came in.
fn events(entries: &[Entry]) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for entry in entries {
        let text = entry.text.map(|id| id.to_string());
        let came = |event: &&mut Event| {
            entry.kind == "relayed"
                && event.came.is_some()
                && event.came == entry.carrier_id
                && event.body == entry.words
        };
        if let Some(event) = events.iter_mut().rev().find(came) {
            event.text = text.map(|id| (id, entry.recipient));
            event.custom.push(custom("Passed on", told(entry)));
            continue;
        }
        let is_sent = |event: &&mut Event| {
            event.text.as_ref().is_some_and(|(id, _)| Some(id) == text.as_ref())
        };
        match events.iter_mut().rev().find(is_sent) {
            Some(event) if entry.words.is_none() && entry.excluded.is_none() => {
                event.custom.push(custom(&heading(entry), told(entry)));
                if let ("delivered", Some((_, Some(person)))) = (&*entry.kind, &event.text) {
                    event.read_receipts.push(json!({
                        "participant": person,
                        "timestamp": entry.at,
                        "action": "delivered",
                    }));
                }
            }
            _ => events.push(event(entry)),
        }
    }
    events
}

/// The kind of a record as a heading.
fn heading(entry: &Entry) -> String {
    let words = entry.kind.replace('_', " ");
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// When something happened, and what more is known of it.
fn told(entry: &Entry) -> String {
    let detail = entry.detail.as_ref().map(|detail| format!(", {detail}"));
    format!("{} (record {}){}", entry.at, entry.leaf, detail.unwrap_or_default())
}

fn event(entry: &Entry) -> Event {
    let is_text = matches!(&*entry.kind, "received" | "refused" | "relayed" | "answered");
    let kind = match &*entry.kind {
        "joined" => "join",
        "ended" if entry.person.is_some() => "leave",
        _ if is_text => "message",
        _ => "disclaimer",
    };
    let direction = match &*entry.kind {
        "received" | "refused" => Some("incoming"),
        "relayed" | "answered" => Some("outgoing"),
        _ => None,
    };
    let gone = entry.excluded.map(|why| match why {
        Why::Erased(at) => format!("(words erased on {at})"),
        Why::Unreadable => "(cannot be read any more)".to_owned(),
        Why::Withheld => format!("{} (what they wrote about it is not handed out)", heading(entry)),
    });
    let mut more = vec![custom("Record", entry.leaf.to_string()), custom("Kind", &*entry.kind)];
    more.extend(entry.rule.as_ref().map(|rule| custom("Rule", rule)));
    more.extend(entry.recipient.map(|person| custom("To", display(&person.to_string()))));
    more.extend(entry.masked_number.as_ref().map(|number| custom("Masked number", number)));
    more.extend(entry.carrier_id.as_ref().map(|id| custom("Carrier's id", id)));
    more.extend(entry.detail.as_ref().filter(|it| !it.is_empty()).map(|it| custom("Detail", it)));
    more.extend(entry.excluded.map(|why| custom("Excluded", why.as_str())));
    more.extend(entry.media.as_ref().map(|media| custom("Pictures", media.to_string())));
    // Whom a deed of staff was about has not done it.
    let is_deed = entry.shelf == Shelf::Staff;
    let about = entry.person.filter(|_| is_deed);
    more.extend(about.map(|person| custom("Person", display(&person.to_string()))));
    let doer = entry.person.filter(|_| !is_deed);
    let note = (!is_text).then(|| heading(entry));
    Event {
        id: entry.id.to_string(),
        kind,
        participant: doer.map(|id| id.to_string()).or(is_text.then(|| OWN.to_owned())),
        conversation: entry.shelf.key(),
        timestamp: entry.at.to_string(),
        body: entry.words.clone().or(gone).or(note),
        direction,
        read_receipts: Vec::new(),
        custom: more,
        text: entry.text.map(|id| (id.to_string(), entry.recipient)),
        came: entry.carrier_id.clone().filter(|_| entry.kind == "received"),
    }
}

/// Who takes part: people by their ids, and Maskline where it said something.
fn people(entries: &[Entry]) -> Vec<String> {
    let mut people = Vec::new();
    for entry in entries {
        let own = entry.person.is_none().then(|| OWN.to_owned());
        let named = [entry.person, entry.recipient].into_iter().flatten().map(|id| id.to_string());
        for id in named.chain(own) {
            if !people.contains(&id) {
                people.push(id);
            }
        }
    }
    people
}

/// A participant as people read it: by the end of their id.
fn display(id: &str) -> String {
    if id == OWN { "Maskline".to_owned() } else { format!("Person {}", &id[id.len() - 8..]) }
}

fn manifest<'a>(
    shelf: &Shelf,
    people: &[String],
    events: &'a [Event],
    entries: &[Entry],
) -> Manifest<'a> {
    let mut numbers: Vec<&String> =
        entries.iter().filter_map(|entry| entry.masked_number.as_ref()).collect();
    numbers.sort();
    numbers.dedup();
    let participants = people
        .iter()
        .map(|id| json!({"id": id, "display": display(id), "account_id": id}))
        .collect::<Vec<_>>();
    let kind = if matches!(shelf, Shelf::Conversation(_)) { "direct" } else { "channel" };
    Manifest {
        version: mail::VERSION,
        eventcollectionid: shelf.key(),
        participants,
        conversations: [json!({
            "id": shelf.key(),
            "display": shelf.title(),
            "platform": "sms",
            "type": kind,
            "participants": people,
            "custom": numbers.iter().map(|it| custom("Masked number", *it)).collect::<Vec<_>>(),
        })],
        events,
    }
}

/// What is said, for programs that show the mail alone.
fn text(events: &[Event]) -> String {
    let line = |event: &Event| {
        let who = event.participant.as_deref().map(display).unwrap_or_default();
        format!("{} {who}: {}\n", event.timestamp, event.body.as_deref().unwrap_or_default())
    };
    events.iter().map(line).collect()
}

/// The attachment. Its clock stands still, so that the same records are the same bytes. There are
/// thousands of a few kilobytes: packing them better would take longer than all else.
fn zipped(manifest: &Manifest<'_>) -> io::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1))
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644);
    zip.start_file("rsmf_manifest.json", options)?;
    // In one piece: each of many small writes would be hashed and packed by itself.
    zip.write_all(&serde_json::to_vec(manifest)?)?;
    Ok(zip.finish()?.into_inner())
}
