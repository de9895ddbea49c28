//! All problems are told at once, but none that only follows from another one.

use super::*;

#[test]
fn no_problem_hides_another() {
    check(
        "wrokers = 1\nallow_origins = [\"https://a.de/\"]\nassets_dir = \"gone\"\n[push]\nmethod = \"password\"\n[auth]\npassword_file = \"gone\"",
        &[("TURTED_CHEESE", "1"), ("TURTED_LIMITS_TARGETS", "0")],
        "turted.toml:1:1: unknown key `wrokers`; did you mean `workers`?\n\
         turted.toml:2:17: `allow_origins`: expected a list of origins, such as [\"https://example.com\"], or [\"*\"] for any, \
         found [\"https://a.de/\"]: \"https://a.de/\" has a slash at its end, an origin has none: \"https://a.de\"\n\
         turted.toml:3:14: `assets_dir`: gone is not a directory\n\
         turted.toml:5:10: `push.method` = \"password\" needs `push.password` or `push.password_file`\n\
         turted.toml:7:17: `auth.password_file`: cannot read gone: No such file or directory (os error 2)\n\
         TURTED_CHEESE: unknown variable\n\
         TURTED_LIMITS_TARGETS: `limits.targets`: expected a whole number, 1 or more, found \"0\"",
    );
}

/// Each has one mistake, though other keys depend on what it should have said.
#[test]
fn what_follows_from_a_problem_is_not_told_as_well() {
    for toml in [
        "listen = \"0.0.0.0:1\"\n[auth]\nmethod = \"pasword\"\npassword = \"a\"\n[push]\npassword = \"b\"",
        "listen = \"0.0.0.0:1\"\n[auth]\npassword_file = \"gone\"\n[push]\npassword = \"b\"",
        "listen = \"0.0.0.0:1\"\n[auth]\npassword = 1\n[push]\npassword = \"b\"",
        "listen = \"0.0.0.0:1\"\n[auth]\npassword = \"a\"\n[push]\npassword = \"\"",
        "listen = \"0.0.0.0:1\"\ninsecure = \"yes\"",
        "admin_listen = \"0.0.0.0:1\"\nadmin_token_file = \"gone\"",
        "admin_listen = \"0.0.0.0:1\"\nadmin_token = 1",
        "tls_cert = 1\ntls_key = \"key.pem\"",
        "tls_cert = \"cert.pem\"\ntls_key = 1",
        "trusted_proxies = [\"here\"]\nproxy_protocol = true",
        "[auth]\nalgorithm = \"none\"\nkey = \"a\"",
        "[auth]\nmethod = \"password\"\npassword = 1",
        "[auth]\nhash = \"none\"\nprefix = \"a\"",
        "[auth]\nurl = \"ftp://a/\"\n[[channels]]\nname = \"a\"\njoin = \"claim\"",
        "[push]\nmethod = \"pasword\"\npassword = \"a\"",
        "[socketio]\nping_timeout = \"1ms\"\n[auth]\nurl = \"http://a/\"\ntimeout = 1",
        "[limits]\nmessage_bytes = \"2MiB\"\n[socketio]\nmax_payload = \"3MB\"",
        "workers = 257",
    ] {
        let error = Place::new(toml).load(&[], &[]).map(|_| ()).unwrap_err();
        assert_eq!(error.lines().count(), 1, "{toml}\n{error}");
    }
}

#[test]
fn a_file_that_cannot_be_read_hides_no_variable_and_is_said_to_lack_nothing() {
    check(
        "[push",
        &[("TURTED_LISTEN", "here"), ("TURTED_AUTH_METHOD", "password")],
        "turted.toml:1:6: not valid TOML: unclosed table, expected `]`\n\
         TURTED_LISTEN: `listen`: expected an address and a port, such as \"127.0.0.1:7117\" or \"[::1]:7117\", found \"here\"",
    );
}

#[test]
fn the_admin_listener_is_not_where_clients_connect() {
    for (listen, admin) in [
        ("127.0.0.1:7117", "127.0.0.1:7117"),
        ("localhost:7117", "0.0.0.0:7117"),
        ("[::]:7117", "127.0.0.1:7117"),
    ] {
        let place = Place::new(&format!("listen = \"{listen}\"\nadmin_listen = \"{admin}\""));
        let error = place.load(&[("TURTED_INSECURE", "true")], &[]).map(|_| ()).unwrap_err();
        let (listen, start) = (listen.replace("localhost", "127.0.0.1"), "turted.toml:2:16: `admin_listen`");
        assert_eq!(
            error,
            format!("{start} = \"{admin}\" is where `listen` = \"{listen}\" is; choose another port")
        );
    }
    for (listen, admin) in [("127.0.0.1:0", "127.0.0.1:0"), ("127.0.0.1:7118", "127.0.0.1:7117")] {
        let place = Place::new(&format!("listen = \"{listen}\"\nadmin_listen = \"{admin}\""));
        assert!(place.load(&[], &[]).is_ok(), "{listen} {admin}");
    }
    // The operator did not set the default address: it gives way.
    assert!(Place::new("listen = \"127.0.0.1:7118\"").load(&[], &[]).is_ok());
}
