//! The words of each answer.

use jiff::Timestamp;

use super::{Answer, Brand, Language};
use crate::segments::segments;

/// The most segments that a text may take together with a note of ours.
const MOST_SEGMENTS: usize = 10;

/// Somebody's words with a note in front that says when they were sent. Words that are very long are
/// passed on without it: carriers may not.
pub fn delayed(body: &str, sent_at: Timestamp) -> String {
    let noted = format!("Delayed text from {}: {body}", moment(sent_at));
    if segments(&noted).count <= MOST_SEGMENTS { noted } else { body.to_owned() }
}

/// A time as people are told it.
fn moment(at: Timestamp) -> String {
    at.strftime("%-d %b %H:%M UTC").to_string()
}

impl Answer {
    /// The text, in GSM-7 and at most 160 septets.
    #[expect(clippy::too_many_lines, reason = "all texts in one place, a few lines each")]
    pub fn render(&self, brand: &Brand) -> String {
        match self {
            Self::Started { code, number, hours } => format!(
                "{brand}: Forward this: to reach me, text JOIN {code} to {} (valid {hours} h). \
                 Msg & data rates may apply. HELP for help, STOP to stop.",
                number.as_str(),
            ),
            Self::StartElsewhere { number } => format!(
                "This number is not free for a new conversation of yours. \
                 Text START to {} instead.",
                number.as_str(),
            ),
            Self::NoNumber => "Sorry, none of our numbers is free for you now. Text LEAVE in a \
                 conversation that you need no more, or try again later."
                .into(),
            Self::Joined => format!(
                "{brand}: Connected. What you text reaches them; your number stays hidden. \
                 LEAVE ends it. Msg & data rates may apply. HELP for help, STOP to stop."
            ),
            Self::TheyJoined => {
                "They have joined. What you text here now reaches them; your number \
                 stays hidden. LEAVE ends it."
                    .into()
            }
            Self::YouEnded => "You have ended this conversation. Nothing more is passed on. \
                 Text START to open a new one."
                .into(),
            Self::Ended => "This conversation has ended.".into(),
            Self::EndsSoon => "Nobody has texted here for long, so this conversation ends in \
                 1 hour. Text EXTEND to keep it."
                .into(),
            Self::Extended { hours } => {
                format!("This conversation is kept. It ends when nobody has texted for {hours} h.")
            }
            Self::CannotExtend { hours } => format!(
                "This conversation has lasted as long as it may and ends within {hours} h, \
                 whatever you text. START then opens a new one."
            ),
            Self::Over { may_reopen: true } => {
                "Your conversation here is over, so this was not passed on. Text START to open a \
                 new one, or REOPEN to ask for the old one."
                    .into()
            }
            Self::Over { may_reopen: false } => {
                "Your conversation here is over, so this was not passed on. Text START to open a \
                 new one, or JOIN and the code you were given."
                    .into()
            }
            Self::ReopenAsked { hours } => format!(
                "Your conversation opens again if the other person texts REOPEN too, \
                 within {hours} h of its end. You will then get a text."
            ),
            Self::ReopenWish => format!(
                "{brand}: The other person of your last conversation here asks to open it again. \
                 Text REOPEN to agree. HELP for help, STOP to stop."
            ),
            Self::Reopened => format!(
                "{brand}: Your conversation is open again; your number stays hidden. \
                 LEAVE ends it. Msg & data rates may apply. HELP for help, STOP to stop."
            ),
            Self::CannotReopen => "There is no conversation here that can be opened again. \
                 Text START to open a new one."
                .into(),
            Self::CodeFailed => {
                "Sorry, that code does not work. Please check it with whoever gave \
                 it to you, or text START to get a new one."
                    .into()
            }
            Self::AlreadyConnected => "You are already in a conversation here. Text LEAVE to end \
                 it; then you can START or JOIN another."
                .into(),
            Self::AlreadyWaiting { code } => format!(
                "Your code {code} is still waiting. The other person texts JOIN {code} to this \
                 number. LEAVE drops the code."
            ),
            Self::Alone { code } => format!(
                "Nobody has joined yet, so this was not passed on. Ask them to text JOIN {code} \
                 to this number. LEAVE drops the code."
            ),
            Self::Nobody => "You are in no conversation here, so this was not passed on. \
                 Text START to open one, or JOIN and the code you were given."
                .into(),
            Self::NotYourCode => {
                "That is not the code of your conversation, so nothing was ended. \
                 To end the one you are in, text LEAVE."
                    .into()
            }
            Self::NothingToEnd => "You are in no conversation here, so there is nothing to end. \
                 Text START to open one."
                .into(),
            Self::NoConversation => "You are in no conversation here, so nothing was done. \
                 Text START to open one, or HELP for help."
                .into(),
            Self::Blocked => "Done. You two are not connected any more, and never will be again \
                 on our numbers. They are not told who ended it."
                .into(),
            Self::Reported => "Thank you, our staff will look at it. You two are not connected \
                 any more, and never will be again on our numbers."
                .into(),
            Self::MoveCode { code, number } => format!(
                "On your new phone, text MOVE {code} to {} within 15 minutes. \
                 Never give this code to anybody.",
                number.as_str(),
            ),
            Self::Moved => format!(
                "{brand}: This conversation is on this phone now; your number stays hidden. \
                 LEAVE ends it. Msg & data rates may apply. HELP for help, STOP to stop."
            ),
            Self::MovedAway => format!(
                "{brand}: Your conversations have moved to your new phone and no longer reach \
                 this one. If that was not you, tell us at once."
            ),
            Self::MoveTaken => "This phone is in a conversation of its own on one of the numbers. \
                 Text LEAVE there first, then MOVE and the code again."
                .into(),
            Self::MoveStopped { number } => format!(
                "This phone texted STOP to {0}, which your conversations need. \
                 Text UNSTOP to {0} first, then MOVE and the code here again.",
                number.as_str(),
            ),
            Self::OptedOut(Language::English) => format!(
                "{brand}: You are opted out and will get no more texts. To come back, text START."
            ),
            Self::OptedOut(Language::French) => format!(
                "{brand}: Vous ne recevrez plus de textos de notre part. \
                 Pour revenir, textez START."
            ),
            Self::OptedIn => format!(
                "{brand}: Welcome back, you get texts again. Text START to open a conversation, \
                 or JOIN and a code. HELP for help, STOP to stop."
            ),
            Self::Help(Language::English) => format!(
                "{brand}: Hidden numbers. START a chat, JOIN with code, LEAVE, BLOCK, REPORT, \
                 MOVE to a new phone. STOP ends all texts. Msg & data rates may apply."
            ),
            Self::Help(Language::French) => format!(
                "{brand}: Textos à numéro masqué. START ouvre, JOIN et un code entre, LEAVE \
                 quitte, ARRET met fin à tous les textos. Des frais peuvent s'appliquer."
            ),
            Self::NotAPicture => "Sorry, something you sent was not passed on: only words and \
                 pictures (JPEG, PNG, GIF or WebP) can be."
                .into(),
            Self::PictureLost => "Sorry, a picture of yours could not be passed on. \
                 Please send it again, or a smaller one."
                .into(),
            Self::NotDelivered { excerpt: Some(words) } => {
                format!("Your text \"{}\" did not reach them.", words.as_str())
            }
            Self::NotDelivered { excerpt: None } => {
                "A text that you sent here did not reach them.".into()
            }
            Self::MaybeNotDelivered { excerpt: Some(words) } => format!(
                "Your text \"{}\" may not have reached them: we cannot find out. \
                 If it matters, text it again.",
                words.as_str()
            ),
            Self::MaybeNotDelivered { excerpt: None } => {
                "A text that you sent here may not have reached them: we cannot find out. \
                 If it matters, text it again."
                    .into()
            }
            Self::TryLater => "Sorry, we could not make a code just now. \
                 Please text it again in a few minutes."
                .into(),
            Self::TooLate { sent_at } => format!(
                "What you texted at {} reached us late, so nothing was done with it. \
                 If it still matters, please text it again.",
                moment(*sent_at),
            ),
        }
    }
}
