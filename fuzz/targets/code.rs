//! Whatever reads as a code or a number has the one form in which it is looked up.

#![no_main]

use libfuzzer_sys::fuzz_target;
use maskline::{code::Code, command, command::Command, phone::PhoneNumber};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Ok(code) = text.parse::<Code>() {
        let written = code.as_str();
        assert_eq!(written.len(), 8);
        // The check constraint of the migration, in Rust.
        assert!(written.chars().all(|c| "23456789ACDEFGHJKMNPQRTUVWXY".contains(c)), "{written}");
        assert!(written.contains(['3', '4', '6', '7', '9']), "{written}");
        assert_eq!(written.parse().as_ref(), Ok(&code));
        assert_eq!(code.to_string().parse().as_ref(), Ok(&code));
        // What is longer is no command, even if it is hyphens for the most part.
        if text.len() < 60 {
            assert_eq!(command::parse(&format!("join {text}")), Command::Join(code));
        }
    }
    if let Ok(number) = text.parse::<PhoneNumber>() {
        assert_eq!(number.as_str().parse().as_ref(), Ok(&number));
        assert_eq!(number.digits().parse().as_ref(), Ok(&number));
        assert!((7..=15).contains(&number.digits().len()));
        assert!(!format!("{number:?}").contains(&number.digits()[..5]));
    }
});
