//! `turted watch`: the live view of a running server, one record a line.

use std::cell::Cell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use tokio::time::{interval, sleep, timeout};

use super::args::Variables;
use super::exchange::{self, Kept, Lined, Listening};
use super::operator::{EXIT_REFUSED, EXIT_UNREACHED, Operator, OperatorArgs, encoded};
use super::output::{EXIT_USAGE, Printed, complain, is_closed, print_on};
use super::records::{ShownRecord, Style};
use super::shown::{plain, plain_lines};
use crate::config::parse_duration;

/// Silence after which a server is taken for dead: it sends something every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// How often it looks whether anybody reads its output.
const LOOK: Duration = Duration::from_secs(1);
/// The first and the longest wait for a server that is gone.
const WAIT_MIN: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Arguments of `turted watch`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    operator: OperatorArgs,
    /// What concerns this user: its connections, and pushes that name it or reach it
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// What concerns this channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Pushes of this event, or of all whose names begin so: 'MESSAGE:*'
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// What comes from this address
    #[arg(long, value_name = "IP")]
    address: Option<String>,
    /// Records of these types: push, push-refused, connected, identified, ident-refused, joined, join-refused, left, closed, action
    #[arg(long = "type", value_name = "TYPE,..")]
    kinds: Option<String>,
    /// What happens on all nodes of the cluster; takes --user, --channel or --address
    #[arg(long)]
    all_nodes: bool,
    /// Show payloads, up to 4 KiB of each; the server must have an admin_token
    #[arg(long)]
    payload: bool,
    /// Print the records as they come, one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) end: EndArgs,
}

/// When a command that listens ends.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct EndArgs {
    /// End after so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// End after this time, such as 30s; with code 1 if --count was not reached
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
}

const EXAMPLES: &str = "\
Examples:
  turted watch
  turted watch --user adam
  turted watch --channel chat --event 'MESSAGE:*' --payload
  turted watch --user adam --all-nodes
  turted watch --type push-refused,ident-refused --json
  turted watch --user adam --event MESSAGE:NEW --count 1 --timeout 30s

Exit codes: 0 done or the pipe was closed, 1 refused or the time was over before --count, 2 wrong usage, 3 no server reached.";

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a time, such as 30s or 5m".to_owned())
}

/// How listening ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All that was asked for has come, or nobody reads any more.
    Done,
    /// The time is over.
    Late,
    /// For this reason, with this exit code.
    Failed(String, u8),
}

/// Whether a server is listened to at the moment, which counts when the time is over.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach(Rc<Cell<bool>>);

impl Reach {
    pub(super) fn set(&self, is_reached: bool) {
        self.0.set(is_reached);
    }
}

impl EndArgs {
    /// Runs what listens, within its time.
    pub(super) fn run<L: Future<Output = Ended>>(self, listen: impl FnOnce(Reach) -> L) -> ExitCode {
        let reach = Reach::default();
        let listening = listen(reach.clone());
        let late = || match reach.0.get() {
            true => Ended::Late,
            false => Ended::Failed("the time was over before the server answered".to_owned(), EXIT_UNREACHED),
        };
        let ended = exchange::run(async {
            match self.timeout {
                None => listening.await,
                Some(time) => timeout(time, listening).await.unwrap_or_else(|_| late()),
            }
        });
        let no_runtime = |error| Ended::Failed(format!("cannot start the runtime: {error}"), EXIT_REFUSED);
        match (ended.unwrap_or_else(no_runtime), self.count) {
            (Ended::Done, _) | (Ended::Late, None) => ExitCode::SUCCESS,
            (Ended::Late, Some(_)) => {
                complain("the time was over before --count was reached");
                ExitCode::from(EXIT_REFUSED)
            }
            (Ended::Failed(reason, code), _) => {
                complain(plain_lines(&reason));
                ExitCode::from(code)
            }
        }
    }
}

/// Waits between two tries, longer each time.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(WAIT_MIN)
    }
}

impl Pause {
    pub(super) async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(WAIT_MAX);
    }
}

impl WatchArgs {
    /// What is wrong with them together.
    fn fault(&self) -> Option<&'static str> {
        let is_narrow = self.user.is_some() || self.channel.is_some() || self.address.is_some();
        (self.all_nodes && !is_narrow).then_some("--all-nodes takes --user, --channel or --address beside it")
    }
}

