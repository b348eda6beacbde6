//! What staff's word does.

use crate::{
    conversation::{Conversation, EndReason, effect::Effect},
    ids::PersonId,
    texts::Answer,
};

/// Decides what staff's word does that a person is to be texted no more.
pub fn opt_out(open: &[Conversation], person: PersonId) -> Vec<Effect> {
    let ended = end_all(open, person, EndReason::OptedOut);
    std::iter::once(Effect::Suppress(person)).chain(ended).collect()
}

/// Decides what becomes of the conversations of somebody who is forgotten.
pub fn erase(open: &[Conversation], person: PersonId) -> Vec<Effect> {
    end_all(open, person, EndReason::Erased).collect()
}

/// Ends all of a person's conversations, and tells the others.
fn end_all(
    open: &[Conversation],
    person: PersonId,
    reason: EndReason,
) -> impl Iterator<Item = Effect> {
    open.iter().flat_map(move |conversation| {
        let other = conversation.other(person);
        let told = other.map(|other| Effect::tell(other, conversation.id, Answer::Ended));
        std::iter::once(Effect::End(conversation.id, reason)).chain(told)
    })
}
