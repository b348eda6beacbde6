//! What people can ask for by text.

use super::world::{Code, Number, Person};

/// What a text asks for. A code that was never drawn is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    OptOut { bare_stop: bool, french: bool },
    Unstop,
    Yes,
    Help { french: bool },
    Start,
    Join(Option<Code>),
    EndCode(Option<Code>),
    Leave,
    LeaveCode(Option<Code>),
    Extend,
    Reopen,
    Block,
    Report,
    Move,
    MoveCode(Option<Code>),
    Talk { plea: bool },
    Empty,
}

impl Word {
    pub fn rule(&self) -> &'static str {
        match self {
            Self::OptOut { .. } => "opt_out",
            Self::Unstop => "unstop",
            Self::Yes => "yes",
            Self::Help { .. } => "help",
            Self::Start => "start",
            Self::Join(_) => "join",
            Self::EndCode(_) => "end_code",
            Self::Leave => "leave",
            Self::LeaveCode(_) => "leave_code",
            Self::Extend => "extend",
            Self::Reopen => "reopen",
            Self::Block => "block",
            Self::Report => "report",
            Self::Move => "move",
            Self::MoveCode(_) => "move_code",
            Self::Talk { .. } => "talk",
            Self::Empty => "empty",
        }
    }
}

/// A text that comes in.
#[derive(Clone, Debug)]
pub struct Heard {
    pub who: Person,
    pub to: Number,
    pub word: Word,
    pub body: String,
    pub picture: bool,
}
