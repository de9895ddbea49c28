//! Which source wins, and which is read.

use super::*;

#[test]
fn a_named_file_must_exist_and_the_usual_one_need_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("turted.toml");
    let sources = |file| Sources { file, variables: Vec::new(), flags: Vec::new() };
    assert_eq!(Config::load(&sources(ConfigFile::IfPresent(path.clone()))), Ok(Config::default()));
    let error = Config::load(&sources(ConfigFile::Named(path.clone()))).unwrap_err().to_string();
    assert_eq!(error, format!("cannot read {}: No such file or directory (os error 2)", path.display()));
}

#[test]
fn flags_override_variables_override_the_file_overrides_defaults() {
    let place = Place::new("workers = 3\n[socketio]\nping_interval = \"3s\"\nping_timeout = \"4s\"\n");
    let variables = [("TURTED_SOCKETIO_PING_INTERVAL", "5s"), ("TURTED_WORKERS", "4")];
    let config = place.load(&variables, &[("workers", "5")]).unwrap().config;
    assert_eq!(config.workers, 5);
    assert_eq!(config.socketio.ping_interval, Duration::from_secs(5));
    assert_eq!(config.socketio.ping_timeout, Duration::from_secs(4));
    assert_eq!(config.socketio.connect_timeout, Config::default().socketio.connect_timeout);
}

#[test]
fn the_old_variable_sets_the_log_level_but_not_beside_the_new_one() {
    let config =
        Place::new("log_level = \"error\"").load(&[("TURTED_LOGLEVEL", "trace")], &[]).unwrap().config;
    assert_eq!(config.log_level, LogLevel::Trace);
    check(
        "",
        &[("TURTED_LOGLEVEL", "info"), ("TURTED_LOG_LEVEL", "info")],
        "TURTED_LOG_LEVEL: `log_level` is already set by TURTED_LOGLEVEL; keep one of the two",
    );
}

#[test]
fn variables_of_others_are_left_alone() {
    let variables = [
        ("PATH", "x"),
        ("TURTED_BIN", "x"),
        ("TURTED_TEST_SLOW", "x"),
        ("TURTED_SERVICE_HOST", "10.0.0.1"),
        ("TURTED_SERVICE_PORT_HTTP", "7117"),
        ("TURTED_PORT", "tcp://10.0.0.1:7117"),
        ("TURTED_PORT_7117_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(Place::new("").load(&variables, &[]).unwrap().config, Config::default());
    check("", &[("TURTED_PORT", "80")], "TURTED_PORT: unknown variable");
}

#[test]
fn loopback_credentials_or_insecure_open_the_door() {
    for listen in ["127.0.0.2:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
        assert!(Place::new("").load(&[("TURTED_LISTEN", listen)], &[]).is_ok(), "{listen}");
    }
    let place = Place::new("listen = \"0.0.0.0:0\"");
    assert!(place.load(&[], &[("insecure", "true")]).is_ok());
    assert!(place.load(&[("TURTED_AUTH_PASSWORD", "a"), ("TURTED_PUSH_PASSWORD", "b")], &[]).is_ok());
}

#[test]
fn an_origin_is_taken_as_browsers_send_it() {
    let place = Place::new("allow_origins = [\"https://A.example:443\", \"http://b.example:8080\"]");
    let config = place.load(&[("TURTED_PUSH_ALLOW_ORIGINS", "HTTP://c.example:80")], &[]).unwrap().config;
    let listed = ["https://a.example", "http://b.example:8080"].map(str::to_owned);
    assert_eq!(config.allow_origins, AllowOrigins::Only(listed.into()));
    assert_eq!(config.push.allow_origins, AllowOrigins::Only(vec!["http://c.example".to_owned()]));
    for origin in ["https://a.example", "https://A.example:443", "http://b.example:8080"] {
        assert!(config.allow_origins.allows(origin), "{origin}");
    }
    for origin in ["https://a.example:80", "http://a.example", "http://b.example", "null", ""] {
        assert!(!config.allow_origins.allows(origin), "{origin}");
    }
}

#[test]
fn the_effective_configuration_reads_back_as_itself() {
    let place = Place::new(
        "admin_listen = \"[::1]:0\"\nallow_origins = [\"https://a.de\"]\nassets_dir = \".\"\n[limits]\nconnections = 7\noutbox_stall = \"1500ms\"",
    );
    let loaded = place.load(&[], &[]).unwrap();
    let again = Place::new(&loaded.effective()).load(&[], &[]).unwrap();
    assert_eq!(again.config, loaded.config);
}

#[test]
fn localhost_and_levels_in_any_case_are_taken() {
    let variables = [("TURTED_LISTEN", "localhost:7000"), ("TURTED_LOGLEVEL", "DEBUG")];
    let config = Place::new("admin_listen = \"localhost:7001\"").load(&variables, &[]).unwrap().config;
    assert_eq!((config.listen, config.log_level), (([127, 0, 0, 1], 7000).into(), LogLevel::Debug));
    assert_eq!(config.admin.listen, AdminListen::At(([127, 0, 0, 1], 7001).into()));
    let flag = Place::new("").load(&[], &[("log_level", "Warn")]).unwrap().config;
    assert_eq!(flag.log_level, LogLevel::Warn);
}

#[test]
fn pages_without_an_origin_may_be_let_in_but_never_push() {
    let place = Place::new("allow_origins = [\"null\", \"FILE://\", \"https://a.example\"]");
    let loaded = place.load(&[], &[]).unwrap();
    assert!(
        ["null", "file://", "https://a.example"]
            .iter()
            .all(|origin| loaded.config.allow_origins.allows(origin))
    );
    assert!(!loaded.config.allow_origins.allows("https://b.example"));
    let [warning] = &loaded.warnings[..] else { panic!("{:?}", loaded.warnings) };
    assert!(warning.contains("every page can send that from a sandboxed frame"), "{warning}");
    let again = Place::new(&loaded.effective()).load(&[], &[]).unwrap().config;
    assert_eq!(again.allow_origins, loaded.config.allow_origins);
    let apps = Place::new("allow_origins = [\"file://\"]").load(&[], &[]).unwrap();
    assert_eq!(apps.warnings, [""; 0], "only web views of apps send it");
    for name in ["null", "file://"] {
        let error = Place::new("").load(&[("TURTED_PUSH_ALLOW_ORIGINS", name)], &[]).map(|_| ()).unwrap_err();
        let reason = format!(
            "{name:?} is what every page can send from a sandboxed frame, so it would let all pages push"
        );
        assert!(error.ends_with(&reason), "{error}");
    }
}

#[test]
fn an_origin_that_is_none_is_named_with_what_is_wrong() {
    for (origin, fault) in [
        ("https://a.de/", "\"https://a.de/\" has a slash at its end, an origin has none: \"https://a.de\""),
        ("https://a.de/app", "\"https://a.de/app\" has a path, an origin has none: \"https://a.de\""),
        ("a.de", "\"a.de\" has no scheme: \"https://a.de\""),
        ("*", "\"*\" must be the only entry"),
        ("https://", "\"https://\" is no origin"),
        ("", "\"\" is no origin"),
    ] {
        let list = format!("https://fine.example,{origin}");
        let error = Place::new("").load(&[("TURTED_ALLOW_ORIGINS", &list)], &[]).map(|_| ()).unwrap_err();
        assert!(error.ends_with(&format!("found {list:?}: {fault}")), "{error}");
    }
}
