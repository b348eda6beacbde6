//! What every part of the simulated carrier shares: settings, state, and the means to act.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::Bytes;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::{
    Event, Settings,
    activity::Activity,
    exchanges::{Exchange, Log},
    faults::Dice,
    files::Files,
    lane::Lane,
    ledger::Book,
    limit::Limit,
    webhooks::{Alternation, Callbacks, Webhook},
};

/// How long a webhook may take before the carrier gives up on an answer.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Events that a slow watcher may lag behind before it misses some.
const EVENTS: usize = 1024;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) url: String,
    pub(super) client: reqwest::Client,
    pub(super) activity: Activity,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) stop: CancellationToken,
    state: Mutex<State>,
}

/// All that changes. Held for moments only, never across a wait.
#[derive(Debug)]
pub(super) struct State {
    pub(super) book: Book,
    pub(super) dice: Dice,
    pub(super) limit: Limit,
    pub(super) callbacks: Callbacks,
    pub(super) exchanges: Log,
    pub(super) files: Files,
    /// Texts and receipts overtake only their own kind.
    pub(super) texts: Lane,
    pub(super) receipts: Lane,
    pub(super) alternation: Alternation,
}

impl Shared {
    pub(super) fn new(settings: Settings, address: SocketAddr) -> io::Result<Self> {
        // Fails when a provider is installed already, which is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(WEBHOOK_TIMEOUT)
            .build()
            .map_err(io::Error::other)?;
        let state = State {
            book: Book::default(),
            dice: Dice::default(),
            limit: Limit::new(settings.sms_per_second),
            callbacks: Callbacks::default(),
            exchanges: Log::default(),
            files: Files::default(),
            texts: Lane::default(),
            receipts: Lane::default(),
            alternation: Alternation::default(),
        };
        Ok(Self {
            settings,
            url: format!("http://{address}"),
            client,
            activity: Activity::new(),
            events: broadcast::Sender::new(EVENTS),
            stop: CancellationToken::new(),
            state: Mutex::new(state),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs this until it ends or the simulator is dropped.
    pub(super) fn spawn<F>(self: &Arc<Self>, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled_owned(task).await;
        });
    }

    /// Keeps an exchange and tells the watchers.
    pub(super) fn record(&self, exchange: Exchange<Bytes>, webhook: Option<Webhook>) {
        let shown = (self.events.receiver_count() > 0).then(|| exchange.shown());
        let id = self.state().exchanges.push(exchange, webhook);
        if let Some(shown) = shown {
            self.tell(Event::Exchange(Exchange { id, ..shown }));
        }
    }

    /// Tells the watchers; that nobody watches is no error.
    pub(super) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// A new message id, as the carrier writes them.
pub(super) fn message_id() -> String {
    // Not from the seeded dice: the same seed set twice must not give the same ids twice.
    format!("mdr2-{:032x}", rand::random::<u128>())
}
