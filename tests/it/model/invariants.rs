//! What holds of every history, whatever the model says: asked of the trail and the ledger of consent
//! at the end of each sequence.

use jiff_sqlx::ToSqlx;
use sqlx::Connection;

use super::system::{Seen, System};
use crate::{rebuild::fold::State, support::opened};

/// Each line names what is broken, and where.
const BROKEN: &str = r"
with trail as materialized (
    select * from audit_record where at > $1
), promised as (
    select * from trail where kind in ('relayed', 'answered')
), left_us as (
    select a.at, a.id, p.at as promised_at, a.masked_number, a.kind, a.recipient_id, a.conversation_id,
        p.rule, p.body
    from trail a join promised p on p.text_id = a.text_id
    where a.kind in ('accepted', 'failed')
), told as (
    select l.*, (
        select e.kind from consent_event e
        where e.person_id = l.recipient_id and e.kind in ('granted', 'revoked') and e.at < l.at
        order by e.seq desc limit 1
    ) as standing
    from left_us l
    where l.kind = 'accepted'
), silenced as (
    select person_id, count(*) filter (where kind = 'revoked' and before is distinct from 'revoked') as times
    from (
        select person_id, kind, lag(kind) over (partition by person_id order by seq) as before
        from consent_event
        where at > $1 and kind in ('granted', 'revoked')
    ) standing
    group by person_id
), first as (
    select distinct on (recipient_id, conversation_id, masked_number) *
    from left_us
    where conversation_id is not null
        and coalesce(rule, '') not in ('help', 'moved_away')
        -- What is said after the end is no more said in it.
        and not exists (
            select from trail e
            where e.kind = 'ended' and e.conversation_id = left_us.conversation_id
                and e.at <= left_us.promised_at)
    order by recipient_id, conversation_id, masked_number, at, id
)
select 'somebody who opted out was texted: ' || body from told
    where standing = 'revoked' and coalesce(rule, '') not in ('opted_out', 'help')
union all
select 'an opt-out was confirmed twice' from told
    left join silenced on person_id = recipient_id
    where rule = 'opted_out' group by recipient_id, times having count(*) > coalesce(times, 0)
union all
select 'a code admitted more than one' from trail
    where kind = 'joined' group by conversation_id having count(*) > 1
union all
select 'a text has ' || count(*) || ' outcomes: ' || carrier_id from trail
    where kind in ('received', 'refused') group by carrier_id having count(*) <> 1
union all
select 'a text has no outcome: ' || m.carrier_id from carrier_message m
    where m.direction = 'inbound' and not exists (
        select from trail t where t.carrier_id = m.carrier_id and t.kind in ('received', 'refused'))
union all
select 'the first text in a conversation does not say who we are: ' || body from first
    where body not like 'Maskline:%Msg & data rates may apply%HELP%STOP%'
union all
select 'a conversation ended by silence without a notice an hour before' from trail e
    where e.kind = 'ended' and e.detail = 'silence' and not exists (
        select from trail w
        where w.kind = 'warned' and w.conversation_id = e.conversation_id
            and w.at <= e.at - interval '1 hour'
            and not exists (
                select from trail t
                where t.conversation_id = e.conversation_id and t.at > w.at
                    and t.kind in ('relayed', 'extended')))
";

/// Says what of a history is broken, if anything is. `texts` is how many came in.
pub async fn broken(system: &mut System, texts: i64) -> Option<String> {
    let began = system.began;
    let mut tx = system.conn.begin().await.unwrap();
    let vault = &system.test.app.pen.vault;
    opened::open(&mut tx, vault, BROKEN, &format!("at >= '{began}'")).await;
    let began = began.to_sqlx();
    let broken: Vec<String> =
        sqlx::query_scalar(BROKEN).bind(began).fetch_all(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    if !broken.is_empty() {
        return Some(format!("{broken:#?}"));
    }
    let kept: i64 =
        sqlx::query_scalar("select count(*) from carrier_message where direction = 'inbound'")
            .fetch_one(&mut system.conn)
            .await
            .unwrap();
    if kept != texts {
        return Some(format!("{texts} texts came in, {kept} were kept"));
    }
    None
}

/// Says whether what is in force is not the fold of the ledger.
pub async fn unfolded(system: &mut System, seen: &Seen) -> Option<String> {
    let (suppressed, cut) = system.folded(seen).await;
    let in_force = seen.suppressed.iter().copied().collect();
    if suppressed != in_force || cut.len() != seen.cut.len() {
        return Some(format!("the ledger says {suppressed:?} {cut:?}, in force is {seen:?}"));
    }
    None
}

/// Says whether the trail alone tells something else than the tables hold.
pub async fn untold(system: &mut System) -> Option<String> {
    let told = State::told(&mut system.conn, system.began).await;
    let held = State::held(&mut system.conn).await;
    (told != held).then(|| format!("the trail tells {told:#?}, there is {held:#?}"))
}

/// Says whether two who are to be kept apart sit together, or one person twice on a number.
pub fn seated_wrong(seen: &Seen) -> Option<String> {
    let mut taken = std::collections::HashSet::new();
    for open in &seen.open {
        for seat in &open.seats {
            if !taken.insert(seat) {
                return Some(format!("somebody sits twice on one number: {:?}", seen.open));
            }
        }
        if let [(one, _), (other, _)] = &open.seats[..] {
            let apart = |pair: &(uuid::Uuid, uuid::Uuid)| {
                pair == &(*one, *other) || pair == &(*other, *one)
            };
            if one == other || seen.apart.iter().any(apart) {
                return Some("two who were to be kept apart are connected".to_owned());
            }
        }
    }
    None
}
