//! Files that are part of the program. Clients keep them, and ask by their ETag whether they have changed
//! (RFC 9110 13.1.2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use hyper::{Method, Request, StatusCode};
use sha2::{Digest, Sha256};

use super::answer::{Answer, allow, answer, bare, text};

/// Bytes of the hash in an ETag: two versions of a file differ in them.
const ETAG_BYTES: usize = 15;

/// Nothing but the files of this server runs, is shown or is asked; no text becomes a script; no other page frames this
/// one, because a click in it may push.
const PROTECTION: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// A file, with what is said of it.
#[derive(Clone, Debug)]
pub(crate) struct Embedded {
    content_type: &'static str,
    bytes: Bytes,
    etag: HeaderValue,
}

impl Embedded {
    pub(crate) fn new(content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(&bytes)[..ETAG_BYTES]);
        let etag = HeaderValue::try_from(format!("\"{hash}\"")).expect("base64 is visible ASCII");
        Self { content_type, bytes, etag }
    }

    /// Answers a request for the file.
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Answer {
        let mut answer = match *request.method() {
            Method::GET | Method::HEAD if self.is_known(request.headers()) => {
                bare(StatusCode::NOT_MODIFIED, "")
            }
            Method::GET => answer(StatusCode::OK, self.content_type, self.bytes.clone()),
            Method::HEAD => self.head(),
            _ => return refuse_method(),
        };
        let headers = answer.headers_mut();
        headers.insert(ETAG, self.etag.clone());
        // Asked for again each time, so that a page never runs with the file of an earlier version.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        answer
    }

    /// The head alone. Over HTTP/2 hyper would send the body too.
    fn head(&self) -> Answer {
        let mut answer = answer(StatusCode::OK, self.content_type, "");
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(self.bytes.len()));
        answer
    }

    /// Whether the client has the file already. Proxies that compress make an ETag weak.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
        let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.etag.as_bytes())
    }
}

/// Says what browsers may do with a file of a page of ours.
pub(crate) fn protect(mut answer: Answer) -> Answer {
    for (name, value) in PROTECTION {
        answer.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}

fn refuse_method() -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "this is a file: GET or HEAD it");
    allow(&mut answer, "GET, HEAD");
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(file: &Embedded, method: &str, header: &str) -> Answer {
        let request = Request::builder().method(method).uri("/").header(IF_NONE_MATCH, header);
        file.answer(&request.body(()).unwrap())
    }

    #[test]
    fn a_client_that_has_the_file_is_told_so_by_any_form_of_its_tag() {
        let file = Embedded::new("text/plain", "content");
        let tag = file.etag.to_str().unwrap();
        for (header, status) in [
            (tag.to_owned(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"other\" , {tag}"), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
            (tag.trim_matches('"').to_owned(), 200),
            (String::new(), 200),
        ] {
            for method in ["GET", "HEAD"] {
                let answer = ask(&file, method, &header);
                assert_eq!(
                    (answer.status().as_u16(), &answer.headers()[ETAG]),
                    (status, &file.etag),
                    "{header}"
                );
            }
        }
    }

    #[test]
    fn files_that_differ_have_tags_that_differ() {
        let of = |content: &'static str| Embedded::new("text/plain", content).etag;
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
    }

    #[test]
    fn the_head_of_a_file_says_its_length_and_has_no_body() {
        let answer = ask(&Embedded::new("text/plain", "content"), "HEAD", "");
        assert_eq!((&answer.headers()[CONTENT_LENGTH], answer.body().len()), (&HeaderValue::from(7), 0));
    }

    #[test]
    fn other_methods_are_told_which_there_are() {
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = ask(&Embedded::new("text/plain", "content"), method, "*");
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
            assert_eq!(answer.headers()["allow"], "GET, HEAD", "{method}");
        }
    }
}
