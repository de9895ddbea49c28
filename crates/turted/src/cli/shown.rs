//! Text that strangers chose, on its way to a terminal: what could steer the terminal, or turn the order of a line round, is
//! escaped. It is the same in a pipe, because somebody may look at that in a terminal too.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

/// Characters that are not seen themselves but change what is: category Cf of Unicode, and the separators of lines.
const FORMAT: [RangeInclusive<char>; 20] = [
    '\u{ad}'..='\u{ad}',
    '\u{600}'..='\u{605}',
    '\u{61c}'..='\u{61c}',
    '\u{6dd}'..='\u{6dd}',
    '\u{70f}'..='\u{70f}',
    '\u{890}'..='\u{891}',
    '\u{8e2}'..='\u{8e2}',
    '\u{180e}'..='\u{180e}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{fff9}'..='\u{fffb}',
    '\u{110bd}'..='\u{110bd}',
    '\u{110cd}'..='\u{110cd}',
    '\u{13430}'..='\u{1343f}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0001}'..='\u{e0001}',
    '\u{e0020}'..='\u{e007f}',
];

fn is_plain(character: char) -> bool {
    !character.is_control()
        && (character.is_ascii() || !FORMAT.iter().any(|range| range.contains(&character)))
}

/// A text in which nothing steers a terminal.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match is_plain(character) {
            true => shown.push(character),
            false => shown.extend(character.escape_default()),
        }
    }
    shown
}

/// The same for several lines.
pub(super) fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// The same for a JSON text on one line, which stays one with the same value.
pub(super) fn plain_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            // They stand between the tokens; within texts JSON has none of them.
            '\n' | '\r' | '\t' => shown.push(' '),
            _ if is_plain(character) => shown.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing into a `String` cannot fail.
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEERING: [char; 9] = [
        '\u{1b}',
        '\u{9b}',
        '\u{7f}',
        '\u{202e}',
        '\u{2066}',
        '\u{200b}',
        '\u{2028}',
        '\u{feff}',
        '\u{e0041}',
    ];

    #[test]
    fn nothing_that_steers_a_terminal_is_shown() {
        for character in STEERING {
            let text = format!("a{character}b");
            assert_eq!(plain(&text), format!("a{}b", character.escape_default()), "{character:?}");
            let json = serde_json::to_string(&text).unwrap();
            let shown = plain_json(&json);
            assert!(!shown.contains(character), "{shown}");
            assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text, "{character:?}");
        }
        assert_eq!(plain_lines("a\n\u{9b}b\n"), "a\n\\u{9b}b\n");
    }

    #[test]
    fn what_people_write_is_shown_as_it_is() {
        for text in [
            "adam",
            "Zo\u{eb} O\u{2019}Brien",
            "\u{65e5}\u{672c}",
            "e\u{301}",
            "\u{915}\u{94d}\u{937}",
            "\"\\",
        ] {
            assert_eq!((plain(text), plain_json(text)), (text.to_owned(), text.to_owned()));
        }
        assert_eq!(plain_json("{\r\n\t\"a\":1}"), "{   \"a\":1}");
    }
}
