//! The account at the carrier: whether its keys are taken, and which numbers it owns.

use std::collections::BTreeSet;

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use super::{
    client::{Flowroute, plain, read},
    wire,
};
use crate::phone::PhoneNumber;

/// How many numbers are asked for at once: as many as Flowroute gives.
const PAGE: usize = 200;
/// After so many pages a list is taken for one that does not end.
const MOST_PAGES: usize = 500;
/// More than this of a page, in bytes, is not read. 200 numbers take about 80,000.
const LONGEST_PAGE: usize = 1024 * 1024;

/// Why the account could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The keys were not taken.
    #[error(
        "Flowroute does not take these keys (status {0}): check FLOWROUTE_ACCESS_KEY and FLOWROUTE_SECRET_KEY"
    )]
    Keys(u16),
    /// Something else answered, or Flowroute has a problem.
    #[error("Flowroute answered with status {0}: check MASKLINE_FLOWROUTE_URL, or try again later")]
    Status(u16),
    /// Nothing answered.
    #[error(
        "nothing answers: {0}. Is MASKLINE_FLOWROUTE_URL right, and can this computer reach it?"
    )]
    Unreachable(String),
    /// What answered is not what Flowroute answers.
    #[error("what answered is no list of Flowroute's numbers: check MASKLINE_FLOWROUTE_URL")]
    NoList,
    /// A page of the list brought nothing new and yet was not the last.
    #[error("Flowroute's list of numbers does not come to an end: try again later")]
    Endless,
}

impl Flowroute {
    /// Tries the keys by asking for one of the account's numbers.
    ///
    /// # Errors
    /// What is wrong with the keys, the address or the carrier.
    pub async fn check(&self) -> Result<(), AccountError> {
        self.get("v2/numbers?limit=1").await.map(drop)
    }

    /// Reads all numbers that the account owns.
    ///
    /// All or an error: what is missing from an incomplete list would be taken for sold. A link to
    /// the next page says only that there is one. Where it begins is counted, and the request made
    /// from our own base, so that no link leads the keys elsewhere or past a number.
    ///
    /// # Errors
    /// What is wrong with the keys, the address, the carrier or its answers.
    pub async fn numbers(&self) -> Result<BTreeSet<PhoneNumber>, AccountError> {
        let mut numbers = BTreeSet::new();
        let mut offset = 0;
        for _ in 0..MOST_PAGES {
            let response = self.get(&format!("v2/numbers?limit={PAGE}&offset={offset}")).await?;
            let page = read(response, LONGEST_PAGE).await.map_err(unreachable)?;
            let items = page.get("data").and_then(Value::as_array).ok_or(AccountError::NoList)?;
            let before = numbers.len();
            for item in items {
                numbers.insert(wire::account_number(item).ok_or(AccountError::NoList)?);
            }
            let next = page.pointer("/links/next");
            if next.is_none_or(|next| next.is_null() || next == "") {
                return Ok(numbers);
            }
            if numbers.len() == before {
                return Err(AccountError::Endless);
            }
            offset += items.len();
        }
        Err(AccountError::Endless)
    }

    async fn get(&self, path: &str) -> Result<Response, AccountError> {
        let response = self.request(Method::GET, path).send().await.map_err(unreachable)?;
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(AccountError::Keys(response.status().as_u16()))
            }
            status => Err(AccountError::Status(status.as_u16())),
        }
    }
}

fn unreachable(error: reqwest::Error) -> AccountError {
    AccountError::Unreachable(plain(&error.without_url()))
}
