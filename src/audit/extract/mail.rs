//! The mail around what RSMF says (RFC 5322 and MIME): a text to read, and one attachment.

use std::fmt::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::{Timestamp, fmt::rfc2822, tz::TimeZone};
use sha2::{Digest, Sha256};

use crate::audit::tree::Hash;

/// The version of the format.
pub(super) const VERSION: &str = "2.0.0";
/// How long a line of base64 may be, and one of a text.
const BASE64_LINE: usize = 76;
const TEXT_LINE: usize = 75;

/// What stands in a mail.
pub(super) struct Mail<'a> {
    pub(super) subject: &'a str,
    /// What files of one conversation have in common.
    pub(super) collection: &'a str,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) events: usize,
    pub(super) participants: &'a str,
    /// What is shown where nobody looks into the attachment.
    pub(super) text: &'a str,
    pub(super) zip: &'a [u8],
}

impl Mail<'_> {
    /// The mail as it is stored. Nothing in its head was chosen by anybody who texts.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let hash = Hash(Sha256::digest(self.zip).into()).to_string();
        let boundary = format!("maskline-{}", &hash[..32]);
        let date = rfc2822::to_string(&self.first.to_zoned(TimeZone::UTC)).unwrap_or_default();
        let events = self.events.to_string();
        let generator = concat!("Maskline ", env!("CARGO_PKG_VERSION"));
        let head = [
            ("From", "Maskline <maskline@maskline.invalid>"),
            ("Date", &date),
            ("Subject", self.subject),
            ("Message-ID", &format!("<{}@maskline.invalid>", &hash[..32])),
            ("X-RSMF-Version", VERSION),
            ("X-RSMF-Generator", generator),
            ("X-RSMF-Application", "Maskline"),
            ("X-RSMF-BeginDate", &self.first.to_string()),
            ("X-RSMF-EndDate", &self.last.to_string()),
            ("X-RSMF-EventCount", &events),
            ("X-RSMF-AttachmentCount", "0"),
            ("X-RSMF-EventCollectionID", self.collection),
            ("X-RSMF-Participants", self.participants),
            ("MIME-Version", "1.0"),
            ("Content-Type", &format!("multipart/mixed; boundary=\"{boundary}\"")),
        ];
        let mut mail = String::new();
        for (name, value) in head {
            mail.push_str(&folded(name, value));
        }
        mail.push_str("\r\n");
        let parts = format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\n{}\r\n\
             --{boundary}\r\nContent-Type: application/zip; name=\"rsmf.zip\"\r\n\
             Content-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"rsmf.zip\"\r\n\r\n",
            quoted(self.text)
        );
        mail.push_str(&parts);
        let base64 = BASE64_STANDARD.encode(self.zip);
        for line in base64.as_bytes().chunks(BASE64_LINE) {
            mail.push_str(&String::from_utf8_lossy(line));
            mail.push_str("\r\n");
        }
        mail.push_str("--");
        mail.push_str(&boundary);
        mail.push_str("--\r\n");
        mail.into_bytes()
    }
}

/// A line of the head, folded between words.
fn folded(name: &str, value: &str) -> String {
    let (mut out, mut length) = (format!("{name}:"), name.len() + 1);
    for word in value.split(' ') {
        if length + 1 + word.len() > TEXT_LINE && length > name.len() + 1 {
            out.push_str("\r\n");
            length = 0;
        }
        out.push(' ');
        out.push_str(word);
        length += 1 + word.len();
    }
    out + "\r\n"
}

/// Text as quoted-printable (RFC 2045): short lines of ASCII, whatever somebody texted.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for line in text.split('\n') {
        let mut length = 0;
        let bytes = line.as_bytes();
        for (n, byte) in bytes.iter().enumerate() {
            let is_last = n + 1 == bytes.len();
            let is_plain = match byte {
                b'=' => false,
                b' ' => !is_last,
                byte => byte.is_ascii_graphic(),
            };
            let width = if is_plain { 1 } else { 3 };
            if length + width > TEXT_LINE {
                out.push_str("=\r\n");
                length = 0;
            }
            if is_plain {
                out.push(char::from(*byte));
            } else {
                // Writing to a string does not fail.
                write!(out, "={byte:02X}").ok();
            }
            length += width;
        }
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_short_lines_of_ascii() {
        let long = "é".repeat(60);
        let text = format!("a=b \n.\n--x\r\n{long}\n");
        let quoted = quoted(&text);
        assert!(quoted.starts_with("a=3Db=20\r\n.\r\n--x=0D\r\n"), "{quoted}");
        assert!(quoted.lines().all(|line| line.len() <= 76 && line.is_ascii()), "{quoted}");
        let joined = quoted.replace("=\r\n", "");
        assert_eq!(joined.matches("=C3=A9").count(), 60);
    }

    #[test]
    fn a_line_of_the_head_is_folded_between_words() {
        let value = ["word"; 40].join(" ");
        let line = folded("X-RSMF-Participants", &value);
        assert!(line.ends_with("\r\n") && line.lines().all(|line| line.len() <= 78), "{line}");
        assert_eq!(line.replace("\r\n ", " "), format!("X-RSMF-Participants: {value}\r\n"));
    }
}
