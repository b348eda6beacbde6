//! What may leave now: looks for it, takes it under a lease, drops what may not be sent any more.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{front::Front, limit::Kind};
use crate::{
    clock::SqlTimestamp,
    ids::{MaskedNumberId, PersonId, TextId},
    phone::PhoneNumber,
    vault::{Field, Unreadable, Vault},
};

/// How many texts of one kind are looked at once it takes a second look, however few may leave: those
/// that stand behind others are found only once.
const WINDOW: usize = 400;

/// A text that this worker alone may send until its lease ends.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) id: TextId,
    /// Counts the tries; it fences the answer of a worker whose lease has ended.
    pub(super) attempt: i32,
    /// When it was claimed, by the database's clock.
    pub(super) at: Timestamp,
    /// How long it had stood in the outbox then.
    pub(super) waited: Duration,
    pub(super) person: PersonId,
    pub(super) number: MaskedNumberId,
    pub(super) to: PhoneNumber,
    pub(super) from: PhoneNumber,
    pub(super) body: String,
    pub(super) is_mms: bool,
    /// The tokens of its pictures.
    pub(super) media: Vec<String>,
    /// The trace that called for it, where one is written.
    pub(super) traceparent: Option<String>,
}

/// What is to be done with the texts that are due.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// They may leave: in the order of their turns, each with its kind.
    pub(super) free: Vec<(TextId, Kind)>,
    /// They stand behind another, which is named beside them.
    pub(super) behind: Vec<(TextId, TextId)>,
    /// They must not or cannot be sent, for the reason beside them.
    pub(super) vain: Vec<(TextId, &'static str)>,
}

impl Due {
    /// Keeps so many of each kind.
    pub(super) fn limit(&mut self, room: usize, free: impl Fn(Kind) -> usize) {
        let (mut sms, mut mms) = (free(Kind::Sms), free(Kind::Mms));
        self.free.retain(|(_, kind)| {
            let left = match kind {
                Kind::Sms => &mut sms,
                Kind::Mms => &mut mms,
            };
            let has_room = *left > 0;
            *left = left.saturating_sub(1);
            has_room
        });
        self.free.truncate(room);
    }
}

/// Looks at the texts of these kinds that are due: urgent ones first, then those whose turn came
/// first. Whether a recipient may be texted is asked here, just before texts leave.
///
/// It looks at no more than may leave, and at many more only when some of these may not.
pub(super) async fn due(
    conn: &mut PgConnection,
    kinds: &[Kind],
    most: usize,
    front: &mut Front,
    now: Timestamp,
) -> sqlx::Result<Due> {
    let due = look_at(conn, kinds, most, front, now).await?;
    let others = due.behind.len() + due.vain.len();
    if others > 0 && due.free.len() + others >= most && most < WINDOW {
        return look_at(conn, kinds, WINDOW, front, now).await;
    }
    Ok(due)
}

async fn look_at(
    conn: &mut PgConnection,
    kinds: &[Kind],
    window: usize,
    front: &mut Front,
    now: Timestamp,
) -> sqlx::Result<Due> {
    let window = i64::try_from(window).unwrap_or(i64::MAX);
    let is_mms: Vec<bool> = kinds.iter().map(|kind| *kind == Kind::Mms).collect();
    let fronts: Vec<SqlTimestamp> = kinds
        .iter()
        .map(|kind| front.of(*kind).unwrap_or(Timestamp::UNIX_EPOCH).to_sqlx())
        .collect();
    let rows = sqlx::query!(
        r#"select o.id as "id: TextId", o.is_mms, o.due_at as "due_at: SqlTimestamp", ahead.id as "ahead?: TextId",
               case when s.person_id is not null and not o.despite_optout then 'opted_out'
                   when b.person_id is not null then 'carrier_blocked'
                   when o.give_up_at <= $2 then 'too_late'
                   -- Whoever is met there now would seem to have said it.
                   when o.kind = 'relay' and exists (
                       select from participant mine
                       join participant met on met.conversation_id = mine.conversation_id
                           and met.person_id <> mine.person_id
                       where mine.person_id = o.recipient_id
                           and mine.masked_number_id = o.masked_number_id
                           and mine.left_at is null
                           and mine.conversation_id <> o.conversation_id
                           and met.person_id not in (
                               select said.person_id from participant said
                               where said.conversation_id = o.conversation_id
                           )
                   ) then 'crossed'
               end as why
           from unnest($1::boolean[], $4::timestamptz[]) as wanted (is_mms, since)
           cross join (values (true), (false)) as turn (urgent)
           cross join lateral (
               select *
               from outbox due
               where due.state = 'queued' and not due.held and due.is_mms = wanted.is_mms
                   and due.urgent = turn.urgent and due.due_at >= wanted.since and due.due_at <= $2
               order by due.due_at, due.seq
               limit $3
           ) o
           left join lateral (
               select a.id
               from outbox a
               where a.recipient_id = o.recipient_id and a.lane = o.lane and a.seq < o.seq
                   and a.passed_at is null and not a.urgent
               order by a.seq
               limit 1
           ) ahead on o.passed_at is null and not o.urgent
           left join suppression s on s.person_id = o.recipient_id
           left join carrier_block b
               on b.person_id = o.recipient_id and b.masked_number_id = o.masked_number_id
           order by o.urgent desc, o.due_at, o.seq"#,
        &is_mms,
        now.to_sqlx() as _,
        window,
        &fronts as _,
    )
    .fetch_all(conn)
    .await?;
    for kind in kinds {
        let found = rows.iter().filter(|row| row.is_mms == (*kind == Kind::Mms));
        front.advance(*kind, found.map(|row| row.due_at.to_jiff()).min().unwrap_or(now));
    }
    let mut due = Due::default();
    for row in rows {
        let kind = if row.is_mms { Kind::Mms } else { Kind::Sms };
        match (row.why.as_deref(), row.ahead) {
            (Some("opted_out"), _) => due.vain.push((row.id, "opted_out")),
            (Some("carrier_blocked"), _) => due.vain.push((row.id, "carrier_blocked")),
            (Some("crossed"), _) => due.vain.push((row.id, "crossed")),
            (Some(_), _) => due.vain.push((row.id, "too_late")),
            (None, Some(ahead)) => due.behind.push((row.id, ahead)),
            (None, None) => due.free.push((row.id, kind)),
        }
    }
    Ok(due)
}

