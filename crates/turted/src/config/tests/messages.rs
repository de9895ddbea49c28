//! What an operator reads when a configuration is refused.

use super::*;

#[test]
fn unknown_names_are_told_with_their_place_and_the_nearest_name() {
    check("wrokers = 3", &[], "turted.toml:1:1: unknown key `wrokers`; did you mean `workers`?");
    check(
        "# a\n[socketio]\n  pth = 1",
        &[],
        "turted.toml:3:3: unknown key `socketio.pth`; did you mean `socketio.path`?",
    );
    check(
        "ping_interval = 1",
        &[],
        "turted.toml:1:1: unknown key `ping_interval`; did you mean `socketio.ping_interval`?",
    );
    check("[push]\nlisten = 1", &[], "turted.toml:2:1: unknown key `push.listen`; did you mean `listen`?");
    check("colour = 1", &[], "turted.toml:1:1: unknown key `colour`");
    check(
        "[socket-io]\na = 1",
        &[],
        "turted.toml:1:2: unknown section [socket-io]; did you mean [socketio]?",
    );
    check("push = 1", &[], "turted.toml:1:1: `push` is a section: write [push] and its keys below");
    check(
        "",
        &[("TURTED_PSUH_PATH", "")],
        "TURTED_PSUH_PATH: unknown variable; did you mean TURTED_PUSH_PATH?",
    );
    check("", &[("TURTED_CHEESE", "")], "TURTED_CHEESE: unknown variable");
}

#[test]
fn wrong_types_are_told_with_what_was_expected_and_found() {
    check(
        "[socketio]\nping_interval = 25",
        &[],
        "turted.toml:2:17: `socketio.ping_interval`: expected a duration from \"1ms\" to \"168h\", such as \"300ms\", \"25s\" or \"2m\", found 25",
    );
    check(
        "workers = \"two\"",
        &[],
        "turted.toml:1:11: `workers`: expected a whole number from 1 to 256, found \"two\"",
    );
    for count in [0, 257] {
        let what = format!("`workers`: expected a whole number from 1 to 256, found {count}");
        check(&format!("workers = {count}"), &[], &format!("turted.toml:1:11: {what}"));
    }
    assert_eq!(Place::new("workers = 256").load(&[], &[]).unwrap().config.workers, 256);
    check(
        "workers = 99999999999999999999",
        &[],
        "turted.toml:1:11: `workers`: expected a whole number from 1 to 256, found a value of type integer",
    );
    check(
        "admin_listen = \"here\"",
        &[],
        "turted.toml:1:16: `admin_listen`: expected an address and a port, such as \"127.0.0.1:7118\", or \"\" for none, found \"here\"",
    );
    check("insecure = \"yes\"", &[], "turted.toml:1:12: `insecure`: expected true or false, found \"yes\"");
    check(
        "log_level = \"loud\"",
        &[],
        "turted.toml:1:13: `log_level`: expected \"error\", \"warn\", \"info\", \"debug\" or \"trace\", found \"loud\"",
    );
    check(
        "[listen]\nport = 1",
        &[],
        "turted.toml:1:1: `listen`: expected an address and a port, such as \"127.0.0.1:7117\" or \"[::1]:7117\", found a value of type table",
    );
    check(
        "allow_origins = [\"https://a.de/\"]",
        &[],
        "turted.toml:1:17: `allow_origins`: expected a list of origins, such as [\"https://example.com\"], or [\"*\"] for any, found [\"https://a.de/\"]: \"https://a.de/\" has a slash at its end, an origin has none: \"https://a.de\"",
    );
    check(
        "[push]\npath = \"/a b\"",
        &[],
        "turted.toml:2:8: `push.path`: expected a path such as \"/push/\", of letters, digits, \"-\", \".\", \"_\" and \"~\", found \"/a b\"",
    );
    check(
        "",
        &[("TURTED_LIMITS_MESSAGE_RATE", "0")],
        "TURTED_LIMITS_MESSAGE_RATE: `limits.message_rate`: expected a whole number from 1 to 2147483647, found \"0\"",
    );
    check(
        "",
        &[("TURTED_LIMITS_MESSAGE_BYTES", "64kb")],
        "TURTED_LIMITS_MESSAGE_BYTES: `limits.message_bytes`: expected a number of bytes, 1 or more, such as 65536 or \"64KiB\", found \"64kb\"",
    );
}

