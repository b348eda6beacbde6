//! How much a hold would cover, counted before it is placed.

use std::fmt::{self, Display, Formatter};

use sqlx::PgConnection;

use super::holds::Scope;
use crate::clock::SqlTimestamp;

/// So many records are counted at most: whoever holds everything need not wait for the number.
const COUNTED: i64 = 100_000;

/// What a hold would cover now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// How many records, or how many were counted.
    pub records: i64,
    /// How many conversations those belong to.
    pub conversations: i64,
    /// Whether there are more.
    pub is_more: bool,
}

impl Display for Reach {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { records, conversations, is_more } = *self;
        if is_more {
            return write!(f, "more than {records} records");
        }
        let ending = |count| if count == 1 { "" } else { "s" };
        let (record, conversation) = (ending(records), ending(conversations));
        write!(f, "{records} record{record}, of {conversations} conversation{conversation}")
    }
}

/// Counts what a hold would cover.
///
/// # Errors
/// The database's.
pub async fn reach(conn: &mut PgConnection, scope: &Scope) -> sqlx::Result<Reach> {
    let from: Option<SqlTimestamp> = scope.from.map(jiff_sqlx::ToSqlx::to_sqlx);
    let until: Option<SqlTimestamp> = scope.until.map(jiff_sqlx::ToSqlx::to_sqlx);
    // As `legal_hold_covers` has it, written so that an index can be used.
    let counted = sqlx::query!(
        r#"select count(*) as "records!", count(distinct covered.conversation_id) as "conversations!"
           from (
               select r.conversation_id
               from audit_record r
               where ($1::uuid is null or r.person_id = $1 or r.recipient_id = $1
                       or (r.author_id = $1 and r.author_id is distinct from r.person_id))
                   and ($2::uuid is null or r.conversation_id = $2)
                   and ($3::text is null or r.masked_number = $3)
                   and ($4::timestamptz is null or r.at >= $4)
                   and ($5::timestamptz is null or r.at < $5)
               limit $6
           ) covered"#,
        scope.person as _,
        scope.conversation as _,
        scope.masked_number.as_deref(),
        from as _,
        until as _,
        COUNTED + 1,
    )
    .fetch_one(conn)
    .await?;
    Ok(Reach {
        records: counted.records.min(COUNTED),
        conversations: counted.conversations,
        is_more: counted.records > COUNTED,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_counted_to_its_end_says_so() {
        let all = Reach { records: 12, conversations: 3, is_more: false };
        assert_eq!(all.to_string(), "12 records, of 3 conversations");
        let one = Reach { records: 1, conversations: 1, is_more: false };
        assert_eq!(one.to_string(), "1 record, of 1 conversation");
        let some = Reach { records: COUNTED, is_more: true, ..all };
        assert_eq!(some.to_string(), "more than 100000 records");
    }
}
