//! From frames to messages: a delivery, a header, and the parts of a body.

use bytes::Bytes;
use turted_core::wire::amqp::{ContentHeader, Delivery, Properties, Table};

use super::connection::violation;
use crate::push::intake::{Labels, Message, Refusal};
use crate::push::source::Failure;

/// Puts one message together at a time.
#[derive(Debug)]
pub(super) struct Assembly {
    /// Bytes of a body; of a longer one nothing is kept.
    body_bytes_max: usize,
    /// Whether templates look at the routing key and headers.
    has_map: bool,
    partial: Option<Partial>,
}

/// A message of which some frames have come.
#[derive(Debug)]
struct Partial {
    tag: u64,
    is_redelivered: bool,
    id: Option<String>,
    labels: Labels,
    /// The rule that it breaks, whatever its body is.
    refusal: Option<Refusal>,
    body: Vec<u8>,
    /// Bytes that are still to come; unknown before the header.
    left: Option<u64>,
}

impl Assembly {
    pub(super) fn new(body_bytes_max: usize, has_map: bool) -> Self {
        Self { body_bytes_max, has_map, partial: None }
    }

    /// A message begins.
    pub(super) fn begin(&mut self, delivery: Delivery<'_>) -> Result<(), Failure> {
        if self.partial.is_some() {
            return Err(out_of_order());
        }
        let (mut labels, mut refusal) = (Labels::default(), None);
        if self.has_map {
            match std::str::from_utf8(delivery.key) {
                Ok(key) => labels.key = key.into(),
                Err(_) => refusal = Some(not_text("the routing key")),
            }
        }
        let (tag, is_redelivered) = (delivery.tag, delivery.is_redelivered);
        self.partial =
            Some(Partial { tag, is_redelivered, id: None, labels, refusal, body: Vec::new(), left: None });
        Ok(())
    }

    /// Its header has come. Returns the message if it has no body.
    pub(super) fn header(&mut self, payload: &[u8]) -> Result<Option<Message<u64>>, Failure> {
        let header = ContentHeader::decode(payload).map_err(violation)?;
        let (has_map, most) = (self.has_map, self.body_bytes_max);
        let partial =
            self.partial.as_mut().filter(|partial| partial.left.is_none()).ok_or_else(out_of_order)?;
        partial.left = Some(header.body_bytes);
        match header.properties() {
            Ok(properties) => partial.take(&properties, has_map),
            Err(_) => partial.refuse(Refusal {
                rule: "properties-malformed",
                detail: "the properties of the message do not follow AMQP 0-9-1".to_owned(),
            }),
        }
        match usize::try_from(header.body_bytes).ok().filter(|bytes| *bytes <= most) {
            Some(bytes) => partial.body.reserve_exact(bytes),
            None => partial.refuse(Refusal {
                rule: "body-too-long",
                detail: format!(
                    "the message is {} bytes long, above {most} (limits.push_body_bytes)",
                    header.body_bytes
                ),
            }),
        }
        Ok(self.complete())
    }

    /// A part of its body has come. Returns the message if it was the last one.
    pub(super) fn body(&mut self, payload: &[u8]) -> Result<Option<Message<u64>>, Failure> {
        let partial = self.partial.as_mut().ok_or_else(out_of_order)?;
        let left = partial.left.and_then(|left| left.checked_sub(payload.len() as u64));
        partial.left = Some(left.ok_or_else(out_of_order)?);
        if partial.refusal.is_none() {
            partial.body.extend_from_slice(payload);
        }
        Ok(self.complete())
    }

    fn complete(&mut self) -> Option<Message<u64>> {
        let Partial { tag, is_redelivered, id, labels, refusal, body, .. } =
            self.partial.take_if(|partial| partial.left == Some(0))?;
        let body = refusal.map_or_else(|| Ok(Bytes::from(body)), Err);
        Some(Message { tag, body, id, is_redelivered, labels })
    }
}

impl Partial {
    fn take(&mut self, properties: &Properties<'_>, has_map: bool) {
        // Ids are bytes; each has one text.
        self.id = properties.message_id.map(|id| id.escape_ascii().to_string());
        if has_map {
            match headers(properties.headers) {
                Ok(headers) => self.labels.headers = headers,
                Err(refusal) => self.refuse(refusal),
            }
        }
    }

    /// The first rule that is broken counts.
    fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }
}

/// The headers that are text, or become one.
fn headers(mut table: Table<'_>) -> Result<Vec<(String, String)>, Refusal> {
    let mut headers = Vec::new();
    let malformed = |_| Refusal {
        rule: "properties-malformed",
        detail: "the headers of the message do not follow AMQP 0-9-1".to_owned(),
    };
    while let Some(field) = table.next_field().map_err(malformed)? {
        let Some(value) = field.value else { continue };
        let (Ok(name), Ok(value)) = (std::str::from_utf8(field.name), std::str::from_utf8(&value)) else {
            return Err(not_text("a header"));
        };
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok(headers)
}

fn not_text(what: &str) -> Refusal {
    Refusal { rule: "properties-not-text", detail: format!("{what} of the message is not UTF-8") }
}

fn out_of_order() -> Failure {
    Failure::new("what the broker sends cannot be read: frames out of order")
}
