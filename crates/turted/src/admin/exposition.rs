//! The text format of Prometheus, version 0.0.4.
//!
//! Written here because a client library would not help: its registry and its atomics are of no
//! use when the numbers are gathered from the workers for each request.

use std::fmt::{Display, Write as _};

/// The content type of a page, by which a scraper knows the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The kinds of metrics there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

impl MetricKind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A label and its value. Values come from the code and from indexes, never from clients, and
/// need no escapes.
pub(super) type Label<'a> = (&'a str, &'a str);

/// A page of metrics as it is being written.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Begins a metric.
    pub(super) fn metric<'a>(&'a mut self, name: &'a str, kind: MetricKind, help: &str) -> Metric<'a> {
        // Writing into a `String` cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {}", kind.word());
        Metric { text: &mut self.0, name }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A metric whose samples are being written.
#[derive(Debug)]
pub(super) struct Metric<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Metric<'_> {
    pub(super) fn sample(&mut self, labels: &[Label<'_>], value: impl Display) -> &mut Self {
        self.suffixed("", labels, value)
    }

    /// A sample whose name is that of the metric and a suffix: the parts of a histogram.
    pub(super) fn suffixed(&mut self, suffix: &str, labels: &[Label<'_>], value: impl Display) -> &mut Self {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (index, (label, content)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{open}{label}=\"{content}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_as_the_format_says() {
        let mut page = Exposition::default();
        page.metric("a_total", MetricKind::Counter, "How many.").sample(&[], 1);
        page.metric("b", MetricKind::Gauge, "Now.")
            .sample(&[("x", "1"), ("y", "z")], 0.5)
            .sample(&[("x", "2")], 2);
        assert_eq!(
            page.finish(),
            "# HELP a_total How many.\n# TYPE a_total counter\na_total 1\n\
             # HELP b Now.\n# TYPE b gauge\nb{x=\"1\",y=\"z\"} 0.5\nb{x=\"2\"} 2\n"
        );
    }
}
