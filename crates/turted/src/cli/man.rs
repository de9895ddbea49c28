//! `turted man`: the manual pages, made from what `--help` says.

use std::io;
use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::output::{EXIT_USAGE, complain, print};

pub(super) const EXAMPLES: &str = "\
Examples:
  turted man > /usr/local/share/man/man1/turted.1
  turted man push > /usr/local/share/man/man1/turted-push.1";

/// What the page of the program says beside what `--help` does: a heading, and its entries.
const SECTIONS: [(&str, &[(&str, &str)]); 4] = [
    (
        "FILES",
        &[
            ("turted.toml", "The configuration, in the working directory unless --config names another."),
            ("/etc/turted/turted.toml", "The configuration that the systemd unit names."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "TURTED_*",
                "Every key of the configuration: TURTED_LISTEN is listen, TURTED_PUSH_PASSWORD is password in [push]. \
                 They override the file, and flags override them.",
            ),
            (
                "LISTEN_FDS, LISTEN_PID",
                "One socket that listens already, as systemd passes it: it takes the place of listen.",
            ),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC",
                "Where and how often systemd is told that every worker answers.",
            ),
            ("TURTED_LOGLEVEL", "The same as TURTED_LOG_LEVEL, as it was for the node server."),
        ],
    ),
    (
        "SIGNALS",
        &[
            (
                "SIGTERM, SIGINT, SIGQUIT",
                "Go on for drain_delay with /ready at 503, deliver what was accepted, close connections over \
                 drain_timeout, and end.",
            ),
            ("the second of them", "End at once."),
            (
                "SIGHUP",
                "Read the certificate and its key, the keys of JSON Web Tokens, the passwords for pushes and the admin tokens again.",
            ),
            ("SIGUSR1, SIGUSR2, SIGALRM", "Ignored: the log goes to standard error, so no file is reopened."),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "Done."),
            ("1", "Failed, or turted push was refused."),
            ("2", "Wrong usage or configuration."),
            ("3", "turted push or turted bench reached no server."),
            ("130, 131, 143", "Ended by a second SIGINT, SIGQUIT or SIGTERM."),
        ],
    ),
];

/// Prints the page of `root`, or the one of its subcommand `name`.
pub(super) fn run(root: Command, name: Option<&str>) -> ExitCode {
    let mut root = root.disable_help_subcommand(true);
    root.build();
    let page = match name {
        None => page(&root, &SECTIONS),
        Some(name) => match root.find_subcommand(name) {
            Some(command) => page(command, &[]),
            None => {
                complain(format_args!("there is no command {name:?}; turted --help lists them"));
                return ExitCode::from(EXIT_USAGE);
            }
        },
    };
    match page {
        Ok(page) => print(&page),
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

fn page(command: &Command, sections: &[(&str, &[(&str, &str)])]) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    // Rendered below, as lines: clap_mangen would fill them into one paragraph.
    Man::new(command.clone().after_help(None::<&str>)).render(&mut page)?;
    let mut roff = Roff::new();
    add_examples(&mut roff, &examples);
    for (heading, entries) in sections {
        roff.control("SH", [*heading]);
        for (what, meaning) in *entries {
            roff.control("TP", []).text([bold(*what)]).text([roman(*meaning)]);
        }
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// The lines below each heading of `text`, such as `Examples:`, as they are.
fn add_examples(roff: &mut Roff, text: &str) {
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        let (heading, lines) = match block.split_once(":\n") {
            Some((heading, lines)) => (heading, lines),
            None => ("Notes", block),
        };
        roff.control("SH", [heading.to_uppercase().as_str()]).control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line.trim_start())]);
        }
        roff.control("fi", []);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn text_of(name: Option<&str>) -> String {
        let mut root = crate::cli::Cli::command().disable_help_subcommand(true);
        root.build();
        let command = name.map_or(&root, |name| root.find_subcommand(name).unwrap());
        let sections: &[_] = if name.is_none() { &SECTIONS } else { &[] };
        String::from_utf8(page(command, sections).unwrap()).unwrap()
    }

    #[test]
    fn every_command_has_a_page_with_its_options_and_examples() {
        let root = crate::cli::Cli::command();
        for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
            let page = text_of(Some(command.get_name()));
            assert!(page.contains(&format!(".TH turted-{} 1", command.get_name())), "{page}");
            assert!(page.contains(".SH EXAMPLES"), "{page}");
        }
        let push = text_of(Some("push"));
        assert!(push.contains(r"\-\-password\-file"), "{push}");
        assert!(push.contains(r"\-\-broadcast NEWS"), "{push}");
        assert!(push.contains("Exit codes: 0 accepted"), "{push}");
    }

    #[test]
    fn the_page_of_the_program_names_commands_files_signals_and_exit_codes() {
        let page = text_of(None);
        for part in [
            ".TH turted 1",
            r"turted\-push(1)",
            ".SH EXAMPLES",
            ".SH FILES",
            ".SH ENVIRONMENT",
            "LISTEN_FDS",
            ".SH SIGNALS",
            "SIGHUP",
            ".SH \"EXIT STATUS\"",
            "143",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }
}
