//! The options that say what a run says to a server, and what must hold between them.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use hyper::Uri;
use hyper::header::HeaderValue;

use super::{Again, CHANNEL, Header, Keep, Preset, Protocol, PushForm, Speech, TEXT_BYTES_MAX, presets};
use crate::plan::Spread;
use crate::transport::Transport;

/// The options of a protocol.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What is said to the server")]
pub struct ProtocolArgs {
    /// What clients connect with [default: socketio, or what the protocol uses]
    #[arg(long, value_enum)]
    transport: Option<Transport>,
    /// Load a server of others; the options below count over it
    #[arg(long, value_enum)]
    protocol: Option<Preset>,
    /// Print what is said to the server as options, and do nothing else
    #[arg(long)]
    pub show: bool,
    /// Where clients connect, if it is not the usual path; {channel} is replaced
    #[arg(long, value_name = "PATH", value_parser = path)]
    path: Option<String>,
    /// A further header field of clients; may be repeated. Other users of this machine can read it
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<Header>,
    /// What a client says, {channel} replaced: the first text at once, each further one after the next --await
    #[arg(long, value_name = "TEXT", value_parser = text, allow_hyphen_values = true)]
    say: Vec<String>,
    /// A client is ready once it heard a message with this text; may be repeated. An empty text is not waited for
    #[arg(long = "await", value_name = "TEXT", value_parser = text, allow_hyphen_values = true)]
    awaits: Vec<String>,
    /// A message with this text, before a client is ready, is a refusal; may be repeated
    #[arg(long, value_name = "TEXT", value_parser = needed, allow_hyphen_values = true)]
    refused: Vec<String>,
    /// A message that begins so is a sign of life, not an event
    #[arg(long, value_name = "TEXT", value_parser = needed, allow_hyphen_values = true)]
    ping: Option<String>,
    /// What a client answers to a sign of life
    #[arg(long, value_name = "TEXT", value_parser = needed, allow_hyphen_values = true)]
    pong: Option<String>,
    /// Each line of a frame is a message
    #[arg(long)]
    lines: bool,
    /// What a client keeps of a message, to come back with it: the value behind TEXT; may be repeated
    #[arg(long, value_name = "NAME=TEXT", allow_hyphen_values = true)]
    keep: Vec<Keep>,
    /// Where a client comes back; {NAME} is replaced by what it kept
    #[arg(long, value_name = "PATH", value_parser = path)]
    path_again: Option<String>,
    /// A further header field of a client that comes back; {NAME} is replaced
    #[arg(long, value_name = "NAME: VALUE")]
    header_again: Vec<Header>,
    /// What a client says that comes back, in place of --say; {NAME} is replaced
    #[arg(long, value_name = "TEXT", value_parser = text, allow_hyphen_values = true)]
    say_again: Vec<String>,
    /// Where the server takes pushes; {channel} is replaced [default: /push/]
    #[arg(long, value_name = "PATH", value_parser = path)]
    push_path: Option<String>,
    /// A further header field of pushes; {password} is replaced by TURTED_PUSH_PASSWORD; may be repeated
    #[arg(long, value_name = "NAME: VALUE")]
    push_header: Vec<Header>,
    /// The type of a push's body
    #[arg(long, value_name = "TYPE", value_parser = content_type)]
    push_type: Option<String>,
    /// The body of a push; {channel}, {payload} and {payload_string} (the payload as a JSON string) are replaced
    #[arg(long, value_name = "TEXT", value_parser = text, allow_hyphen_values = true)]
    push_body: Option<String>,
}

/// A path, which may name the channel.
fn path(text: &str) -> Result<String, String> {
    let uri = text.replace(CHANNEL, "channel").parse::<Uri>();
    let is_path = text.starts_with('/') && uri.is_ok_and(|uri| uri.host().is_none());
    is_path.then(|| text.to_owned()).ok_or_else(|| "expected a path such as /push/".into())
}

fn text(text: &str) -> Result<String, String> {
    let fits = text.len() <= TEXT_BYTES_MAX;
    fits.then(|| text.to_owned()).ok_or_else(|| format!("expected at most {TEXT_BYTES_MAX} bytes"))
}

fn needed(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("expected a text that is not empty".into()) } else { self::text(text) }
}

fn content_type(text: &str) -> Result<String, String> {
    HeaderValue::from_str(text).map_err(|_| "the type has characters that no header can carry")?;
    Ok(text.to_owned())
}

impl ProtocolArgs {
    /// What the options amount to.
    ///
    /// # Errors
    /// They do not fit each other; the text names the options.
    pub fn protocol(&self, spread: Spread) -> Result<Protocol, String> {
        let base = match self.protocol {
            Some(preset) => preset.protocol(self.transport_of(preset)?),
            None => presets::turted(self.transport.unwrap_or(Transport::SocketIo), spread),
        };
        let protocol = self.over(base);
        self.check_transport(&protocol)?;
        check_speech(&protocol.speech)?;
        match spread {
            Spread::Broadcast => check_no_channel("--broadcast", &protocol)?,
            Spread::Users(_) => check_no_channel("--users", &protocol)?,
            Spread::Channels(_) => {}
        }
        Ok(protocol)
    }

