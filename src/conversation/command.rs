//! What a text can ask for: the vocabulary that judgement understands.

use crate::{code::Code, texts::Language};

/// What a text asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send me nothing more.
    OptOut {
        /// Whether the text was STOP and nothing else: the carrier answers that itself, and
        /// refuses our answer.
        bare_stop: bool,
        /// The language of the word.
        language: Language,
    },
    /// UNSTOP: text me again, at the carrier too. From somebody who is not silenced it is just talk.
    Unstop,
    /// YES: text me again. From somebody who is not silenced it is just talk.
    Yes,
    /// Who is this, and what can I text?
    Help {
        /// The language of the word.
        language: Language,
    },
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
    /// Do not let my conversation end by silence.
    Extend,
    /// Open my last conversation again, or agree to that.
    Reopen,
    /// End it, and never connect me to that person again.
    Block,
    /// The same, and let staff look at it.
    Report,
    /// I have a new phone: give me a code for it.
    Move,
    /// This is the new phone of whoever got this code.
    MoveCode(Code),
    /// Anything else: words for the other participant.
    Talk {
        /// Words in it that may be a wish to be left alone.
        plea: Option<&'static str>,
    },
    /// Nothing but white space and invisible characters.
    Empty,
}

impl Command {
    /// The rule that makes a text this command.
    pub fn rule(&self) -> Rule {
        match self {
            Self::OptOut { .. } => Rule::OptOut,
            Self::Unstop => Rule::Unstop,
            Self::Yes => Rule::Yes,
            Self::Help { .. } => Rule::Help,
            Self::Start => Rule::Start,
            Self::Join(_) => Rule::Join,
            Self::EndCode(_) => Rule::EndCode,
            Self::Leave => Rule::Leave,
            Self::LeaveCode(_) => Rule::LeaveCode,
            Self::Extend => Rule::Extend,
            Self::Reopen => Rule::Reopen,
            Self::Block => Rule::Block,
            Self::Report => Rule::Report,
            Self::Move => Rule::Move,
            Self::MoveCode(_) => Rule::MoveCode,
            Self::Talk { .. } => Rule::Talk,
            Self::Empty => Rule::Empty,
        }
    }

    /// The code that the text names, if it names one.
    pub fn code(&self) -> Option<&Code> {
        match self {
            Self::Join(code)
            | Self::EndCode(code)
            | Self::LeaveCode(code)
            | Self::MoveCode(code) => Some(code),
            _ => None,
        }
    }
}

/// The rule that fired, for the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// An opt-out word.
    OptOut,
    /// UNSTOP.
    Unstop,
    /// YES.
    Yes,
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
    /// EXTEND.
    Extend,
    /// REOPEN.
    Reopen,
    /// BLOCK.
    Block,
    /// REPORT.
    Report,
    /// MOVE alone.
    Move,
    /// MOVE and a code.
    MoveCode,
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
            Self::Yes => "yes",
            Self::Help => "help",
            Self::Start => "start",
            Self::Join => "join",
            Self::EndCode => "end_code",
            Self::Leave => "leave",
            Self::LeaveCode => "leave_code",
            Self::Extend => "extend",
            Self::Reopen => "reopen",
            Self::Block => "block",
            Self::Report => "report",
            Self::Move => "move",
            Self::MoveCode => "move_code",
            Self::Talk => "talk",
            Self::Empty => "empty",
        }
    }
}
