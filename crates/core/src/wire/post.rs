//! An ordinary `POST` of HTTP/1.1 that has come completely: no more of HTTP than the short way of a push needs.
//!
//! It does not refuse anything. Whatever is unusual is [`Decoded::Other`], and belongs to a complete implementation of
//! HTTP, which decides about it. What is taken here, such an implementation takes too, and understands alike
//! (`fuzz/fuzz_targets/post.rs`).

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Request, Status};

/// Headers of one request. Backends and the proxies before them send a dozen.
const HEADERS_MAX: usize = 32;
/// Digits of a `Content-Length`: more than any body that is taken here has.
const LENGTH_DIGITS_MAX: usize = 8;
/// How every request begins that may be taken.
const START: &[u8] = b"POST /";

/// A request that has come completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Post<'a> {
    /// The target, which has no query.
    pub path: &'a str,
    /// The only `Host`: a name or an address, and perhaps a port.
    pub host: &'a str,
    /// The `Accept`, if there is one. So are the next two.
    pub accept: Option<&'a str>,
    /// The `Authorization`.
    pub authorization: Option<&'a str>,
    /// The `Idempotency-Key`.
    pub idempotency_key: Option<&'a str>,
    /// As long as `Content-Length` says.
    pub body: &'a [u8],
}

/// What a request may have at most. One that has more is not refused here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostLimits {
    /// Bytes of the head.
    pub head_bytes: usize,
    /// Headers.
    pub headers: usize,
    /// Bytes of the target.
    pub target_bytes: usize,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// Bytes of head and body together.
    pub bytes: usize,
}

/// What stands at the start of the bytes that have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A request.
    Whole {
        /// The request itself.
        post: Post<'a>,
        /// How many bytes it takes. What follows belongs to the next one.
        bytes: usize,
    },
    /// The start of what may become a request to this path.
    Part {
        /// Its target.
        path: &'a str,
    },
    /// Anything else, or too little to tell.
    Other,
}

/// Decodes the request at the start of `input`.
///
/// ```
/// use turted_core::wire::post::{Decoded, PostLimits, decode};
/// let limits = PostLimits { head_bytes: 8192, headers: 32, target_bytes: 100, body_bytes: 100, bytes: 8192 };
/// let input = b"POST /push/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\n{}";
/// let Decoded::Whole { post, bytes } = decode(input, limits) else { panic!("it is complete") };
/// assert_eq!((post.path, post.host, post.body, bytes), ("/push/", "a.example", &b"{}"[..], input.len()));
/// assert_eq!(decode(&input[..40], limits), Decoded::Part { path: "/push/" });
/// assert_eq!(decode(b"GET / HTTP/1.1\r\n\r\n", limits), Decoded::Other);
/// ```
#[must_use]
pub fn decode(input: &[u8], limits: PostLimits) -> Decoded<'_> {
    read(input, limits).unwrap_or(Decoded::Other)
}

/// `None` for what is unusual.
fn read(input: &[u8], limits: PostLimits) -> Option<Decoded<'_>> {
    if !input.starts_with(START) {
        return None;
    }
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = Request::new(&mut []);
    let parsed =
        ParserConfig::default().parse_request_with_uninit_headers(&mut request, input, &mut headers).ok()?;
    let path = request.path.filter(|path| is_path(path) && path.len() <= limits.target_bytes)?;
    let Status::Complete(head_bytes) = parsed else {
        let is_short = input.len() < limits.head_bytes.min(limits.bytes);
        return is_short.then_some(Decoded::Part { path });
    };
    let is_usual = request.method == Some("POST")
        && request.version == Some(1)
        && head_bytes <= limits.head_bytes
        && request.headers.len() <= limits.headers;
    if !is_usual {
        return None;
    }
    let head = Head::read(request.headers)?;
    let length = head.length.filter(|length| *length <= limits.body_bytes)?;
    let bytes = head_bytes + length;
    if bytes > limits.bytes {
        return None;
    }
    let Some(body) = input.get(head_bytes..bytes) else { return Some(Decoded::Part { path }) };
    let Head { host, accept, authorization, idempotency_key, .. } = head;
    let post = Post { path, host: host?, accept, authorization, idempotency_key, body };
    Some(Decoded::Whole { post, bytes })
}

/// The headers that count.
#[derive(Default)]
struct Head<'a> {
    host: Option<&'a str>,
    length: Option<usize>,
    accept: Option<&'a str>,
    authorization: Option<&'a str>,
    idempotency_key: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// `None` if there is a header that means more than is understood here, or one twice.
    fn read(headers: &[Header<'a>]) -> Option<Self> {
        let mut head = Self::default();
        for Header { name, value } in headers {
            match Meaning::of(name) {
                Meaning::None => {}
                Meaning::Host => once(&mut head.host, text(value).filter(|host| is_host(host))?)?,
                Meaning::Length => once(&mut head.length, length(value)?)?,
                Meaning::Accept => once(&mut head.accept, text(value)?)?,
                Meaning::Authorization => once(&mut head.authorization, text(value)?)?,
                Meaning::IdempotencyKey => once(&mut head.idempotency_key, text(value)?)?,
                Meaning::Connection if value.eq_ignore_ascii_case(b"keep-alive") => {}
                Meaning::Connection | Meaning::More => return None,
            }
        }
        Some(head)
    }
}

/// What a header is to a push.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Host,
    Length,
    Accept,
    Authorization,
    IdempotencyKey,
    Connection,
    /// Nobody looks at it.
    None,
    /// It changes what the request means, to HTTP or to an endpoint.
    More,
}

impl Meaning {
    /// A header that any endpoint with a short way reads has to be in here.
    fn of(name: &str) -> Self {
        const KNOWN: [(&str, Meaning); 15] = [
            ("host", Meaning::Host),
            ("content-length", Meaning::Length),
            ("accept", Meaning::Accept),
            ("authorization", Meaning::Authorization),
            ("idempotency-key", Meaning::IdempotencyKey),
            ("connection", Meaning::Connection),
            ("transfer-encoding", Meaning::More),
            ("content-encoding", Meaning::More),
            ("expect", Meaning::More),
            ("upgrade", Meaning::More),
            ("te", Meaning::More),
            ("trailer", Meaning::More),
            ("origin", Meaning::More),
            ("forwarded", Meaning::More),
            ("x-forwarded-for", Meaning::More),
        ];
        let known = KNOWN.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        match known {
            Some((_, meaning)) => *meaning,
            // `Sec-Fetch-Site`, `Sec-WebSocket-Key`, and what browsers add to them.
            None if name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("sec-")) => Self::More,
            None => Self::None,
        }
    }
}

/// Notes a value; `None` if there is one already.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.is_none().then(|| *place = Some(value))
}

/// A value of printable ASCII.
fn text(value: &[u8]) -> Option<&str> {
    let is_printable = value.iter().all(|byte| matches!(byte, b' '..=b'~'));
    std::str::from_utf8(value).ok().filter(|_| is_printable)
}

fn length(value: &[u8]) -> Option<usize> {
    let is_number = (1..=LENGTH_DIGITS_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    text(value).filter(|_| is_number)?.parse().ok()
}

/// A target that means the same to everybody: nothing in it is encoded, and there is no query.
fn is_path(target: &str) -> bool {
    target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte))
}

/// A host name or an address, and perhaps a port. Not every one, but those that are usual.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, "0"),
    };
    let is_port = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    };
    is_port && is_name
}

#[cfg(test)]
mod tests;
