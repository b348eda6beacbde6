//! What an address asks for, and what is looked for then.

use jiff::Timestamp;
use sqlx::PgConnection;

use super::{expression::Expression, kept};
use crate::{
    app::App,
    audit::search::{Cursor, Query, Refusal},
    ids::SearchId,
    pool,
};

/// What an address asks for, its words put back in; or why it cannot be told, and what is left of it.
pub(in crate::console) async fn read(
    app: &App,
    terms: &str,
    words: Option<&str>,
) -> sqlx::Result<Result<(Expression, Option<SearchId>), (String, String)>> {
    let mut read = match terms.parse::<Expression>() {
        Ok(read) => read,
        Err(problem) => return Ok(Err((problem, terms.to_owned()))),
    };
    if !matches!(read.typed_number(), Ok(None)) || !read.words.is_empty() {
        let problem = "Numbers and words do not go into an address. Type them into the box.";
        return Ok(Err((problem.to_owned(), String::new())));
    }
    let words: Option<SearchId> = words.and_then(|id| id.parse().ok());
    if let Some(id) = words {
        let kept = kept::find(&mut *app.db.acquire().await?, &app.pen.vault, id).await?;
        let Some(kept) = kept else {
            let problem = "The words of this search are not kept any more. Type them once more.";
            return Ok(Err((problem.to_owned(), read.to_text())));
        };
        read.words = kept;
    }
    Ok(Ok((read, words)))
}

/// What is looked for, or why that cannot be done.
pub(in crate::console) async fn wanted(
    conn: &mut PgConnection,
    read: &Expression,
    before: Option<Cursor>,
    now: Timestamp,
) -> sqlx::Result<Result<Query, String>> {
    let filter = match read.filter() {
        Ok(filter) => filter,
        Err(problem) => return Ok(Err(problem)),
    };
    if let Some(number) = &filter.masked_number
        && pool::find(conn, number).await?.is_none()
    {
        return Ok(Err(
            "number: is none of your masked numbers. For a person’s write person:.".into()
        ));
    }
    let keyword = Some(read.words.as_str()).filter(|words| !words.is_empty());
    Ok(Query::new(filter, keyword, before, now).map_err(|refusal| said(refusal).to_owned()))
}

fn said(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Unbounded => {
            "Words are encrypted, and each text is opened to look for them: say where to look. Add person:, conversation: or text:, or from: and until: no more than 31 days apart."
        }
        Refusal::EmptyKeyword => "The words hold nothing to look for.",
        Refusal::NoTime => "until: must be later than from:, and from: must not be in the future.",
        Refusal::NoKind => {
            "No record of that kind: is of a text that goes that way: inbound are received and refused, outbound relayed and answered."
        }
    }
}
