//! What is looked for, as it is typed.

use std::str::FromStr;

use clap::Args;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use sqlx::PgConnection;

use crate::{
    audit::{
        Direction, Kind,
        search::{Filter, Standing},
    },
    cli::{Failure, whose::Whose},
    ids::{ConversationId, PersonId},
    phone::{self, PhoneNumber},
    pool,
    vault::Vault,
};

/// What is looked for. What is given together must hold together.
#[derive(Debug, Args)]
pub(super) struct Filters {
    /// What this person wrote, did or was sent: their whole id, or - to type their number.
    #[arg(long, value_name = "ID|-")]
    person: Option<Whose>,
    /// What went through this masked number.
    #[arg(long, value_name = "NUMBER", value_parser = PhoneNumber::typed)]
    number: Option<PhoneNumber>,
    /// This conversation: its whole id.
    #[arg(long, value_name = "ID")]
    conversation: Option<ConversationId>,
    /// The conversation of this text, or the text itself where it is of none: the carrier's id of it, or
    /// Maskline's own.
    #[arg(long, value_name = "ID")]
    external: Option<String>,
    /// What happened then or later: a day or a time with --zone, or with its own, such as
    /// 2026-03-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<When>,
    /// What happened before: the same. All of March is --from 2026-03-01 --until 2026-04-01.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// The time zone of --from and --until, such as Europe/Berlin or UTC.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    zone: Option<TimeZone>,
    /// Texts that came in (inbound), or that were passed on or answered (outbound).
    #[arg(long, value_name = "WAY")]
    direction: Option<Direction>,
    /// What happened, such as received, relayed, failed or delivered; may be repeated, for any of them.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<Kind>,
    /// The rule that fired, or the answer that was given, such as `opt_out` or help.
    #[arg(long, value_name = "RULE", value_parser = rule)]
    rule: Option<String>,
    /// Where the conversation stands: waiting, active or ended. What belongs to none stands nowhere.
    #[arg(long, value_name = "STATE")]
    state: Option<Standing>,
    /// Texts that pictures came along with.
    #[arg(long)]
    with_media: bool,
    /// Words in the conversation may have been an opt-out, or staff were called for it.
    #[arg(long)]
    flagged: bool,
    /// What a legal hold covers.
    #[arg(long)]
    held: bool,
}

/// A time as it is typed.
#[derive(Debug, Clone, Copy)]
enum When {
    /// With its zone.
    Certain(Timestamp),
    /// A day or a time on somebody's clock.
    Local(DateTime),
}

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let certain = text.parse().map(Self::Certain);
        certain.or_else(|_| text.parse().map(Self::Local)).map_err(|_| {
            "must be a day or a time, such as 2026-03-01, 2026-03-01T14:30 or 2026-03-01T00:00:00Z"
        })
    }
}

impl When {
    fn on(self, option: &str, zone: Option<&TimeZone>) -> Result<Timestamp, Failure> {
        match (self, zone) {
            (Self::Certain(at), _) => Ok(at),
            (Self::Local(at), Some(zone)) => Ok(zone.to_timestamp(at)?),
            (Self::Local(_), None) => Err(format!(
                "{option} does not say on whose clock: add --zone, such as --zone Europe/Berlin or --zone UTC"
            )
            .into()),
        }
    }
}

fn zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| {
        "is no time zone that is known here: give one such as Europe/Berlin, America/New_York or UTC".into()
    })
}

/// A rule's name. Whatever else is typed could be anybody's words, and would be put on record.
fn rule(text: &str) -> Result<String, String> {
    let is_name = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if text.is_empty() || text.len() > 60 || !is_name || phone::stands_in(text) {
        return Err("must be a rule's name, such as talk, opt_out or not_our_number".into());
    }
    Ok(text.to_owned())
}

/// Whom a search is about.
pub(super) enum Whom {
    /// Everybody, or this person.
    Known(Option<PersonId>),
    /// A number was typed that nobody has.
    Nobody,
}

impl Filters {
    /// Whether nothing is asked for.
    pub(super) fn is_empty(&self) -> bool {
        let flags = [self.with_media, self.flagged, self.held];
        self.person.is_none()
            && self.number.is_none()
            && self.conversation.is_none()
            && self.external.is_none()
            && self.from.is_none()
            && self.until.is_none()
            && self.direction.is_none()
            && self.kinds.is_empty()
            && self.rule.is_none()
            && self.state.is_none()
            && !flags.contains(&true)
    }

    /// Finds out whom it is about.
    pub(super) async fn whom(
        &self,
        conn: &mut PgConnection,
        vault: &Vault,
    ) -> Result<Whom, Failure> {
        let Some(person) = self.person else { return Ok(Whom::Known(None)) };
        Ok(person.look(conn, vault).await?.map_or(Whom::Nobody, |id| Whom::Known(Some(id))))
    }

    /// What is looked for.
    pub(super) async fn filter(
        &self,
        conn: &mut PgConnection,
        person: Option<PersonId>,
    ) -> Result<Filter, Failure> {
        if let Some(number) = &self.number
            && pool::find(conn, number).await?.is_none()
        {
            return Err("--number is none of your masked numbers: see `maskline numbers list`. For a person's give --person -".into());
        }
        let zone = self.zone.as_ref();
        let on = |option, when: Option<When>| when.map(|when| when.on(option, zone)).transpose();
        Ok(Filter {
            person,
            conversation: self.conversation,
            external: self.external.clone(),
            masked_number: self.number.clone(),
            from: on("--from", self.from)?,
            until: on("--until", self.until)?,
            direction: self.direction,
            kinds: self.kinds.clone(),
            rule: self.rule.clone(),
            with_media: self.with_media,
            held: self.held,
            state: self.state,
            flagged: self.flagged,
        })
    }
}
