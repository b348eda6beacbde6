//! Maskline: self-hosted number masking for text messages.

pub mod clock;
pub mod demo;
pub mod ids;
pub mod phone;
