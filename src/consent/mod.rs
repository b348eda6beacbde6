//! Who may be texted. An opt-out silences a person on every masked number, at once.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::{clock::SqlTimestamp, ids::PersonId};

/// Silences a person, and remembers the rule that said so. The first revocation stands.
pub async fn suppress(
    conn: &mut PgConnection,
    person: PersonId,
    rule: &str,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into suppression (person_id, rule, since)
         values ($1, $2, $3)
         on conflict (person_id) do nothing",
        person as _,
        rule,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lets a person be texted again.
pub async fn lift(conn: &mut PgConnection, person: PersonId) -> sqlx::Result<()> {
    sqlx::query!("delete from suppression where person_id = $1", person as _).execute(conn).await?;
    Ok(())
}

/// What must be known of a person before they are answered.
#[derive(Debug)]
pub struct Standing {
    /// Whether they opted out.
    pub suppressed: bool,
    /// When they last got each answer that is given only so often.
    pub given: HashMap<String, Timestamp>,
}

/// Loads how a person stands.
pub async fn standing(conn: &mut PgConnection, person: PersonId) -> sqlx::Result<Standing> {
    let row = sqlx::query!(
        r#"select exists (select from suppression where person_id = $1) as "suppressed!",
               array(select answer from answer_given where person_id = $1 order by answer)
                   as "answers!",
               array(select last_at from answer_given where person_id = $1 order by answer)
                   as "last_at!: Vec<SqlTimestamp>""#,
        person as _,
    )
    .fetch_one(conn)
    .await?;
    let last_at = row.last_at.into_iter().map(SqlTimestamp::to_jiff);
    Ok(Standing {
        suppressed: row.suppressed,
        given: row.answers.into_iter().zip(last_at).collect(),
    })
}

/// Notes that a person is given an answer that is given only so often.
pub async fn note_given(
    conn: &mut PgConnection,
    person: PersonId,
    answer: &str,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into answer_given (person_id, answer, last_at)
         values ($1, $2, $3)
         on conflict (person_id, answer) do update set last_at = excluded.last_at",
        person as _,
        answer,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
