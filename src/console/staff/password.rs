//! Passwords: argon2id, 15 characters or more, and one that is drawn for who is new.

use std::sync::LazyLock;

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use rand::{RngExt, seq::IndexedRandom};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

/// The fewest characters of a password.
pub const SHORTEST: usize = 15;
/// The most. Hashing takes longer the more there are.
const LONGEST: usize = 128;
/// How many hashes are made at once. Each takes 19 MiB, and anybody may ask for one.
static HASHING: Semaphore = Semaphore::const_new(2);

/// What is compared with for a name that nobody has, so that it takes as long.
static NOBODYS: LazyLock<String> =
    LazyLock::new(|| make(&draw()).map(|hash| hash.to_string()).unwrap_or_default());

/// A password that nobody chose: a hundred random bits without look-alikes, in groups.
pub(super) fn draw() -> String {
    const ALPHABET: &[u8] = b"23456789abcdefghjkmnpqrstuvwxyz";
    let mut rng = rand::rng();
    let mut letters = || ALPHABET.choose(&mut rng).map_or('x', |letter| char::from(*letter));
    let groups: Vec<String> = (0..4).map(|_| (0..5).map(|_| letters()).collect()).collect();
    groups.join("-")
}

/// What is wrong with a password that somebody chose for the account of this name.
pub fn problem(password: &str, name: &str) -> Option<&'static str> {
    let count = password.chars().count();
    let folded = password.to_lowercase();
    let mut distinct: Vec<char> = folded.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if count < SHORTEST {
        Some("Use 15 characters or more. A few words in a row are easy to remember.")
    } else if count > LONGEST {
        Some("Use 128 characters at most.")
    } else if distinct.len() < 6 {
        Some("Use more than a few different characters.")
    } else if folded.contains(&name.to_lowercase()) && name.chars().count() > 2 {
        Some("Leave your name out of it.")
    } else {
        None
    }
}

/// Hashes a password with a salt of its own.
///
/// # Errors
/// When it cannot be done, say for want of memory.
pub async fn hash(password: &str) -> sqlx::Result<String> {
    let password = password.to_owned();
    let hashed = alone(move || make(&password).map(|hash| hash.to_string())).await;
    hashed.flatten().ok_or_else(|| sqlx::Error::Encode("a password cannot be hashed".into()))
}

/// Whether this is the password of that hash; without one it takes as long and is not.
pub async fn fits(password: &str, hash: Option<String>) -> bool {
    let password = password.to_owned();
    let verified = alone(move || {
        let (hash, is_known) = match &hash {
            Some(hash) => (hash.as_str(), true),
            None => (NOBODYS.as_str(), false),
        };
        let fits = password.chars().count() <= LONGEST
            && Argon2::default().verify_password(normal(&password).as_bytes(), hash).is_ok();
        fits && is_known
    });
    verified.await.unwrap_or_default()
}

fn make(password: &str) -> Option<PasswordHash> {
    let salt: [u8; 16] = rand::rng().random();
    Argon2::default().hash_password_with_salt(normal(password).as_bytes(), &salt).ok()
}

/// The same words typed on another keyboard are the same password.
fn normal(password: &str) -> String {
    password.nfkc().collect()
}

/// Does what takes long where it holds up nobody.
async fn alone<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let _turn = HASHING.acquire().await.ok()?;
    tokio::task::spawn_blocking(work).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_long_and_not_the_name() {
        for wrong in
            ["", "fourteen chars", "aaaaaaaaaaaaaaaa", "i am dana, hello dana", &"ab".repeat(65)]
        {
            assert!(problem(wrong, "Dana").is_some(), "{wrong}");
        }
        assert_eq!(problem("correct horse battery", "Dana"), None);
        assert_eq!(problem(&draw(), "Dana"), None);
        assert_ne!(draw(), draw());
    }

    #[tokio::test]
    async fn only_the_same_password_fits() {
        let hashed = hash("ﬁne words, long enough").await.unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert!(fits("fine words, long enough", Some(hashed.clone())).await, "as NFKC");
        assert!(!fits("fine words, long enougH", Some(hashed.clone())).await);
        assert!(!fits("fine words, long enough", None).await);
        assert_ne!(hash("fine words, long enough").await.unwrap(), hashed);
    }
}