/// Takes these texts under a lease. One that somebody else holds or has changed is left. What cannot
/// be opened is returned apart: nobody will ever read it.
pub(super) async fn take(
    conn: &mut PgConnection,
    vault: &Vault,
    texts: &[(TextId, Kind)],
    lease: SignedDuration,
    now: Timestamp,
) -> sqlx::Result<(Vec<Claim>, Vec<TextId>)> {
    let ids: Vec<Uuid> = texts.iter().map(|(id, _)| id.uuid()).collect();
    let until = now.saturating_add(lease).unwrap_or(Timestamp::MAX);
    let rows = sqlx::query!(
        r#"with mine as (
             select id
             from outbox
             where id = any($1) and state = 'queued' and not held
             for update skip locked
         )
         update outbox o
         set state = 'sending', attempt = o.attempt + 1, leased_until = $3, tried_at = $2,
             first_tried_at = coalesce(o.first_tried_at, $2), sent_to = null
         from mine
         join outbox text on text.id = mine.id
         join person p on p.id = text.recipient_id
         join masked_number m on m.id = text.masked_number_id
         left join person author on author.id = text.author_id
         where o.id = mine.id
         returning o.id, o.attempt, o.recipient_id, o.masked_number_id, o.body_sealed, o.is_mms,
             o.queued_at, o.media, o.traceparent, o.author_id as "author_id: PersonId",
             author.wrapped_key as "author_key?", p.wrapped_key as "wrapped_key?",
             p.number_sealed as "number_sealed?", m.number as masked_number"#,
        &ids,
        now.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    let (mut claims, mut unreadable) = (Vec::new(), Vec::new());
    for row in rows {
        let id = row.id;
        let number = row.masked_number.parse::<PhoneNumber>();
        let opened = || -> Result<(PhoneNumber, String), Unreadable> {
            let wrapped = row.wrapped_key.as_deref().ok_or(Unreadable)?;
            let sealed = row.number_sealed.as_deref().ok_or(Unreadable)?;
            let to = vault.number(row.recipient_id, wrapped, sealed)?;
            let Some(body) = &row.body_sealed else { return Ok((to, String::new())) };
            let author = vault.author_of(row.author_id, row.author_key.as_deref())?;
            Ok((to, author.read(Field::OutboxBody, id, body)?))
        };
        match opened() {
            Err(Unreadable) => unreadable.push(id),
            Ok((to, body)) => claims.push(Claim {
                id,
                attempt: row.attempt,
                at: now,
                waited: now.duration_since(row.queued_at.to_jiff()).unsigned_abs(),
                person: row.recipient_id,
                number: row.masked_number_id,
                to,
                from: number.map_err(|error| sqlx::Error::Decode(error.into()))?,
                body,
                is_mms: row.is_mms,
                media: row.media,
                traceparent: row.traceparent,
            }),
        }
    }
    Ok((claims, unreadable))
}

/// Lets go texts that were taken and cannot be opened.
pub(super) async fn let_go(conn: &mut PgConnection, texts: &[TextId]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = texts.iter().map(|id| id.uuid()).collect();
    sqlx::query!(
        "update outbox set state = 'queued', leased_until = null where id = any($1)",
        &ids
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts back texts whose claim nobody knows to be committed, and which were not sent. Where it was
/// not, or another worker has claimed them since, nothing changes: no two claims have one time.
pub(super) async fn give_back(conn: &mut PgConnection, claims: &[Claim]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = claims.iter().map(|claim| claim.id.uuid()).collect();
    let attempts: Vec<i32> = claims.iter().map(|claim| claim.attempt).collect();
    let times: Vec<SqlTimestamp> = claims.iter().map(|claim| claim.at.to_sqlx()).collect();
    sqlx::query!(
        "update outbox o
         set state = 'queued', leased_until = null, sent_to = null
         from unnest($1::uuid[], $2::integer[], $3::timestamptz[]) as claim (id, attempt, at)
         where o.id = claim.id and o.attempt = claim.attempt and o.tried_at = claim.at
             and o.state = 'sending'",
        &ids,
        &attempts,
        &times as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
