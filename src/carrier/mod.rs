//! The way out: the carrier that takes texts to phones and brings theirs in.

pub mod simulator;
