//! One process of the service, to be killed, stopped and started again.

use std::{net::SocketAddr, process::Stdio};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};

use crate::{sending::soon, support::SECRET};

/// The program, with nothing of our environment but the way to other programs.
pub fn program(args: &[&str], env: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
    command.env_clear().env("PATH", env!("PATH")).envs(env.iter().cloned());
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    command
}

/// Sends a signal to a process.
pub fn signal(signal: &str, process: u32) {
    let sent = std::process::Command::new("kill").args([signal, &process.to_string()]).status();
    assert!(sent.unwrap().success(), "{signal} to {process}");
}

/// A running `maskline serve`.
pub struct Replica {
    child: Child,
    pub public: SocketAddr,
    /// When it last logged that it got something odd, by its own clock.
    odd: watch::Receiver<Option<Timestamp>>,
}

impl Replica {
    /// Starts it and waits until it listens.
    pub async fn start(env: &[(String, String)]) -> Self {
        let mut child = program(&["serve"], env).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = async {
            let mut log = Vec::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                let said: Value = serde_json::from_str(&line).unwrap_or_default();
                if said["message"] == "maskline serves" {
                    return said["public"].as_str().unwrap().parse().unwrap();
                }
                log.push(line);
            }
            panic!("the service ended: {log:#?}");
        };
        let public = soon("the service starts", listening).await;
        // Whoever does not read its log would stop it once the pipe is full.
        let (note, odd) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("a webhook brought neither") {
                    let line: Value = serde_json::from_str(&line).unwrap();
                    note.send_replace(line["timestamp"].as_str().map(|at| at.parse().unwrap()));
                }
            }
        });
        Self { child, public, odd }
    }

    /// Kills it, and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// What its clock shows: the time of what it logs when it gets something odd.
    pub async fn clock(&self) -> Timestamp {
        let mut odd = self.odd.clone();
        odd.mark_unchanged();
        let url = format!("http://{}/api/message/{SECRET}", self.public);
        let post = reqwest::Client::new().post(url).json(&json!({})).send();
        assert_eq!(post.await.unwrap().status(), 200);
        soon("it logs", odd.changed()).await.unwrap();
        odd.borrow().unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        signal(name, self.child.id().unwrap());
    }
}
