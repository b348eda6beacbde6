//! The second factor: codes of six digits that change each half minute (RFC 6238).

use std::fmt::{self, Write};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use rand::RngExt;
use sha1::Sha1;
use subtle::ConstantTimeEq;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    ids::StaffId,
    vault::{Field, Vault},
};

/// For how many seconds a code is shown.
const STEP: i64 = 30;
/// How many steps a phone's clock may be off.
const OFF: i64 = 1;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What codes are made from: 20 random bytes. `Debug` does not show them.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 20]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    pub(super) fn draw() -> Self {
        Self(Zeroizing::new(rand::rng().random()))
    }

    /// Reads the 20 bytes.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    pub(super) fn seal(&self, vault: &Vault, id: StaffId) -> Vec<u8> {
        vault.own().seal(Field::SecondFactor, id, &*self.0).to_bytes()
    }

    /// The secret as people type it into an app.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for five in self.0.chunks(5) {
            let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            for at in (0..8).rev() {
                let letter = usize::try_from(bits >> (5 * at) & 31).unwrap_or_default();
                text.push(char::from(BASE32[letter]));
            }
        }
        text
    }

    /// The address that an app reads from a QR code.
    pub fn uri(&self, brand: &str, name: &str) -> String {
        let label: String =
            format!("{brand}:{name}").bytes().fold(String::new(), |mut text, byte| {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                        text.push(char::from(byte));
                    }
                    other => drop(write!(text, "%{other:02X}")),
                }
                text
            });
        let mut uri = format!("otpauth://totp/{label}");
        if let Ok(mut url) = Url::parse(&uri) {
            url.query_pairs_mut()
                .append_pair("secret", &self.to_text())
                .append_pair("issuer", brand);
            // A plus sign is no blank to every app.
            uri = url.as_str().replace('+', "%20");
        }
        uri
    }

    /// The code of a step.
    pub fn code(&self, step: i64) -> String {
        // A key shorter than a block is filled up with zeros, by HMAC's own definition.
        let mut block = Zeroizing::new([0; 64]);
        block[..20].copy_from_slice(&*self.0);
        let mac = Hmac::<Sha1>::new((&*block).into()).chain_update(step.to_be_bytes());
        let digest = mac.finalize().into_bytes();
        let at = usize::from(digest[19] & 15);
        let word = [digest[at] & 127, digest[at + 1], digest[at + 2], digest[at + 3]];
        format!("{:06}", u32::from_be_bytes(word) % 1_000_000)
    }

    /// The step whose code this is, of those that a phone may show at this time.
    pub(super) fn step(&self, code: &str, now: Timestamp) -> Option<i64> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let current = step_at(now);
        let mut found = None;
        for step in current - OFF..=current + OFF {
            if bool::from(self.code(step).as_bytes().ct_eq(code.as_bytes())) {
                found = Some(step);
            }
        }
        found
    }
}

/// The step that a time lies in.
pub fn step_at(now: Timestamp) -> i64 {
    now.as_second().div_euclid(STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 6238's test vectors; the vectors have eight digits, of which these are the last.
    fn secret() -> Secret {
        Secret::read(b"12345678901234567890").unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret().code(step_at(at(second))), code);
        }
    }

    #[test]
    fn a_code_is_good_for_a_step_before_and_after() {
        let now = at(1_111_111_111);
        let step = step_at(now);
        for off in -1..=1 {
            assert_eq!(secret().step(&secret().code(step + off), now), Some(step + off));
        }
        for off in [-2, 2] {
            assert_eq!(secret().step(&secret().code(step + off), now), None);
        }
        assert_eq!(secret().step(" 050 471 ", now), Some(step));
        for wrong in ["", "05047", "0504711", "x50471"] {
            assert_eq!(secret().step(wrong, now), None);
        }
    }

    #[test]
    fn an_app_reads_the_uri() {
        assert_eq!(secret().to_text(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            secret().uri("Mask & Line", "Dana Ek"),
            "otpauth://totp/Mask%20%26%20Line:Dana%20Ek?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Mask%20%26%20Line"
        );
        assert_eq!(format!("{:?}", secret()), "Secret(…)");
    }
}
