//! Records as a page to read and to print: one conversation after the other, day by day; and behind them
//! what belongs to none, by whose it was.
//!
//! A page stands alone: its style is in it, it runs nothing and asks for nothing. Whatever somebody
//! texted stands in it as text.

use std::{
    collections::VecDeque,
    fmt::Display,
    io::{self, Write},
};

use jiff::{civil::Date, tz::TimeZone};
use serde_json::Value;

use super::{
    Head,
    entry::{Entry, Why},
    folder::{Folder, Sheet},
};
use crate::{audit::search::Shelf, ids::PersonId};

/// After how many records a page ends: with the conversation, and in the middle of a long one.
const PAGE: u64 = 2_000;
const LONGEST: u64 = 20_000;
/// How many texts that came in are remembered, to see whether they were passed on as they were.
const RECENT: usize = 64;
/// How pages look.
const STYLE: &str = include_str!("page.css");

/// Pages that are being written.
pub(super) struct Pages {
    page: Option<Sheet>,
    /// How many pages there are, and how many records stand on the last.
    count: u32,
    records: u64,
    current: Option<Current>,
}

/// Where in a conversation the writing is, or in what belongs to none.
struct Current {
    shelf: Shelf,
    day: Option<Date>,
    /// Who takes part, the first on one side, all others on the other.
    people: Vec<PersonId>,
    /// Texts that came in lately, by the carrier's id.
    recent: VecDeque<(String, String)>,
}

impl Pages {
    pub(super) fn new() -> Self {
        Self { page: None, count: 0, records: 0, current: None }
    }

    /// Adds a record.
    pub(super) fn record(
        &mut self,
        folder: &mut Folder,
        head: &Head,
        entry: &Entry,
    ) -> io::Result<()> {
        let is_other = self.current.as_ref().is_none_or(|it| it.shelf != entry.shelf);
        if self.records >= LONGEST || is_other && self.records >= PAGE {
            self.turn(folder)?;
        }
        let mut page = match self.page.take() {
            Some(page) => page,
            None => self.begin(folder, head)?,
        };
        let mut current = match self.current.take() {
            Some(current) if !is_other => current,
            _ => Current::of(entry),
        };
        if is_other || self.records == 0 {
            let (end, more) = if self.records == 0 {
                ("", if is_other { "" } else { " (continued)" })
            } else {
                ("</ol></section>", "")
            };
            write!(page, "{end}<section><h2>{}{more}</h2>", Text(&entry.shelf.title()))?;
            current.day = None;
        }
        current.write(&mut page, entry)?;
        self.records += 1;
        (self.page, self.current) = (Some(page), Some(current));
        Ok(())
    }

    /// Ends the page.
    fn turn(&mut self, folder: &mut Folder) -> io::Result<()> {
        if let Some(mut page) = self.page.take() {
            page.write_all(b"</ol></section></main></body></html>\n")?;
            folder.close(page)?;
        }
        self.records = 0;
        Ok(())
    }

    fn begin(&mut self, folder: &Folder, head: &Head) -> io::Result<Sheet> {
        self.count += 1;
        let mut page = folder.file(&format!("transcript-{:04}.html", self.count))?;
        write!(
            page,
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <title>Transcript {number}</title><style>{STYLE}</style></head><body><main>\
             <header><h1>Transcript {number}</h1><dl>",
            number = self.count,
        )?;
        for (name, value) in head.lines() {
            write!(page, "<dt>{}</dt><dd>{}</dd>", Text(name), Text(value))?;
        }
        page.write_all(b"</dl></header>\n")?;
        Ok(page)
    }

    pub(super) fn close(mut self, folder: &mut Folder, head: &Head) -> io::Result<()> {
        if self.count == 0 {
            let mut page = self.begin(folder, head)?;
            page.write_all(b"<section><p>Nothing fits.</p><ol>")?;
            self.page = Some(page);
        }
        self.turn(folder)
    }
}