pub(super) fn run(args: WatchArgs, variables: &Variables) -> ExitCode {
    if let Some(fault) = args.fault() {
        complain(fault);
        return ExitCode::from(EXIT_USAGE);
    }
    let (target, style, end) = (target(&args), Style::of(args.json), args.end);
    let operator = Operator::new(args.operator, variables);
    match operator.and_then(|operator| operator.request(&target).map(|_| operator)) {
        Ok(operator) => end
            .run(|reach| Watching { operator, target, style, left: end.count, is_known: false, reach }.all()),
        Err(message) => {
            complain(message);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn target(args: &WatchArgs) -> String {
    let payload = args.payload.then(|| "1".to_owned());
    let nodes = args.all_nodes.then(|| "all".to_owned());
    let parameters = [
        ("user", &args.user),
        ("channel", &args.channel),
        ("event", &args.event),
        ("address", &args.address),
        ("type", &args.kinds),
        ("payload", &payload),
        ("nodes", &nodes),
    ];
    let given =
        parameters.iter().filter_map(|(key, value)| Some(format!("{key}={}", encoded(value.as_ref()?))));
    format!("/api/v1/events?{}", given.collect::<Vec<_>>().join("&"))
}

struct Watching {
    operator: Operator,
    target: String,
    style: Style,
    /// How many records are still to come, if it ends then.
    left: Option<u64>,
    /// Whether the server has answered before.
    is_known: bool,
    reach: Reach,
}

/// Why one connection is over.
enum Over {
    /// It is to be tried again.
    Gone(String),
    Ended(Ended),
}

impl Watching {
    async fn all(mut self) -> Ended {
        let mut pause = Pause::default();
        loop {
            match self.once(&mut pause).await {
                Over::Ended(ended) => return ended,
                Over::Gone(reason) if !self.is_known => {
                    let reason = format!("no answer from {}: {reason}", self.operator.url);
                    return Ended::Failed(reason, EXIT_UNREACHED);
                }
                Over::Gone(reason) => complain(format_args!("{}; trying again", plain(&reason))),
            }
            self.reach.set(false);
            pause.wait().await;
        }
    }

    /// Watches over one connection.
    async fn once(&mut self, pause: &mut Pause) -> Over {
        let request = match self.operator.request(&self.target) {
            Ok(request) => request,
            Err(message) => return Over::Ended(Ended::Failed(message, EXIT_USAGE)),
        };
        let opened =
            async { Kept::open(&self.operator.url, self.operator.tls.as_ref()).await?.listen(request).await };
        let mut listening = match opened.await {
            Ok(Listening::Open(listening)) => listening,
            // A server that starts or stops may be right again.
            Ok(Listening::Refused(answer)) if self.is_known && answer.status.is_server_error() => {
                return Over::Gone(self.operator.refusal(&answer));
            }
            Ok(Listening::Refused(answer)) => {
                return Over::Ended(Ended::Failed(self.operator.refusal(&answer), EXIT_REFUSED));
            }
            Err(failure) => return Over::Gone(failure.to_string()),
        };
        let mut looks = interval(LOOK);
        loop {
            let line = timeout(SILENCE_MAX, listening.line());
            tokio::pin!(line);
            let line = loop {
                tokio::select! {
                    line = &mut line => break line,
                    _ = looks.tick() => if is_closed() {
                        return Over::Ended(Ended::Done);
                    },
                }
            };
            match line {
                Ok(Ok(Some(Lined::Whole(line)))) => {
                    if let Some(ended) = self.show(&line, pause) {
                        return Over::Ended(ended);
                    }
                }
                Ok(Ok(Some(Lined::TooLong))) => {}
                Ok(Ok(None)) => return Over::Gone("the server has ended the stream".to_owned()),
                Ok(Err(failure)) => return Over::Gone(format!("the stream broke: {failure}")),
                Err(_) => return Over::Gone("nothing came for 45 s".to_owned()),
            }
        }
    }

    /// Shows what a line of the stream brings. Returns how it ends, if it does.
    fn show(&mut self, line: &str, pause: &mut Pause) -> Option<Ended> {
        let record = ShownRecord::read(line.strip_prefix("data:")?.trim_start())?;
        if record.kind() == "watching" {
            (self.is_known, *pause) = (true, Pause::default());
            self.reach.set(true);
        }
        match print_on(&record.line(self.style)) {
            Printed::Whole => {}
            Printed::Closed => return Some(Ended::Done),
            Printed::Failed(error) => {
                return Some(Ended::Failed(
                    format!("cannot write to standard output: {error}"),
                    EXIT_REFUSED,
                ));
            }
        }
        if record.counts()
            && let Some(left) = &mut self.left
        {
            *left -= 1;
            return (*left == 0).then_some(Ended::Done);
        }
        None
    }
}
