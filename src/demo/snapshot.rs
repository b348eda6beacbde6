//! What the two phones show, and what Maskline's own tables say became of each text.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{MASKED, PHONES, page::Watched, page::sms_link, staff::Shown};
use crate::{
    carrier::simulator::{Faults, PhoneText, Way},
    clock::Clock,
    code::Code,
    phone::PhoneNumber,
};

/// Everything that the page draws.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    brand: String,
    masked_numbers: [&'static str; 2],
    /// Whether one party's real number ever reached the other's phone.
    exposed: bool,
    phones: Vec<Phone>,
    /// Who of the two blocked the other.
    apart: Option<&'static str>,
    tasks: Vec<Task>,
    faults: Faults,
    /// What to sign in to the console with.
    console: Shown,
}

#[derive(Debug, Serialize)]
struct Phone {
    name: &'static str,
    number: &'static str,
    texts: Vec<Text>,
    /// The latest of their open conversations.
    conversation: Option<Conversation>,
    /// The masked numbers of the others.
    also_on: Vec<String>,
    silenced: bool,
}

/// What staff must look at.
#[derive(Debug, Serialize)]
struct Task {
    kind: String,
    /// Whose doing it is.
    who: Option<&'static str>,
    detail: Option<String>,
    due_at: Timestamp,
}

#[derive(Debug, Serialize)]
struct Text {
    id: String,
    direction: &'static str,
    with: PhoneNumber,
    body: String,
    /// How many pictures it has, or other files.
    pictures: usize,
    at: Timestamp,
    /// Of a sent text: what became of it. Of a received one: nothing.
    state: Option<&'static str>,
    note: Option<String>,
    /// Of a sent text: why pictures of it were not passed on, each reason once.
    refused: Vec<String>,
    /// Of a received text: `relay`, `service`, or nothing where the carrier itself wrote it.
    source: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Conversation {
    state: String,
    masked_number: String,
    code: Option<String>,
    sms_link: Option<String>,
    qr_svg_url: Option<String>,
}

/// Looks at both phones and at the database.
pub(super) async fn take(watched: &Watched) -> sqlx::Result<Snapshot> {
    let mut phones = Vec::new();
    for (name, number) in PHONES {
        phones.push(phone(watched, name, number).await?);
    }
    let exposed = phones.iter().any(|phone| {
        let others = PHONES.iter().filter(|(name, _)| *name != phone.name);
        let numbers: Vec<&str> = others.map(|(_, number)| &number[2..]).collect();
        let received = phone.texts.iter().filter(|text| text.direction == "in");
        received.into_iter().any(|text| numbers.iter().any(|number| shows(text, number)))
    });
    let faults = watched.simulator.faults();
    Ok(Snapshot {
        brand: watched.brand.clone(),
        masked_numbers: MASKED,
        exposed,
        phones,
        apart: apart(watched).await?,
        tasks: tasks(watched).await?,
        faults,
        console: watched.accounts.shown(Clock::System.now()),
    })
}

/// Whether a text shows these digits, however they are written.
fn shows(text: &Text, digits: &str) -> bool {
    let said: String = text.body.chars().filter(char::is_ascii_digit).collect();
    said.contains(digits) || text.with.as_str().contains(digits)
}

async fn phone(watched: &Watched, name: &'static str, number: &'static str) -> sqlx::Result<Phone> {
    let Ok(parsed) = number.parse::<PhoneNumber>() else { return Err(sqlx::Error::RowNotFound) };
    let seen = watched.simulator.phone(&parsed);
    let ids: Vec<String> = seen.iter().map(|text| text.id.clone()).collect();
    let fates = fates(watched, &ids).await?;
    let sources = sources(watched, &ids).await?;
    let texts = seen.into_iter().map(|text| read(text, &fates, &sources)).collect();
    let silenced = is_silenced(watched, number).await?;
    let (conversation, also_on) = conversations(watched, number).await?;
    Ok(Phone { name, number, texts, conversation, also_on, silenced })
}

fn read(
    text: PhoneText,
    fates: &HashMap<String, Fate>,
    sources: &HashMap<String, &'static str>,
) -> Text {
    let PhoneText { id, direction, with, body, at, media_urls } = text;
    let pictures = media_urls.len();
    let (direction, fate, source) = match direction {
        // A text that Maskline has not taken yet waits at the carrier.
        Way::Out => ("out", fates.get(&id).cloned().unwrap_or_else(Fate::queued), None),
        Way::In => ("in", Fate::default(), sources.get(&id).copied()),
    };
    let Fate { state, note, refused } = fate;
    Text { id, direction, with, body, pictures, at, state, note, refused, source }
}

/// What became of a text: its state as the page names it, and why.
#[derive(Clone, Default)]
struct Fate {
    state: Option<&'static str>,
    note: Option<String>,
    refused: Vec<String>,
}

impl Fate {
    fn queued() -> Self {
        Self { state: Some("queued"), ..Self::default() }
    }
}

/// What became of the texts that came in: of each, the relay it caused, if it caused one.
async fn fates(watched: &Watched, inbound: &[String]) -> sqlx::Result<HashMap<String, Fate>> {
    let rows = sqlx::query!(
        r#"select r.carrier_id as "id!", r.kind, o.state as "waiting?", o.held as "held?",
               m.delivery as "delivery?", m.status, f.detail as "failure?",
               array(
                   select distinct p.refused
                   from media p
                   where p.text_id = r.text_id and p.refused is not null
                   order by p.refused
               ) as "refused!: Vec<String>"
           from audit_record r
           left join outbox o on o.id = r.text_id
           left join carrier_message m on m.text_id = r.text_id
           left join audit_record f on f.text_id = r.text_id and f.kind in ('failed', 'dropped')
           where r.carrier_id = any($1) and r.kind in ('received', 'refused', 'relayed')
           order by r.kind = 'relayed'"#,
        inbound,
    )
    .fetch_all(&watched.db)
    .await?;
    let fate =
        |kind: &str, waiting: Option<&str>, delivery: Option<&str>| match (kind, waiting, delivery)
        {
            ("received" | "refused", ..) => "recorded",
            (_, Some("unknown"), _) => "unknown",
            (_, Some(_), _) => "queued",
            (.., Some("sent")) => "sent",
            (.., Some("delivered")) => "delivered",
            _ => "failed",
        };
    let rows = rows.into_iter().map(|row| {
        let state = fate(&row.kind, row.waiting.as_deref(), row.delivery.as_deref());
        let note = match state {
            "failed" => row.failure.or(row.status),
            "queued" => row.held.filter(|held| *held).map(|_| "fetching_pictures".to_owned()),
            _ => None,
        };
        (row.id, Fate { state: Some(state), note, refused: row.refused })
    });
    // Of each text the relay comes last, and so it stays.
    Ok(rows.collect())
}

/// Whose words the texts are that went out.
async fn sources(
    watched: &Watched,
    outbound: &[String],
) -> sqlx::Result<HashMap<String, &'static str>> {
    let rows = sqlx::query!(
        "select m.carrier_id, r.kind
         from carrier_message m
         join audit_record r on r.text_id = m.text_id
         where m.carrier_id = any($1) and r.kind in ('relayed', 'answered')",
        outbound,
    )
    .fetch_all(&watched.db)
    .await?;
    let source = |kind: &str| if kind == "relayed" { "relay" } else { "service" };
    Ok(rows.into_iter().map(|row| (row.carrier_id, source(&row.kind))).collect())
}