#[test]
fn all_problems_are_told_in_the_order_of_the_sources() {
    let place = Place::new("b = 1\na = 1");
    let error = place.load(&[("TURTED_WORKERS", "x")], &[("listen", "here")]).map(|_| ()).unwrap_err();
    let places: Vec<&str> = error.lines().map(|line| line.split_once(": ").unwrap().0).collect();
    assert_eq!(places, ["turted.toml:1:1", "turted.toml:2:1", "TURTED_WORKERS", "--flag"]);
}

#[test]
fn a_file_that_is_no_toml_is_told_without_quoting_it() {
    check(
        "[push]\npassword = canary\"",
        &[],
        "turted.toml:2:12: not valid TOML: missing opening quote, expected `\"`",
    );
    check("workers = 1\nworkers = 2", &[], "turted.toml:2:1: not valid TOML: duplicate key");
}

#[test]
fn values_that_do_not_fit_together_are_refused() {
    check(
        "[limits]\nmessage_bytes = \"2MiB\"\noutbox_bytes = \"4MiB\"",
        &[],
        "turted.toml:2:17: `limits.message_bytes` = 2097152 is above `socketio.max_payload` = 1000000: a message must fit into a polling body",
    );
    check(
        "[limits]\nbacklog_bytes = \"8MiB\"",
        &[],
        "turted.toml:2:17: `limits.outbox_bytes` = 16777216 is above `limits.backlog_bytes` = 8388608: what waits for one connection is part of what waits for all",
    );
    check(
        "[push]\npath = \"/socket.io/push\"",
        &[],
        "turted.toml:2:8: `push.path` = \"/socket.io/push/\" and `socketio.path` = \"/socket.io/\" overlap",
    );
    check("assets_dir = \"gone\"", &[], "turted.toml:1:14: `assets_dir`: gone is not a directory");
    let place = Place::new("[limits]\noutbox_frames = 300\n[push]\npath = \"/socket.iox\"");
    assert!(place.load(&[], &[]).is_ok());
}

#[test]
fn other_machines_are_refused_without_credentials() {
    check(
        "listen = \"0.0.0.0:7117\"",
        &[],
        "turted.toml:1:10: `listen` = \"0.0.0.0:7117\" lets other machines in, and everyone may be any user (`auth.method` = \"accept\") and push (`push.method` = \"none\"); set `auth.method` to \"password\", \"token\", \"jwt\" or \"http\" and what it needs, and `push.password_file` or TURTED_PUSH_PASSWORD, or accept it with --insecure",
    );
    check(
        "",
        &[("TURTED_LISTEN", "[::]:1"), ("TURTED_PUSH_PASSWORD", "a")],
        "TURTED_LISTEN: `listen` = \"[::]:1\" lets other machines in, and everyone may be any user (`auth.method` = \"accept\"); set `auth.method` to \"password\", \"token\", \"jwt\" or \"http\" and what it needs, or accept it with --insecure",
    );
    check(
        "",
        &[("TURTED_LISTEN", "10.0.0.1:1"), ("TURTED_AUTH_PASSWORD", "a")],
        "TURTED_LISTEN: `listen` = \"10.0.0.1:1\" lets other machines in, and everyone may push (`push.method` = \"none\"); set `push.password_file` or TURTED_PUSH_PASSWORD, or accept it with --insecure",
    );
}

#[test]
fn other_machines_see_the_admin_listener_only_with_a_token() {
    check(
        "admin_listen = \"0.0.0.0:7118\"",
        &[],
        "turted.toml:1:16: `admin_listen` = \"0.0.0.0:7118\" lets other machines read metrics without a token; set `admin_token_file`, or accept it with --insecure",
    );
    check("admin_token = \"\"", &[], "turted.toml:1:15: `admin_token`: the secret is empty");
    let place = Place::new("admin_listen = \"0.0.0.0:7118\"");
    assert!(place.load(&[], &[("insecure", "true")]).is_ok());
    let config = place.load(&[("TURTED_ADMIN_TOKEN", "a")], &[]).unwrap().config;
    assert_eq!(config.admin.token, Some(Secret::from("a")));
    let config = place.load(&[("TURTED_ADMIN_WRITE_TOKEN", "b")], &[]).unwrap().config;
    assert_eq!((config.admin.token, config.admin.write_token), (None, Some(Secret::from("b"))));
    check(
        "admin_token = \"a\"\nadmin_write_token = \"a\"",
        &[],
        "turted.toml:2:21: `admin_write_token` is the same as `admin_token`, which only reads: choose another",
    );
    let config = place.load(&[("TURTED_ADMIN_LISTEN", "")], &[]).unwrap().config;
    assert_eq!(config.admin.listen, AdminListen::Off);
}
