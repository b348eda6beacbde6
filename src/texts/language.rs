//! The languages in which Maskline answers.

/// The language of the word that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English, and all that has no other.
    English,
    /// French, for ARRET and AIDE.
    French,
}
