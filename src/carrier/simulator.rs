//! The simulated carrier: Flowroute's API on loopback, with phones that can be looked at.
//!
//! It speaks the carrier's wire format, calls webhooks as the carrier does, and can be told to
//! misbehave. It shares no code with the client that it judges: a mistake made on both sides
//! would agree with itself. It is for tests and demonstrations: `/simulator/` asks for no
//! password, so it must never listen where strangers reach it.

mod activity;
mod api;
mod calls;
mod control;
mod exchanges;
mod faults;
mod files;
mod lane;
mod ledger;
mod limit;
mod lookups;
mod problem;
mod receipts;
mod send;
mod serve;
mod shared;
mod texts;
mod webhooks;
mod wire;

#[cfg(test)]
mod tests;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::{runtime::Handle, sync::broadcast};

use crate::{clock::Clock, phone::PhoneNumber};

use self::shared::Shared;
pub use self::{
    exchanges::{Direction, Exchange},
    faults::Faults,
    files::{File, FileFate},
    ledger::{Accepted, Ledger, PhoneText, Received, Way},
    texts::{Media, NewText, Shape, TextRefused, Texted},
};

/// How the simulated carrier is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The account's access key, the user of HTTP Basic.
    pub access_key: String,
    /// The account's secret key, the password of HTTP Basic.
    pub secret_key: SecretString,
    /// The numbers that the account owns.
    pub numbers: Vec<PhoneNumber>,
    /// How many texts a second are taken before 429; `None` takes all.
    pub sms_per_second: Option<u32>,
    /// How long until a webhook that was not answered 200 is sent again.
    pub resend_after: Duration,
    /// How long a webhook that is to be overtaken waits for the next one.
    pub hold: Duration,
    /// Where timestamps come from; waiting is always in real time.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access_key: "simulated".to_owned(),
            secret_key: SecretString::from("simulated"),
            numbers: Vec::new(),
            sms_per_second: None,
            resend_after: Duration::from_secs(30),
            hold: Duration::from_secs(1),
            clock: Clock::System,
        }
    }
}

/// What a watcher of the simulated carrier is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A webhook or an API call is over.
    Exchange(Exchange),
    /// A phone shows something new.
    Changed,
}

/// A running simulated carrier; dropping it stops all that it does.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
}

impl Simulator {
    /// Starts to listen. Fails where the address is taken, and outside of a Tokio runtime.
    pub fn start(settings: Settings) -> io::Result<Self> {
        Handle::try_current().map_err(io::Error::other)?;
        let listener = std::net::TcpListener::bind(settings.listen)?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let shared = Arc::new(Shared::new(settings, listener.local_addr()?)?);
        shared.spawn(serve::serve(listener, Arc::clone(&shared)));
        Ok(Self { shared })
    }

    /// The base URL, without a slash at its end.
    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    /// Waits until no webhook, receipt or held delivery is under way.
    ///
    /// A webhook that waits to be sent again is not under way.
    pub async fn idle(&self) {
        self.shared.activity.idle().await;
    }

    /// Tells of every exchange and every change of a phone from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// What was accepted and what came in, in order: `GET /simulator/ledger`.
    pub fn ledger(&self) -> Ledger {
        self.shared.state().book.ledger()
    }

    /// What this phone shows, in order: `GET /simulator/phones/{number}`.
    pub fn phone(&self, number: &PhoneNumber) -> Vec<PhoneText> {
        self.shared.state().book.phone(number)
    }

    /// The last 1,000 webhooks and API calls, in order: `GET /simulator/exchanges`.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.shared.state().exchanges.all()
    }

    /// Lets a phone text, as `POST /simulator/texts` does.
    ///
    /// Resolves after the first attempt at the webhook.
    pub async fn text(&self, text: NewText) -> Result<Texted, TextRefused> {
        texts::text(&self.shared, text).await
    }

    /// Keeps a file that a phone is to send along; `POST /simulator/files` does the same.
    pub fn host(&self, file: File) -> Media {
        files::host(&self.shared, file)
    }

    /// Gives out another file, or the same in another way, where this one was.
    pub fn host_again(&self, media: &Media, file: File) {
        self.shared.state().files.keep(media.file_name.clone(), file);
    }

    /// How often this file was asked for since it was kept.
    pub fn asked_for(&self, media: &Media) -> u64 {
        self.shared.state().files.asked(&media.file_name)
    }

    /// The faults as they are set: `GET /simulator/faults`.
    pub fn faults(&self) -> Faults {
        self.shared.state().dice.faults().clone()
    }

    /// Sets the faults and reseeds: `PUT /simulator/faults`. Fails with what is out of range.
    pub fn set_faults(&self, faults: Faults) -> Result<(), String> {
        faults.check()?;
        self.shared.state().dice.load(faults);
        Ok(())
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
