//! Questions to the admin API, one after the other, whose answers are printed.

use std::process::ExitCode;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde_json::Value;

use super::args::Variables;
use super::exchange::{self, Failure, Kept, ServerAnswer};
use super::operator::{EXIT_REFUSED, EXIT_UNREACHED, Operator, OperatorArgs};
use super::output::{EXIT_USAGE, Printed, complain, print_on};
use super::shown::plain_lines;

/// Why it ends before all is shown.
pub(super) enum Stop {
    /// Nobody reads any more.
    Closed,
    /// For this reason, with this exit code.
    Failed(String, u8),
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Failed(message, EXIT_USAGE)
    }
}

/// Asks a server.
pub(super) fn run(
    args: OperatorArgs,
    variables: &Variables,
    ask: impl AsyncFnOnce(&mut Asking) -> Result<(), Stop>,
) -> ExitCode {
    let shown = exchange::run(async {
        let operator = Operator::new(args, variables)?;
        ask(&mut Asking { operator, connection: None }).await
    });
    let no_runtime = |error| Err(Stop::Failed(format!("cannot start the runtime: {error}"), EXIT_REFUSED));
    match shown.unwrap_or_else(no_runtime) {
        Ok(()) | Err(Stop::Closed) => ExitCode::SUCCESS,
        Err(Stop::Failed(message, code)) => {
            complain(plain_lines(&message));
            ExitCode::from(code)
        }
    }
}

/// One who asks.
pub(super) struct Asking {
    operator: Operator,
    /// The connection of the answer before, if it goes on.
    connection: Option<Kept>,
}

impl Asking {
    /// What the server answers.
    pub(super) async fn get(&mut self, target: &str) -> Result<Value, Stop> {
        let answer = self.ask(target).await?;
        match serde_json::from_slice(&answer.body) {
            Ok(value) if answer.status == StatusCode::OK => Ok(value),
            _ => Err(Stop::Failed(self.operator.refusal(&answer), EXIT_REFUSED)),
        }
    }

    /// The same of something that may not be there.
    pub(super) async fn find(&mut self, target: &str) -> Result<Option<Value>, Stop> {
        let answer = self.ask(target).await?;
        match (answer.status, serde_json::from_slice::<Value>(&answer.body)) {
            (StatusCode::OK, Ok(value)) => Ok(Some(value)),
            // Another server would say so of anything, in other words.
            (StatusCode::NOT_FOUND, Ok(problem)) if problem["detail"].is_string() => Ok(None),
            _ => Err(Stop::Failed(self.operator.refusal(&answer), EXIT_REFUSED)),
        }
    }

    async fn ask(&mut self, target: &str) -> Result<ServerAnswer, Stop> {
        let request = self.operator.request(target)?;
        self.exchange(request).await.map_err(|failure| {
            Stop::Failed(format!("no answer from {}: {failure}", self.operator.url), EXIT_UNREACHED)
        })
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<ServerAnswer, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Kept::open(&self.operator.url, self.operator.tls.as_ref()).await?,
        };
        let answer = connection.ask(request).await?;
        if !answer.is_last {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

/// Prints a part of the answer.
pub(super) fn show(text: &str) -> Result<(), Stop> {
    match print_on(text) {
        Printed::Whole => Ok(()),
        Printed::Closed => Err(Stop::Closed),
        Printed::Failed(error) => {
            Err(Stop::Failed(format!("cannot write to standard output: {error}"), EXIT_REFUSED))
        }
    }
}
