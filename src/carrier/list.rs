//! The carrier's list of messages: both directions, with what became of each.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{
    client::{Flowroute, plain, read_if_short},
    listed::{self, Listed},
    wire,
};

/// How many messages are asked for at once.
const PAGE: usize = 200;
/// More pages than this are too much for one list: it is asked for in shorter parts.
const MOST_PAGES: usize = 50;
/// More than this of a page, in bytes, is not read: fewer messages must be asked for. 200 usual texts
/// take about 100,000.
const LONGEST_PAGE: usize = 4 * 1024 * 1024;

/// Why the list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The keys were not taken.
    #[error("the carrier does not take the keys for its list of messages (status {0})")]
    Keys(u16),
    /// The carrier has a problem, or something else answered.
    #[error("the carrier's list of messages answered with status {0}")]
    Status(u16),
    /// No answer, or half of one.
    #[error("the carrier's list of messages does not answer: {0}")]
    Unreachable(String),
    /// What answered is no list.
    #[error("what the carrier answered is no list of messages")]
    NoList,
    /// A page brought nothing new and yet was not the last.
    #[error("the carrier's list of messages does not come to an end")]
    Endless,
    /// More than is read at once: a shorter time must be asked for.
    #[error("the carrier's list of messages is too long")]
    TooMuch,
}

impl Flowroute {
    /// Reads all messages of a time, `from` and `to` included, in the order in which they were sent.
    ///
    /// All or an error. As with the account's numbers, a link to the next page says only that there
    /// is one, so that no link leads the keys elsewhere. What the carrier lists beyond what it was
    /// asked for is left out.
    ///
    /// # Errors
    /// What is wrong with the keys, the address, the carrier or its answers.
    pub async fn messages(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Listed>, ListError> {
        let (mut listed, mut seen, mut offset) = (Vec::new(), HashSet::new(), 0);
        for _ in 0..MOST_PAGES {
            let page = self.page(from, to, offset).await?;
            let items = page.get("data").and_then(Value::as_array).ok_or(ListError::NoList)?;
            let before = seen.len();
            for item in items {
                if let Some(found) = listed::read(item, &page)
                    && (from..=to).contains(&found.at())
                    && seen.insert(found.carrier_id().to_owned())
                {
                    listed.push(found);
                } else if let Some(id) = wire::id(item.get("id")) {
                    seen.insert(id);
                }
            }
            if page.pointer("/links/next").is_none_or(|next| next.is_null() || next == "") {
                // Newest first, as it is seen on the wire; so those of one moment are turned round.
                listed.reverse();
                listed.sort_by_key(Listed::at);
                return Ok(listed);
            }
            if seen.len() == before {
                return Err(ListError::Endless);
            }
            offset += items.len();
        }
        Err(ListError::TooMuch)
    }

    async fn page(
        &self,
        from: Timestamp,
        to: Timestamp,
        offset: usize,
    ) -> Result<Value, ListError> {
        // Whole seconds, since fractions are not documented; the end is rounded up.
        let end = to.saturating_add(SignedDuration::from_secs(1)).unwrap_or(to);
        let [from, to] = [from, end].map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        let path =
            format!("v2.2/messages?start_date={from}&end_date={to}&limit={PAGE}&offset={offset}");
        let response = self.request(Method::GET, &path).send().await.map_err(unreachable)?;
        match response.status() {
            status if status.is_success() => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(ListError::Keys(status.as_u16()));
            }
            status => return Err(ListError::Status(status.as_u16())),
        }
        let page = read_if_short(response, LONGEST_PAGE).await.map_err(unreachable)?;
        page.ok_or(ListError::TooMuch)
    }
}

fn unreachable(error: reqwest::Error) -> ListError {
    ListError::Unreachable(plain(&error.without_url()))
}
