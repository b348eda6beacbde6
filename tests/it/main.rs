//! One test binary, files named for behaviour. Real PostgreSQL, real HTTP, the simulated carrier.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of the tests fails the test, as the tests themselves do"
)]
#![expect(unreachable_pub, reason = "what support.rs shows is for this binary alone")]
#![expect(clippy::similar_names, reason = "a test posts a text")]

mod append_only;
mod browser;
mod carrier_block;
mod check;
mod codes;
mod consent;
mod console;
mod conversation;
mod counted;
mod crossing;
mod dead_phones;
mod dedupe;
mod demo;
mod erasure;
mod extract;
mod failover;
mod gate;
mod grafana;
mod guessing;
mod hostile;
mod house;
mod judge;
mod lanes;
mod model;
mod moving;
mod numbers;
mod opt_out;
mod optout_command;
mod order;
mod outage;
mod pace;
mod people;
mod pictures;
mod pictures_refused;
mod pictures_served;
mod plans;
mod pool;
mod pooler;
mod privacy;
mod program;
mod rebuild;
mod receipts;
mod reconcile;
mod recovery;
mod reopen;
mod replicas;
mod retention;
mod roles;
mod round_trips;
mod s3;
mod samples;
mod schema;
mod seal;
mod sealer;
mod search;
mod sending;
mod service;
mod settings;
mod sharing;
mod silence;
mod states;
mod strange_answers;
mod stuck;
mod support;
mod tamper;
mod tasks;
mod time;
mod told;
mod torture;
#[cfg(feature = "otel")]
mod traces;
mod trail;
mod unknown;
mod vault;
mod vectors;
mod verify;
mod webhook;
