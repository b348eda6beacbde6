//! Maskline: self-hosted number masking for text messages.

pub mod carrier;
pub mod clock;
pub mod ids;
pub mod phone;