impl Current {
    fn of(entry: &Entry) -> Self {
        Self { shelf: entry.shelf.clone(), day: None, people: Vec::new(), recent: VecDeque::new() }
    }

    fn write(&mut self, page: &mut Sheet, entry: &Entry) -> io::Result<()> {
        let at = entry.at.to_zoned(TimeZone::UTC);
        if self.day != Some(at.date()) {
            let end = if self.day.is_some() { "</ol>" } else { "" };
            writeln!(page, "{end}<h3>{}</h3><ol>", at.strftime("%A, %-d %B %Y, UTC"))?;
            self.day = Some(at.date());
        }
        for person in [entry.person, entry.recipient].into_iter().flatten() {
            if !self.people.contains(&person) {
                self.people.push(person);
            }
        }
        let is_repeated = self.is_repeated(entry);
        let is_text =
            !is_repeated && matches!(&*entry.kind, "received" | "relayed" | "answered" | "refused");
        let side = match entry.person {
            _ if !is_text => "event",
            None => "own",
            Some(person) if self.people.first() == Some(&person) => "one",
            Some(_) => "two",
        };
        write!(
            page,
            "<li class=\"{side}\"><p class=\"who\"><time datetime=\"{}\">{}</time> {} \
             <small>{}</small></p>",
            entry.at,
            at.strftime("%H:%M:%S"),
            Text(&happened(entry)),
            entry.leaf,
        )?;
        said(page, entry, is_repeated)?;
        page.write_all(b"</li>\n")
    }

    /// Whether these are words that came in and were passed on as they were.
    fn is_repeated(&mut self, entry: &Entry) -> bool {
        let (Some(id), Some(words)) = (&entry.carrier_id, &entry.words) else { return false };
        match &*entry.kind {
            "received" => {
                if self.recent.len() == RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back((id.clone(), words.clone()));
                false
            }
            "relayed" => self.recent.iter().any(|(came, said)| came == id && said == words),
            _ => false,
        }
    }
}

/// The words and pictures of a record, or why they are not here.
fn said(page: &mut Sheet, entry: &Entry, is_repeated: bool) -> io::Result<()> {
    match (&entry.words, entry.excluded) {
        (_, Some(Why::Erased(at))) => {
            write!(page, "<p class=\"gone\">words erased on {at}</p>")?;
        }
        (_, Some(Why::Unreadable)) => {
            page.write_all(b"<p class=\"gone\">cannot be read any more</p>")?;
        }
        (_, Some(Why::Withheld)) => {
            page.write_all(b"<p class=\"gone\">what they wrote about it is not handed out</p>")?;
        }
        (Some(words), None) if !is_repeated => {
            write!(page, "<p class=\"words\" dir=\"auto\">{}</p>", Text(words))?;
        }
        _ => {}
    }
    for picture in entry.media.as_ref().and_then(Value::as_array).into_iter().flatten() {
        write!(page, "<p class=\"picture\">{}</p>", Text(&picture.to_string()))?;
    }
    Ok(())
}

/// What a record says happened, and between whom.
fn happened(entry: &Entry) -> String {
    let mut parts = Vec::new();
    parts.push(entry.person.map_or_else(String::new, |person| format!("{}:", name(person))));
    parts.push(match &*entry.kind {
        "relayed" => "passed on".to_owned(),
        kind => kind.replace('_', " "),
    });
    parts.extend(entry.rule.as_ref().map(|rule| format!("({rule})")));
    parts.extend(entry.recipient.map(|person| format!("to {}", name(person))));
    parts.extend(entry.masked_number.as_ref().map(|number| format!("through {number}")));
    parts.extend(entry.detail.clone());
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

/// A person, by the end of their id.
fn name(person: PersonId) -> String {
    let id = person.to_string();
    format!("person {}", &id[id.len() - 8..])
}

/// Text that stays text on a page.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => write!(f, "{c}")?,
                c if c.is_control() => f.write_str("\u{FFFD}")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}
