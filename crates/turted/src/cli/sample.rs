//! `turted check --sample`: what the messages of a file would become if a source delivered them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, stdin};
use std::path::Path;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use turted_core::dispatch::Dispatch;
use turted_core::push::template::Place;

use super::output::{EXIT_USAGE, complain, print};
use crate::config::secrets::Secrets;
use crate::config::{Config, PushSource};
use crate::io::lines::{Line, Lines};
use crate::push::intake::{Labels, Message, Reading, Refusal};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Arguments of `turted check --sample`.
#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    /// Print what each line of FILE, - for standard input, would become as a message of this source; with format =
    /// "socketio-emitter" all of FILE is one message
    #[arg(long, num_args = 2, value_names = ["NAME", "FILE"])]
    sample: Option<Vec<String>>,
    /// What each message has beside its body: channel, key, file or header.NAME; may be repeated
    #[arg(long, value_name = "KEY=VALUE", requires = "sample")]
    set: Vec<String>,
}

/// A sample that is wanted.
pub(super) struct Sample<'a> {
    name: &'a str,
    file: &'a str,
    set: &'a [String],
}

impl SampleArgs {
    pub(super) fn wanted(&self) -> Option<Sample<'_>> {
        let [name, file] = &**self.sample.as_ref()? else { return None };
        Some(Sample { name, file, set: &self.set })
    }
}

pub(super) fn run(config: &Config, sample: &Sample<'_>) -> ExitCode {
    let prepared = find(config, sample).and_then(|source| Ok((source, labels(source, sample)?)));
    let (source, labels) = match prepared {
        Ok(prepared) => prepared,
        Err(message) => {
            complain(message);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let reading = Reading::new(source, config, &Secrets::new(config).push);
    let mut printing = Printing { reading, labels, number: 0, is_refused: false };
    let most = source.kind.line_bytes().unwrap_or(config.limits.push_body_bytes);
    let read = match sample.file {
        "-" => printing.all(stdin().lock(), most),
        path => File::open(path).and_then(|file| printing.all(file, most)),
    };
    match read {
        Err(error) => {
            complain(format_args!("cannot read {}: {error}", sample.file));
            ExitCode::from(EXIT_USAGE)
        }
        Ok(()) if printing.is_refused => ExitCode::FAILURE,
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn find<'a>(config: &'a Config, sample: &Sample<'_>) -> Result<&'a PushSource, String> {
    let found = config.sources.iter().find(|source| source.name == sample.name);
    found.ok_or_else(|| {
        let names: Vec<_> = config.sources.iter().map(|source| source.name.as_str()).collect();
        format!("--sample: there is no source {:?}; the configuration has: {}", sample.name, names.join(", "))
    })
}

fn labels(source: &PushSource, sample: &Sample<'_>) -> Result<Labels, String> {
    let mut labels = Labels::default();
    if source.kind.places().contains(&Place::File) && sample.file != "-" {
        labels.file = Path::new(sample.file).file_name().unwrap_or_default().to_string_lossy().into();
    }
    for set in sample.set {
        let (key, value) = set.split_once('=').ok_or_else(|| format!("--set {set}: expected KEY=VALUE"))?;
        match (key, key.strip_prefix("header.")) {
            ("channel", _) => labels.channel = value.into(),
            ("key", _) => labels.key = value.into(),
            ("file", _) => labels.file = value.into(),
            (_, Some(header)) => labels.headers.push((header.to_owned(), value.to_owned())),
            _ => return Err(format!("--set {set}: a message has channel, key, file and header.NAME")),
        }
    }
    Ok(labels)
}

/// A dispatch in the form of a push.
#[derive(Serialize)]
struct Push<'a> {
    event: &'a str,
    targets: Targets<'a>,
    payload: &'a RawValue,
}

#[derive(Serialize)]
struct Targets<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    users: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broadcast: Option<bool>,
}

impl<'a> Push<'a> {
    fn of(dispatch: &'a Dispatch) -> Self {
        let Dispatch { event, payload, targets } = dispatch;
        Self {
            event: event.as_str(),
            payload,
            targets: Targets {
                users: targets.users.iter().map(|name| name.as_str()).collect(),
                channels: targets.channels.iter().map(|name| name.as_str()).collect(),
                broadcast: targets.broadcast.then_some(true),
            },
        }
    }
}

/// Messages on their way to standard output.
struct Printing {
    reading: Reading,
    labels: Labels,
    number: usize,
    is_refused: bool,
}

impl Printing {
    /// Prints what each message becomes.
    fn all(&mut self, from: impl Read, most: usize) -> io::Result<()> {
        if self.reading.is_binary() { self.whole(from, most) } else { self.lines(from, most) }
    }

    /// All of it is one message.
    fn whole(&mut self, from: impl Read, most: usize) -> io::Result<()> {
        let mut body = Vec::new();
        // One byte more, for which a message is refused that is too long.
        from.take(most as u64 + 1).read_to_end(&mut body)?;
        self.one(Line::Whole(body.into()));
        Ok(())
    }

    /// Each line is a message. The last one needs no end.
    fn lines(&mut self, mut from: impl Read, most: usize) -> io::Result<()> {
        let (mut lines, mut chunk) = (Lines::new(most), vec![0; CHUNK_BYTES]);
        loop {
            let read = from.read(&mut chunk)?;
            let mut rest = &chunk[..read];
            while !rest.is_empty() {
                let (line, taken) = lines.take(rest);
                rest = &rest[taken..];
                line.into_iter().for_each(|line| self.one(line));
            }
            if read == 0 {
                lines.end().into_iter().for_each(|line| self.one(line));
                return Ok(());
            }
        }
    }

    fn one(&mut self, line: Line) {
        self.number += 1;
        let body = match line {
            Line::Whole(line) => Ok(line),
            Line::TooLong => Err(Refusal::line_too_long()),
        };
        let text = self.describe(body);
        // A reader that has seen enough is no failure.
        let _ = print(text.as_bytes());
    }

    fn describe(&mut self, body: Result<Bytes, Refusal>) -> String {
        let labels = self.labels.clone();
        let message = Message { tag: (), body, id: None, is_redelivered: false, labels };
        let (number, mut text) = (self.number, String::new());
        match self.reading.read(&message) {
            Err(Refusal { rule, detail }) => {
                self.is_refused = true;
                let _infallible = writeln!(text, "{number}: refused, {rule}: {detail}");
            }
            Ok(read) => match read.dispatches {
                None => {
                    let _infallible = writeln!(text, "{number}: skipped, `match` does not match it");
                }
                Some(dispatches) => {
                    for dispatch in &dispatches {
                        let push = serde_json::to_string(&Push::of(dispatch));
                        let push = push.expect("names and payloads can be written as JSON");
                        let _infallible = writeln!(text, "{number}: {push}");
                    }
                }
            },
        }
        text
    }
}
