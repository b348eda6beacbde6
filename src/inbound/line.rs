//! The line at the door: texts that wait while others are being committed share the next commit.
//!
//! A commit costs the same for one text as for many. So whoever comes while nobody is being served
//! is served at once, and whoever comes meanwhile is served together with all that wait: no timer,
//! and a lone text waits for nothing. One person's texts are served one after another, in the order
//! in which they came. What shares a commit shares its failure as well, so then each is tried alone.
//!
//! Where nobody may share, only a few are served at once all the same: the more transactions are under
//! way, the longer each takes, and together they come to less.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    PATIENCE,
    desk::Desk,
    receive::{receive_alone, receive_together},
};
use crate::{app::App, carrier::wire::InboundText, dispatch::Parsed, phone::PhoneNumber};

/// How many are served at once where no commit is shared; one party where it is. Two parties take in no
/// more than one. One by one, `pgbench` with the service's calls does a seventh to a fifth less on eight
/// connections than on four; the service itself does the same with four and with six.
const AT_ONCE: usize = 4;

/// Takes in texts, those that wait together. Clones stand at the same door.
#[derive(Debug, Clone)]
pub struct Intake {
    app: App,
    desk: Desk,
    line: Arc<Mutex<Line>>,
}

impl Intake {
    /// A door of this app.
    pub fn new(app: App) -> Self {
        Self { desk: Desk::new(app.db.clone()), app, line: Arc::default() }
    }

    /// What every room may reach.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Takes in one text, exactly once however often it is delivered.
    ///
    /// # Errors
    /// The database's. Nothing of the text is kept then, and it must be delivered again.
    pub async fn receive(&self, text: InboundText) -> sqlx::Result<()> {
        let (reply, answer) = oneshot::channel();
        self.line().waiting.push_back(Waiting { text: Parsed::from(text), reply });
        self.call_next();
        // Without a reply, whoever served it fell over.
        answer.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves whoever may be served now.
    fn call_next(&self) {
        let most = self.app.settings.texts_per_commit;
        // Not in the head of the loop, which would keep the line locked.
        let called = self.line().call(most);
        for called in called {
            tokio::spawn(self.serve(called));
        }
    }

    fn serve(&self, called: Called) -> impl Future<Output = ()> + Send + use<> {
        let turn = Turn::of(self, &called);
        async move {
            match called {
                Called::Alone(waiting) => serve_alone(turn, waiting).await,
                Called::Together(waiting) => serve_together(turn, waiting).await,
            }
        }
    }
}

async fn serve_alone(turn: Turn, Waiting { text, reply }: Waiting) {
    let received =
        within(PATIENCE, receive_alone(&turn.intake.app, &turn.intake.desk, &text)).await;
    // Nobody listens any more where it took too long: the carrier delivers it again.
    reply.send(received).ok();
}

async fn serve_together(mut turn: Turn, waiting: Vec<Waiting>) {
    let (texts, replies): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|waiting| (waiting.text, waiting.reply)).unzip();
    metrics::histogram!("maskline_commit_texts")
        .record(f64::from(u32::try_from(texts.len()).unwrap_or(u32::MAX)));
    match within(PATIENCE / 2, receive_together(&turn.intake.app, &turn.intake.desk, &texts)).await
    {
        Ok(()) => replies.into_iter().for_each(|reply| drop(reply.send(Ok(())))),
        Err(error) => {
            tracing::debug!(%error, texts = texts.len(), "texts could not be committed together: each alone");
            turn.senders.clear();
            // Each keeps its sender's place; whoever comes new need not wait for them.
            for (text, reply) in texts.into_iter().zip(replies) {
                let called = Called::Alone(Waiting { text, reply });
                tokio::spawn(turn.intake.serve(called));
            }
        }
    }
}

/// Lets the work take so long: whoever is served must not keep the line waiting for ever, say on a
/// connection that hears nothing any more.
async fn within(time: Duration, work: impl Future<Output = sqlx::Result<()>>) -> sqlx::Result<()> {
    tokio::time::timeout(time, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// A text that waits, and who wants to hear what became of it.
#[derive(Debug)]
struct Waiting {
    text: Parsed,
    reply: oneshot::Sender<sqlx::Result<()>>,
}

/// Who waits, and who is being served.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    /// Whose texts are being served.
    served: HashSet<PhoneNumber>,
    /// How many parties are being served.
    parties: usize,
}

/// Whoever is served next.
#[derive(Debug)]
enum Called {
    Alone(Waiting),
    Together(Vec<Waiting>),
}

impl Line {
    /// Calls everybody who may be served now: those who come alone at once, and of those who may share
    /// a party of up to so many, once no other is served. Of one sender only the first is called.
    fn call(&mut self, most: usize) -> Vec<Called> {
        let (mut called, mut parties) = (Vec::new(), Vec::<Vec<Waiting>>::new());
        let mut passed = HashSet::new();
        let room = if most > 1 { 1 } else { AT_ONCE }.saturating_sub(self.parties);
        for waiting in std::mem::take(&mut self.waiting) {
            if waiting.reply.is_closed() {
                continue;
            }
            let shares = waiting.text.may_share();
            let is_full = parties.len() == room && parties.last().is_none_or(|it| it.len() == most);
            let sender = waiting.text.text.from.clone();
            let is_behind = sender
                .as_ref()
                .is_some_and(|sender| self.served.contains(sender) || passed.contains(sender));
            if is_behind || (shares && is_full) {
                passed.extend(sender);
                self.waiting.push_back(waiting);
                continue;
            }
            self.served.extend(sender);
            match parties.last_mut() {
                _ if !shares => called.push(Called::Alone(waiting)),
                Some(party) if party.len() < most => party.push(waiting),
                _ => parties.push(vec![waiting]),
            }
        }
        self.parties += parties.len();
        called.extend(parties.into_iter().map(Called::Together));
        called
    }
}

/// Gives the place back and calls the next when it is dropped, whatever became of the work.
struct Turn {
    intake: Intake,
    senders: Vec<PhoneNumber>,
    shares: bool,
}

impl Turn {
    fn of(intake: &Intake, called: &Called) -> Self {
        let sender = |waiting: &Waiting| waiting.text.text.from.clone();
        let (senders, shares) = match called {
            Called::Alone(waiting) => (sender(waiting).into_iter().collect(), false),
            Called::Together(waiting) => (waiting.iter().filter_map(sender).collect(), true),
        };
        Self { intake: intake.clone(), senders, shares }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut line = self.intake.line();
            for sender in &self.senders {
                line.served.remove(sender);
            }
            if self.shares {
                line.parties -= 1;
            }
        }
        self.intake.call_next();
    }
}
