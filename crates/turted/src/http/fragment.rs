//! Refuses a `#` in the target of a request, where none may be (RFC 9112 3.2). hyper cuts the `#` off with all behind
//! it, so `/push#x` would be a push. A proxy that lets only some clients push to `/push` might see another path.

/// The byte that replaces a `#`. hyper accepts it in no target, so it answers 400.
const REFUSED: u8 = 0x7F;

/// How far the first line of a request was looked at. What comes after an answer is another request with a first line.
///
/// A request that a client sends before the answer to its previous one is not looked at. Proxies send no such requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstLine {
    Begin,
    Method,
    Target,
    /// Behind the target: the rest, bodies above all, is not looked at.
    Past,
}

impl FirstLine {
    /// Looks at what was read, and spoils a target with a `#` in it.
    pub(crate) fn read(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *self = match (*self, *byte) {
                (Self::Past, _) => return,
                // Empty lines before a request are left out (RFC 9112 2.2).
                (Self::Begin, b'\r' | b'\n') => Self::Begin,
                (Self::Begin | Self::Method, b'A'..=b'Z') => Self::Method,
                (Self::Method, b' ') => Self::Target,
                (Self::Target, b'#') => {
                    *byte = REFUSED;
                    Self::Past
                }
                (Self::Target, 0x21..) => Self::Target,
                _ => Self::Past,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of `text` however it is cut in two.
    fn read(text: &str) -> String {
        let read_at = |cut: usize| {
            let (mut line, mut bytes) = (FirstLine::Begin, text.as_bytes().to_vec());
            let (before, behind) = bytes.split_at_mut(cut);
            line.read(before);
            line.read(behind);
            String::from_utf8(bytes).unwrap()
        };
        let whole = read_at(0);
        (0..text.len()).for_each(|cut| assert_eq!(read_at(cut), whole, "{text:?} {cut}"));
        whole
    }

    #[test]
    fn only_a_target_is_spoilt() {
        for (text, spoilt) in [
            ("POST /push#x HTTP/1.1\r\n", "POST /push\u{7F}x HTTP/1.1\r\n"),
            ("\r\nGET /a?b#c HTTP/1.1\r\n", "\r\nGET /a?b\u{7F}c HTTP/1.1\r\n"),
        ] {
            assert_eq!(read(text), spoilt);
        }
        for text in [
            "POST /push HTTP/1.1\r\nX: #\r\n\r\n#",
            "GET /a%23b HTTP/1.1\r\n",
            "{\"a\":\"POST /push#x\"}",
            "[\"#\"]",
            "42[\"ECHO\",\"#\"]",
            "\r\n#",
            "#",
        ] {
            assert_eq!(read(text), text);
        }
    }
}
