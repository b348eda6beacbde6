//! Maskline: self-hosted number masking for text messages.
//!
//! A text enters at the top and leaves at the bottom. The rooms stand in the order of its walk,
//! and each may call only rooms after it; `tests/it/house.rs` sees to that.

// The round: what did nobody tell us?
pub mod reconciler;

// The door: who speaks, and what are the words?
pub mod inbound;

// The clock: what happens when nobody texts.
pub mod sweeper;

// The hall: parse, load, decide, write.
pub mod dispatch;

// The words: what a text asks for.
pub mod command;

// Judgement: what a text does to a conversation.
pub mod conversation;

// The pool of masked numbers.
pub mod pool;

// The one place where a real number is kept.
pub mod people;

// The pictures that come along: fetched, painted anew, stored, and served to the carrier.
pub mod media;

// Promises: texts that are committed but not yet accepted by the carrier.
pub mod outbox;

// Who may be texted.
pub mod consent;

// The way out: Flowroute's API.
pub mod carrier;

// The ledger lies under all of them.
pub mod audit;

// The office: starts the rooms, and looks in through windows.
pub mod cli;
pub mod console;
pub mod demo;
pub mod serve;

// The materials.
pub mod app;
pub mod clock;
pub mod code;
pub mod config;
pub mod database;
pub mod http;
pub mod ids;
pub mod phone;
pub mod segments;
pub mod storage;
pub mod tasks;
pub mod telemetry;
pub mod texts;
pub mod vault;