    fn transport_of(&self, preset: Preset) -> Result<Transport, String> {
        let transports = preset.transports();
        let transport = self.transport.unwrap_or(transports[0]);
        if transports.contains(&transport) {
            return Ok(transport);
        }
        let names: Vec<_> = transports.iter().map(name).collect();
        Err(format!(
            "--transport {}: --protocol {} has {}",
            name(&transport),
            name(&preset),
            names.join(", ")
        ))
    }

    /// A protocol with the options in place of its own. Repeated options replace all of their kind.
    fn over(&self, base: Protocol) -> Protocol {
        let or = |own: &Vec<String>, base: &Vec<String>| if own.is_empty() { base } else { own }.clone();
        let fields = |own: &Vec<Header>, base: &Vec<Header>| if own.is_empty() { base } else { own }.clone();
        // Replaced together, with --keep: each of these may need what is kept for another.
        let again = Again {
            path: self.path_again.clone(),
            headers: self.header_again.clone(),
            says: self.say_again.clone(),
        };
        let speech = Speech {
            headers: fields(&self.header, &base.speech.headers),
            says: or(&self.say, &base.speech.says),
            awaits: or(&self.awaits, &base.speech.awaits),
            refusals: or(&self.refused, &base.speech.refusals),
            ping: self.ping.clone().or_else(|| base.speech.ping.clone()),
            pong: self.pong.clone().or_else(|| base.speech.pong.clone()),
            lines: self.lines || base.speech.lines,
            keeps: if again == Again::default() && self.keep.is_empty() {
                base.speech.keeps.clone()
            } else {
                self.keep.clone()
            },
            again: if again == Again::default() { base.speech.again.clone() } else { again },
        };
        Protocol {
            transport: base.transport,
            path: self.path.clone().unwrap_or(base.path),
            speech: Arc::new(speech),
            push: PushForm {
                path: self.push_path.clone().unwrap_or(base.push.path),
                headers: fields(&self.push_header, &base.push.headers),
                content_type: self.push_type.clone().unwrap_or(base.push.content_type),
                body: self.push_body.clone().unwrap_or(base.push.body),
            },
        }
    }

    /// Messages are said and heard on transports that have no protocol of their own.
    fn check_transport(&self, protocol: &Protocol) -> Result<(), String> {
        let is_said = |option: &str| Err(format!("{option}: only with --transport plain"));
        match protocol.transport {
            Transport::Plain => Ok(()),
            Transport::Sse if !self.say.is_empty() => is_said("--say"),
            Transport::Sse if self.pong.is_some() => is_said("--pong"),
            Transport::Sse if self.lines => is_said("--lines"),
            Transport::Sse if !self.say_again.is_empty() => is_said("--say-again"),
            Transport::Sse => Ok(()),
            _ if protocol.speech != Arc::default() => {
                Err("--header, --say, --await, --refused, --ping, --pong, --lines, --keep, --path-again, --header-again, \
                     --say-again: only with --transport plain or sse"
                    .into())
            }
            _ => Ok(()),
        }
    }
}

fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn check_speech(speech: &Speech) -> Result<(), String> {
    let awaits = speech.awaits.len();
    for (option, says) in [("--say", speech.says.len()), ("--say-again", speech.again.says.len())] {
        if says > awaits + 1 {
            return Err(format!(
                "{option}: {says} texts and {awaits} of --await; each text but the first is said after an --await"
            ));
        }
    }
    let again = &speech.again;
    let texts = again.path.iter().chain(&again.says).chain(again.headers.iter().map(|field| &field.value));
    let texts: Vec<_> = texts.collect();
    if let Some(unused) =
        speech.keeps.iter().find(|keep| !texts.iter().any(|text| text.contains(&keep.placeholder())))
    {
        return Err(format!("--keep: nothing that is said again has a {}", unused.placeholder()));
    }
    if speech.pong.is_some() && speech.ping.is_none() {
        return Err("--pong: it answers what --ping describes, which is missing".into());
    }
    Ok(())
}

/// A run without channels has no name to put in.
fn check_no_channel(spread: &str, protocol: &Protocol) -> Result<(), String> {
    let speech = &protocol.speech;
    let says = speech.says.iter().map(|text| ("--say", text));
    let again = speech.again.says.iter().map(|text| ("--say-again", text));
    let again = again.chain(speech.again.path.iter().map(|text| ("--path-again", text)));
    let rest = [
        ("--path", &protocol.path),
        ("--push-path", &protocol.push.path),
        ("--push-body", &protocol.push.body),
    ];
    match says.chain(again).chain(rest).find(|(_, text)| text.contains(CHANNEL)) {
        Some((option, _)) => Err(format!("{spread}: there is no channel for the {CHANNEL} in {option}")),
        None => Ok(()),
    }
}
