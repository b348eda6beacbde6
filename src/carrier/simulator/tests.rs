//! The simulated carrier against a small webhook receiver; nothing here sleeps.

mod api;
mod control;
mod faults;
mod phones;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, Uri, header},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use super::{NewText, Settings, Simulator, Texted};
use crate::phone::PhoneNumber;

const NUMBER: &str = "+12065550100";
const OTHER_NUMBER: &str = "+18885550100";
const PHONE: &str = "+12065550101";

/// A webhook as it came in.
#[derive(Debug)]
struct Hook {
    path: String,
    content_type: String,
    bytes: Bytes,
    body: Value,
}

/// A simulated carrier, and a receiver for its webhooks.
struct Stage {
    simulator: Simulator,
    client: reqwest::Client,
    receiver: String,
    hooks: mpsc::UnboundedReceiver<Hook>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Stage {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            numbers: vec![phone(NUMBER), phone(OTHER_NUMBER)],
            resend_after: Duration::from_millis(1),
            hold: Duration::from_millis(1),
            ..Settings::default()
        };
        change(&mut settings);
        let simulator = Simulator::start(settings).unwrap();
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let (receiver, hooks) = receive(Arc::clone(&answers)).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { simulator, client, receiver, hooks, answers }
    }

    /// Starts with both callbacks for SMS registered.
    async fn listening() -> Self {
        Self::start().await.listen().await
    }

    async fn listen(self) -> Self {
        self.set_callback("sms_callback", "/sms").await;
        self.set_callback("sms_dlr_callback", "/dlr").await;
        self
    }

    async fn set_callback(&self, name: &str, path: &str) {
        let url = format!("{}{path}", self.receiver);
        let body = json!({ "data": { "attributes": { "callback_url": url } } });
        let (status, _) = self.call(Method::PUT, &format!("/v2.2/messages/{name}"), &body).await;
        assert_eq!(status, 204);
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.simulator.url());
        self.client.request(method, url).basic_auth("simulated", Some("simulated"))
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.request(method, path).header(header::CONTENT_TYPE, "application/json");
        answer(request.body(body.to_string())).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path)).await
    }

    async fn send(&self, body: &str) -> (u16, Value) {
        self.call(Method::POST, "/v2.2/messages", &message(body)).await
    }

    async fn texts(&self, body: &str) -> Texted {
        self.simulator.text(new_text(body)).await.unwrap()
    }

    async fn set_faults(&self, faults: Value) {
        let (status, answer) = self.call(Method::PUT, "/simulator/faults", &faults).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// The next webhook; waits for it.
    async fn hook(&mut self) -> Hook {
        timeout(Duration::from_secs(10), self.hooks.recv()).await.unwrap().unwrap()
    }

    /// All webhooks that came until nothing was under way any more.
    async fn all_hooks(&mut self) -> Vec<Hook> {
        self.simulator.idle().await;
        std::iter::from_fn(|| self.hooks.try_recv().ok()).collect()
    }

    fn answers(&self, statuses: impl IntoIterator<Item = u16>) {
        self.answers.lock().unwrap().extend(statuses);
    }

    fn bodies_on_phone(&self) -> Vec<String> {
        let texts = self.simulator.phone(&phone(PHONE));
        texts.into_iter().map(|text| text.body).collect()
    }
}

fn phone(number: &str) -> PhoneNumber {
    number.parse().unwrap()
}

fn message(body: &str) -> Value {
    let attributes = json!({ "to": PHONE, "from": NUMBER, "body": body });
    json!({ "data": { "type": "message", "attributes": attributes } })
}

fn new_text(body: &str) -> NewText {
    serde_json::from_value(json!({ "from": PHONE, "to": NUMBER, "body": body })).unwrap()
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

/// Receives webhooks on any path; answers 200 unless told otherwise.
async fn receive(answers: Arc<Mutex<VecDeque<u16>>>) -> (String, mpsc::UnboundedReceiver<Hook>) {
    let (give, hooks) = mpsc::unbounded_channel();
    let router = Router::new().fallback(async move |uri: Uri, headers: HeaderMap, bytes: Bytes| {
        let content_type = headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = serde_json::from_slice(&bytes).unwrap();
        give.send(Hook { path: uri.path().to_owned(), content_type, bytes, body }).unwrap();
        let status = answers.lock().unwrap().pop_front().unwrap_or(200);
        StatusCode::from_u16(status).unwrap()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, hooks)
}

/// The statuses of receipts in either shape.
fn receipt_statuses(hooks: &[Hook]) -> Vec<&str> {
    let attributes = |hook: &Hook| {
        if hook.body["data"].is_null() { "/attributes" } else { "/data/attributes" }
    };
    let status = |hook| format!("{}/status", attributes(hook));
    hooks.iter().map(|hook| hook.body.pointer(&status(hook)).unwrap().as_str().unwrap()).collect()
}
