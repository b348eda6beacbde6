//! One id type for each thing, so that a person is never taken for a conversation.
//!
//! All are UUID version 7: they sort by the time at which they were made.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What was given is no id.
#[derive(Debug, thiserror::Error)]
#[error("not a whole id, such as 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94")]
pub struct NotAnId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new id.
            #[expect(clippy::new_without_default, reason = "an id is drawn, never a default")]
            pub fn new() -> Self {
                Self(fresh())
            }

            /// The bare UUID, for SQL arrays.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                text.parse().map(Self).map_err(|_| NotAnId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A person: somebody with a real phone.
    PersonId
}
id! {
    /// A masked number of the pool.
    MaskedNumberId
}
id! {
    /// A conversation between two people.
    ConversationId
}
id! {
    /// A text on its way out; it names the text in the receipts' callback.
    TextId
}
id! {
    /// A picture that came along with a text.
    MediaId
}
id! {
    /// A record of the audit trail.
    RecordId
}
id! {
    /// A task for staff.
    TaskId
}
id! {
    /// An entry of the ledger of consent.
    ConsentEventId
}
id! {
    /// A legal hold.
    HoldId
}
id! {
    /// A member of staff.
    StaffId
}
id! {
    /// A reveal of real numbers.
    RevealId
}
id! {
    /// Something that a person asked for who is spoken of in here.
    SubjectRequestId
}
id! {
    /// A request that months of the trail be removed.
    RemovalRequestId
}
id! {
    /// A verification of the whole trail.
    VerificationId
}
id! {
    /// An export that staff asked for.
    ExportId
}
id! {
    /// A search that somebody of staff saved.
    SavedSearchId
}
id! {
    /// Words that are looked for in the console.
    SearchId
}
id! {
    /// A browser in which somebody of staff is signed in.
    SessionId
}

#[expect(clippy::disallowed_methods, reason = "the one place where ids are made")]
fn fresh() -> Uuid {
    Uuid::now_v7()
}
