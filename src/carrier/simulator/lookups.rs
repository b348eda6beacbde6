//! Looking up messages and numbers, and setting the account's callbacks.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    api::Version,
    problem::{Problem, document_response, read},
    send::is_web_url,
    shared::Shared,
    wire,
};

/// The messages on a page unless the caller says otherwise.
const MESSAGES: usize = 50;
/// The numbers on a page unless the caller says otherwise, and at most.
const NUMBERS: usize = 10;
const MOST_NUMBERS: usize = 200;

type Parameters = HashMap<String, String>;

/// The part of a list that was asked for.
struct Page {
    limit: usize,
    offset: usize,
}

impl Page {
    fn read(parameters: &Parameters, usual: usize, most: usize) -> Result<Self, Problem> {
        let number = |name: &str, usual: usize| match parameters.get(name) {
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| Problem::invalid(format!("{name} must be a whole number."))),
            None => Ok(usual),
        };
        let (limit, offset) = (number("limit", usual)?, number("offset", 0)?);
        if !(1..=most).contains(&limit) {
            return Err(Problem::invalid(format!("limit must be from 1 to {most}.")));
        }
        Ok(Self { limit, offset })
    }

    /// The links of this page; the end of the list shows by a missing `next`.
    fn links(&self, url: &str, parameters: &Parameters, total: usize) -> Value {
        let at = |offset: usize| {
            let mut query = form_urlencoded::Serializer::new(format!("{url}?"));
            for (name, value) in parameters {
                if name != "limit" && name != "offset" {
                    query.append_pair(name, value);
                }
            }
            query.append_pair("limit", &self.limit.to_string());
            query.append_pair("offset", &offset.to_string());
            query.finish()
        };
        let mut links = json!({ "self": at(self.offset) });
        let next = self.offset.saturating_add(self.limit);
        if next < total {
            links["next"] = json!(at(next));
        }
        links
    }
}

/// `GET /v2.2/messages`: both directions, newest first.
pub(super) async fn messages(
    State(shared): State<Arc<Shared>>,
    Extension(Version(version)): Extension<Version>,
    Query(parameters): Query<Parameters>,
) -> Result<Response, Problem> {
    let start = parameters.get("start_date").map(|text| date("start_date", text)).transpose()?;
    let start = start.ok_or_else(|| Problem::malformed("start_date is required."))?;
    let end = parameters.get("end_date").map(|text| date("end_date", text)).transpose()?;
    let dates = start..=end.unwrap_or(Timestamp::MAX);
    let page = Page::read(&parameters, MESSAGES, usize::MAX)?;

    let state = shared.state();
    let found: Vec<_> =
        state.book.messages().rev().filter(|message| dates.contains(&message.at)).collect();
    let shown = || found.iter().skip(page.offset).take(page.limit);
    let data: Vec<Value> = shown().map(|message| wire::resource(message)).collect();
    let included: Vec<Value> =
        shown().flat_map(|message| wire::included(message, &shared.url)).collect();
    let url = format!("{}/{version}/messages", shared.url);
    let links = page.links(&url, &parameters, found.len());
    let mut document = json!({ "data": data, "links": links });
    if !included.is_empty() {
        document["included"] = json!(included);
    }
    Ok(document_response(StatusCode::OK, &document))
}

fn date(name: &str, text: &str) -> Result<Timestamp, Problem> {
    let midnight = |date: Date| date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    // An offset's plus sign that was not encoded arrives as a space.
    text.parse::<Timestamp>()
        .or_else(|_| text.replace(' ', "+").parse::<Timestamp>())
        .or_else(|_| text.parse::<Date>().and_then(midnight))
        .map_err(|_| Problem::invalid(format!("{name} must be a date and time in ISO 8601.")))
}

/// `GET /v2.2/messages/{id}`.
pub(super) async fn message(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let state = shared.state();
    let message = state.book.find(&id).ok_or_else(Problem::not_found)?;
    let included: Vec<Value> = wire::included(message, &shared.url).collect();
    let mut document = json!({ "data": wire::resource(message) });
    if !included.is_empty() {
        document["included"] = json!(included);
    }
    Ok(document_response(StatusCode::OK, &document))
}

/// `GET /v2/numbers`.
pub(super) async fn numbers(
    State(shared): State<Arc<Shared>>,
    Query(parameters): Query<Parameters>,
) -> Result<Response, Problem> {
    let page = Page::read(&parameters, NUMBERS, MOST_NUMBERS)?;
    let numbers = &shared.settings.numbers;
    let shown = numbers.iter().skip(page.offset).take(page.limit);
    let data: Vec<Value> = shown.map(|number| wire::number(number.digits(), &shared.url)).collect();
    let links = page.links(&format!("{}/v2/numbers", shared.url), &parameters, numbers.len());
    Ok(document_response(StatusCode::OK, &json!({ "data": data, "links": links })))
}

#[derive(Deserialize)]
struct Envelope {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    callback_url: String,
}

/// `PUT /v2.2/messages/sms_callback` and its three sisters.
pub(super) async fn set_callback(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let document: Value = read(&headers, &body)?;
    let envelope: Envelope =
        serde_json::from_value(document).map_err(|error| Problem::malformed(error.to_string()))?;
    let url = envelope.data.attributes.callback_url;
    if !is_web_url(&url) {
        return Err(Problem::invalid("callback_url must be an HTTP URL."));
    }
    let mut state = shared.state();
    let place = match name.as_str() {
        "sms_callback" => &mut state.callbacks.sms,
        "mms_callback" => &mut state.callbacks.mms,
        "sms_dlr_callback" => &mut state.callbacks.sms_dlr,
        "mms_dlr_callback" => &mut state.callbacks.mms_dlr,
        _ => return Err(Problem::not_found()),
    };
    *place = Some(url);
    Ok(StatusCode::NO_CONTENT)
}
