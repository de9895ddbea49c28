//! One field of a request, as the command line has it: `NAME: VALUE`.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use hyper::header::{HeaderName, HeaderValue};

/// Fields that a request has anyway. A second one would change what it asks for.
const OWN: [&str; 8] = [
    "host",
    "connection",
    "upgrade",
    "content-length",
    "content-type",
    "transfer-encoding",
    "sec-websocket-key",
    "sec-websocket-version",
];

/// One field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub(crate) name: HeaderName,
    /// May have placeholders.
    pub(crate) value: String,
}

impl Header {
    /// A field of a preset.
    pub(super) fn of(name: &'static str, value: &str) -> Self {
        Self { name: HeaderName::from_static(name), value: value.to_owned() }
    }
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
        let name: HeaderName = name.trim().parse().map_err(|_| "the name is no name of a header field")?;
        let value = value.trim();
        if OWN.contains(&name.as_str()) {
            return Err(format!("a request has its own field {name}"));
        }
        HeaderValue::from_str(value).map_err(|_| "the value has characters that no header can carry")?;
        Ok(Self { name, value: value.to_owned() })
    }
}

impl Display for Header {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value)
    }
}
