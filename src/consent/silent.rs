//! Who may not be texted, for staff to see. Never a number.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::PgConnection;

use crate::{
    clock::SqlTimestamp,
    ids::{ConsentEventId, PersonId},
    vault::{Field, Vault},
};

/// Somebody who may not be texted.
#[derive(Debug, Serialize)]
pub struct Silent {
    /// Who.
    pub person: PersonId,
    /// The last two digits of their number.
    pub last_two_digits: String,
    /// Since when.
    pub since: Timestamp,
    /// The rule or command that said so.
    pub rule: String,
    /// How that came in.
    pub channel: Option<String>,
    /// What proves it: the carrier's id of a text, or the words of whoever noted it.
    pub evidence: Option<String>,
}

/// Lists all who may not be texted, oldest first.
pub async fn list(conn: &mut PgConnection, vault: &Vault) -> sqlx::Result<Vec<Silent>> {
    let rows = sqlx::query!(
        r#"select s.person_id as "person: PersonId", p.wrapped_key, p.number_sealed,
               s.since, s.rule, e.id as "event?: ConsentEventId", e.channel as "channel?",
               e.evidence as "evidence?", e.evidence_sealed as "evidence_sealed?"
           from suppression s
           join person p on p.id = s.person_id
           left join lateral (
               select id, channel, evidence, evidence_sealed
               from consent_event
               where person_id = s.person_id and kind = 'revoked' and at >= s.since
               order by seq
               limit 1
           ) e on true
           -- Whoever was forgotten is nobody that could be texted.
           where p.erased_at is null
           order by s.since, s.person_id"#
    )
    .fetch_all(conn)
    .await?;
    let listed = rows.into_iter().map(|row| {
        let mut evidence = row.evidence;
        let mut last_two_digits = "??".to_owned();
        // Whoever was forgotten has no number, and nothing that they or others said of it.
        if let Some((wrapped, number)) = row.wrapped_key.zip(row.number_sealed) {
            let number = vault.number(row.person, &wrapped, &number)?;
            number.last_two_digits().clone_into(&mut last_two_digits);
            if let Some((event, sealed)) = row.event.zip(row.evidence_sealed) {
                let author = vault.author(row.person, &wrapped)?;
                evidence = Some(author.read(Field::Evidence, event, &sealed)?);
            }
        }
        Ok(Silent {
            person: row.person,
            last_two_digits,
            since: row.since.to_jiff(),
            rule: row.rule,
            channel: row.channel,
            evidence,
        })
    });
    listed.collect()
}

/// Since when a person may not be texted; none when they may.
pub async fn silent_since(
    conn: &mut PgConnection,
    person: PersonId,
) -> sqlx::Result<Option<Timestamp>> {
    let since =
        sqlx::query_scalar!("select since from suppression where person_id = $1", person as _)
            .fetch_optional(conn)
            .await?;
    Ok(since.map(SqlTimestamp::to_jiff))
}
