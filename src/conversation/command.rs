//! What a text can ask for: the vocabulary that judgement understands.

use crate::code::Code;

/// What a text asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send me nothing more.
    OptOut {
        /// Whether the text was STOP and nothing else: the carrier answers that itself, and
        /// refuses our answer.
        bare_stop: bool,
    },
    /// UNSTOP or YES: text me again. From somebody who is not suppressed it is just talk.
    Unstop,
    /// Who is this, and what can I text?
    Help,
    /// Open a conversation.
    Start,
    /// Enter the conversation that this code opens.
    Join(Code),
    /// END with a code. If it is not of the sender's own conversation, it is an opt out.
    EndCode(Code),
    /// End my conversation.
    Leave,
    /// End the conversation with this code.
    LeaveCode(Code),
    /// Anything else: words for the other participant.
    Talk,
    /// Nothing but white space and invisible characters.
    Empty,
}

impl Command {
    /// The rule that makes a text this command.
    pub fn rule(&self) -> Rule {
        match self {
            Self::OptOut { .. } => Rule::OptOut,
            Self::Unstop => Rule::Unstop,
            Self::Help => Rule::Help,
            Self::Start => Rule::Start,
            Self::Join(_) => Rule::Join,
            Self::EndCode(_) => Rule::EndCode,
            Self::Leave => Rule::Leave,
            Self::LeaveCode(_) => Rule::LeaveCode,
            Self::Talk => Rule::Talk,
            Self::Empty => Rule::Empty,
        }
    }
}

/// The rule that fired, for the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// An opt-out word.
    OptOut,
    /// A word that lifts a suppression.
    Unstop,
    /// A word that asks for help.
    Help,
    /// A word that opens a conversation.
    Start,
    /// JOIN and a code.
    Join,
    /// END and a code.
    EndCode,
    /// LEAVE alone.
    Leave,
    /// LEAVE and a code.
    LeaveCode,
    /// No other rule.
    Talk,
    /// Nothing to see.
    Empty,
}

impl Rule {
    /// The name in the trail. It is stored for years: never change one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OptOut => "opt_out",
            Self::Unstop => "unstop",
            Self::Help => "help",
            Self::Start => "start",
            Self::Join => "join",
            Self::EndCode => "end_code",
            Self::Leave => "leave",
            Self::LeaveCode => "leave_code",
            Self::Talk => "talk",
            Self::Empty => "empty",
        }
    }
}
