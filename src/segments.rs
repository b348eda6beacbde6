//! How many segments a text takes on the air, which is what carriers count and charge.

/// The GSM 7-bit default alphabet, without the escape that leads to its extension.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The extension table; each of these is sent as an escape and a character.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// How a text travels: the one character outside GSM-7 that it holds halves what fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Seven bits a character: 160 in one segment, 153 in each of several.
    Gsm7,
    /// Sixteen bits a unit: 70 in one segment, 67 in each of several.
    Ucs2,
}

/// What a text takes on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// How it travels.
    pub encoding: Encoding,
    /// In how many segments; an empty text is one.
    pub count: usize,
}

/// The septets of a text in GSM-7; none if a character is not in it.
pub fn septets(text: &str) -> Option<usize> {
    text.chars().map(septets_of).sum()
}

/// Counts the segments of a text.
pub fn segments(text: &str) -> Segments {
    let gsm7: Option<Vec<usize>> = text.chars().map(septets_of).collect();
    if let Some(widths) = gsm7 {
        return Segments { encoding: Encoding::Gsm7, count: pack(&widths, 160, 153) };
    }
    let widths: Vec<usize> = text.chars().map(char::len_utf16).collect();
    Segments { encoding: Encoding::Ucs2, count: pack(&widths, 70, 67) }
}

/// Whether a character is in the basic set, where it takes one septet.
pub(crate) fn is_basic(c: char) -> bool {
    BASIC.contains(c)
}

fn septets_of(c: char) -> Option<usize> {
    if is_basic(c) { Some(1) } else { EXTENSION.contains(c).then_some(2) }
}

/// Fills segments in turn. A character is never cut in two, so a segment may stay one unit short.
fn pack(widths: &[usize], alone: usize, of_several: usize) -> usize {
    if widths.iter().sum::<usize>() <= alone {
        return 1;
    }
    let mut count = 1;
    let mut filled = 0;
    for width in widths {
        if filled + width > of_several {
            count += 1;
            filled = 0;
        }
        filled += width;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_whole() {
        assert_eq!(BASIC.chars().count(), 127, "128 places, one of them the escape");
        assert_eq!(BASIC.chars().collect::<std::collections::HashSet<_>>().len(), 127);
        assert_eq!(EXTENSION.chars().count(), 10);
    }

    #[test]
    fn counts_septets() {
        let table = [
            ("", Some(0)),
            ("Hello, you!", Some(11)),
            ("@£$¥èéùìòÇ\r\nØøÅå", Some(16)),
            ("€", Some(2)),
            ("[a]", Some(5)),
            ("\u{c}^{}\\~|", Some(14)),
            ("ç", None),
            ("`", None),
            ("\u{1b}", None),
            ("\t", None),
            ("it’s", None),
            ("🙂", None),
        ];
        for (text, count) in table {
            assert_eq!(septets(text), count, "{text:?}");
        }
    }

    #[test]
    fn counts_segments() {
        let table = [
            (String::new(), Encoding::Gsm7, 1),
            ("a".repeat(160), Encoding::Gsm7, 1),
            ("a".repeat(161), Encoding::Gsm7, 2),
            ("a".repeat(306), Encoding::Gsm7, 2),
            ("a".repeat(307), Encoding::Gsm7, 3),
            ("€".repeat(80), Encoding::Gsm7, 1),
            // 306 septets, but the 77th sign does not fit into the last septet of its segment.
            ("€".repeat(153), Encoding::Gsm7, 3),
            ("ж".repeat(70), Encoding::Ucs2, 1),
            ("ж".repeat(71), Encoding::Ucs2, 2),
            ("ж".repeat(134), Encoding::Ucs2, 2),
            ("ж".repeat(135), Encoding::Ucs2, 3),
            ("🙂".repeat(35), Encoding::Ucs2, 1),
            ("🙂".repeat(36), Encoding::Ucs2, 2),
            // 134 units, but no surrogate pair is cut in two.
            ("🙂".repeat(67), Encoding::Ucs2, 3),
            ("a".repeat(70) + "’", Encoding::Ucs2, 2),
        ];
        for (text, encoding, count) in table {
            let found = segments(&text);
            assert_eq!(found, Segments { encoding, count }, "{}", text.chars().count());
        }
    }
}
