//! A reader of event streams, written from the standard (HTML, "Parsing an event stream" and "Interpreting an
//! event stream").

/// One event as a page sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The name that listeners listen for.
    pub(crate) name: String,
    /// The data.
    pub(crate) data: String,
    /// `lastEventId`.
    pub(crate) id: String,
}

/// What an `EventSource` reads from a stream.
#[derive(Debug, Default)]
pub(crate) struct EventStream {
    /// The events that it dispatched.
    pub(crate) events: Vec<Event>,
    /// What it would send as `Last-Event-ID` now.
    pub(crate) last_id: String,
    /// Milliseconds it would wait before it reconnects.
    pub(crate) retry: Option<u64>,
    id: String,
    name: String,
    data: String,
}

impl EventStream {
    /// Reads a whole stream.
    pub(crate) fn read(stream: &str) -> Self {
        let mut source = Self::default();
        let mut rest = stream.strip_prefix('\u{feff}').unwrap_or(stream);
        while let Some(at) = rest.find(['\r', '\n']) {
            source.line(&rest[..at]);
            let end = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
            rest = &rest[at + end..];
        }
        // A last line without an end, and an event without an empty line, are dropped.
        source
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            return self.dispatch();
        }
        match line.split_once(':') {
            Some(("", _comment)) => {}
            Some((field, value)) => self.field(field, value.strip_prefix(' ').unwrap_or(value)),
            None => self.field(line, ""),
        }
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "event" => self.name = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = value.to_owned(),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => self.retry = value.parse().ok(),
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        self.last_id.clone_from(&self.id);
        let (name, mut data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        if data.is_empty() {
            return;
        }
        data.pop();
        let name = if name.is_empty() { "message".to_owned() } else { name };
        self.events.push(Event { name, data, id: self.id.clone() });
    }
}