/// By what the owner of a phone is found in the database.
fn tag(watched: &Watched, number: &str) -> Vec<u8> {
    number.parse().map(|number| watched.vault.tag(&number)).unwrap_or_default()
}

/// The name of the phone whose owner has this tag.
fn named(watched: &Watched, tag: &[u8]) -> Option<&'static str> {
    PHONES.into_iter().find(|(_, own)| self::tag(watched, own) == tag).map(|(name, _)| name)
}

/// Who of the two blocked the other, if one did.
async fn apart(watched: &Watched) -> sqlx::Result<Option<&'static str>> {
    let by = sqlx::query_scalar!(
        r#"select p.tag as "tag!"
           from block b
           join person p on p.id = b.person_id
           order by b.since
           limit 1"#
    );
    Ok(by.fetch_optional(&watched.db).await?.and_then(|tag| named(watched, &tag)))
}

/// The open tasks, those due first in front.
async fn tasks(watched: &Watched) -> sqlx::Result<Vec<Task>> {
    let rows = sqlx::query!(
        r#"select t.kind, t.detail, t.due_at, p.tag as "tag?"
           from task t
           left join person p on p.id = t.person_id
           where t.closed_at is null
           order by t.due_at, t.id"#
    )
    .fetch_all(&watched.db)
    .await?;
    let tasks = rows.into_iter().map(|row| Task {
        kind: row.kind,
        who: row.tag.and_then(|tag| named(watched, &tag)),
        detail: row.detail,
        due_at: row.due_at.to_jiff(),
    });
    Ok(tasks.collect())
}

/// Whether a phone's owner opted out.
async fn is_silenced(watched: &Watched, number: &str) -> sqlx::Result<bool> {
    let silenced = sqlx::query_scalar!(
        r#"select exists (
               select from suppression s join person p on p.id = s.person_id where p.tag = $1
           ) as "silenced!""#,
        tag(watched, number),
    );
    silenced.fetch_one(&watched.db).await
}

/// The latest open conversation of a phone's owner, and the masked numbers of the others.
async fn conversations(
    watched: &Watched,
    number: &str,
) -> sqlx::Result<(Option<Conversation>, Vec<String>)> {
    let open = sqlx::query!(
        "select c.state, c.code, m.number
         from participant t
         join person p on p.id = t.person_id
         join conversation c on c.id = t.conversation_id
         join masked_number m on m.id = t.masked_number_id
         where p.tag = $1 and t.left_at is null
         order by t.joined_at desc",
        tag(watched, number),
    );
    let mut open = open.fetch_all(&watched.db).await?.into_iter();
    let latest = open.next().map(|open| {
        let link = open.code.parse::<Code>().ok().zip(open.number.parse::<PhoneNumber>().ok());
        let link = link.filter(|_| open.state == "waiting");
        Conversation {
            state: open.state,
            code: link.as_ref().map(|(code, _)| code.to_string()),
            sms_link: link.as_ref().map(|(code, number)| sms_link(number, code)),
            qr_svg_url: link
                .as_ref()
                .map(|(code, number)| format!("/qr/{}/{}.svg", number.digits(), code.as_str())),
            masked_number: open.number,
        }
    });
    Ok((latest, open.map(|open| open.number).collect()))
}
