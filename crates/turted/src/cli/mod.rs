//! The command line: what each command takes, and which module runs it.
//!
//! | file | what |
//! |---|---|
//! | `serve`, `push`, `bench`, `check`, `hook`, `watch`, `subscribe`, `who`, `trace`, `token`, `openapi`, `man` | the commands, one file each |
//! | `lines`, `sample` | what `push --lines` does, and what `check --sample` prints |
//! | `conformance` | the hidden command that serves what the official suites of the protocols expect |
//! | `args`, `output`, `exchange` | flags that several commands take; how commands print; how they ask a server |
//! | `operator`, `ask`, `records`, `shown` | the admin listener of a running server, and questions to it; records of the live view; what is safe on a terminal |
//! | `banner`, `logging`, `systemd` | what operators see at the start; the log; what systemd is told |
//! | `tests` | the command line as a whole |

mod serve;
mod push;
mod bench;
mod check;
mod hook;
mod watch;
mod subscribe;
mod who;
mod trace;
mod lines;
mod sample;
mod token;
mod openapi;
mod man;
mod conformance;
mod args;
mod output;
mod exchange;
mod operator;
mod ask;
mod records;
mod shown;
pub mod banner;
pub mod logging;
mod systemd;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use args::StartArgs;
use output::{EXIT_USAGE, print};

#[derive(Debug, Parser)]
#[command(name = "turted", version, about, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: StartArgs,
}

const EXAMPLES: &str = "\
Examples:
  turted                                     serve on 127.0.0.1:7117
  TURTED_PUSH_PASSWORD=s3cret turted         the same, pushes need the password
  turted --config /etc/turted/turted.toml    serve what the file says
  turted push --channel chat MESSAGE:NEW '{\"text\":\"hello\"}'
  turted check                               show the effective configuration

Configuration: defaults < turted.toml < TURTED_* variables < flags; see docs/configuration.md.
Without a command, turted serves.";

const SERVE_EXAMPLES: &str = "\
Examples:
  turted serve                               serve on 127.0.0.1:7117, or what turted.toml says
  turted serve --config /etc/turted/turted.toml --log-level info
  TURTED_ADMIN_LISTEN= turted serve          without metrics and API
  turted serve --new-epoch                   once, after the directory of the log was restored from a copy";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  turted completions bash > /etc/bash_completion.d/turted
  turted completions zsh > /usr/local/share/zsh/site-functions/_turted";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server; the default command
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(StartArgs),
    /// Push an event to a running server
    Push(push::PushArgs),
    /// Load a running server with clients and measure it
    Bench(Box<bench::BenchArgs>),
    /// Validate the configuration and print the effective one, secrets masked
    Check(Box<check::CheckArgs>),
    /// Send a test record to the backend of a hook, and print its answer
    Hook(hook::HookArgs),
    /// Show what happens on a running server, as it happens
    Watch(Box<watch::WatchArgs>),
    /// Receive events as a client, and print them or run a command for each
    Subscribe(Box<subscribe::SubscribeArgs>),
    /// List users and channels of a running server, or show one of them or a connection
    Who(who::WhoArgs),
    /// Show what became of an event, as far as a running server knows it now
    Trace(trace::TraceArgs),
    /// Print the token of a user, for auth.method = "token" or "jwt"
    Token(token::TokenArgs),
    /// Print the OpenAPI document of pushes and of the admin API
    Openapi(openapi::OpenapiArgs),
    /// Print the completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or the one of a command
    #[command(after_help = man::EXAMPLES)]
    Man {
        /// The command, such as push
        command: Option<String>,
    },
}

/// Runs the command that `arguments` name; `variables` is the environment.
///
/// Exit codes: 0 done, 1 failed or refused, 2 wrong usage or configuration, 3 no server reached.
pub fn run<A, V>(arguments: A, variables: V) -> ExitCode
where
    A: IntoIterator<Item = OsString>,
    V: IntoIterator<Item = (OsString, OsString)>,
{
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|command| command == conformance::COMMAND) {
        return match conformance::Conformance::try_parse_from(&arguments[1..]) {
            Ok(conformance) => conformance::run(&conformance),
            Err(message) => show_message(&message),
        };
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(message) => return show_message(&message),
    };
    let variables = variables.into_iter().collect();
    match cli.command.unwrap_or(Command::Serve(cli.start)) {
        Command::Serve(args) => {
            let start = args.log_start();
            serve::run(args.serve.sources(variables), start)
        }
        Command::Push(args) => push::run(args, &variables),
        Command::Bench(args) => bench::run(&args, &variables),
        Command::Check(args) => check::run(*args, variables),
        Command::Hook(args) => hook::run(args, variables),
        Command::Watch(args) => watch::run(*args, &variables),
        Command::Subscribe(args) => subscribe::run(*args, &variables),
        Command::Who(args) => who::run(args, &variables),
        Command::Trace(args) => trace::run(args, &variables),
        Command::Token(args) => token::run(args, variables),
        Command::Openapi(args) => openapi::run(args, variables),
        Command::Completions { shell } => completions(shell),
        Command::Man { command } => man::run(Cli::command(), command.as_deref()),
    }
}

/// Help and version go to standard output, wrong usage to standard error.
fn show_message(message: &clap::Error) -> ExitCode {
    // If this cannot be printed, there is no other place to say so.
    let _closed = message.print();
    if message.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
}

fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "turted", &mut script);
    print(&script)
}

#[cfg(test)]
mod tests;
