//! Authenticators, and that their secrets stay secret.

use super::*;

#[test]
fn every_authenticator_is_built_from_its_keys() {
    let place = Place::new(
        "[auth]\nmethod = \"password\"\npassword = \"a\"\n[push]\nmethod = \"password\"\npassword_file = \"p\"",
    );
    place.write("p", "b\n");
    let config = place.load(&[], &[]).unwrap().config;
    assert_eq!(config.auth.method, ClientAuth::Password(Secret::from("a")));
    assert_eq!(config.push.password, Some(Secret::from("b")));

    let token = Place::new("[auth]\nmethod = \"token\"\nhash = \"md5\"\nprefix = \"x\"")
        .load(&[], &[])
        .unwrap()
        .config;
    let (prefix, suffix) = (Secret::from("x"), Secret::from(String::new()));
    assert_eq!(token.auth.method, ClientAuth::Token(TokenRule { hash: Hash::Md5, prefix, suffix }));
}

#[test]
fn a_secret_alone_chooses_its_method() {
    let config = Place::new("").load(&[("TURTED_PUSH_PASSWORD", "b")], &[]).unwrap().config;
    assert_eq!(config.push.password, Some(Secret::from("b")));
    let config = Place::new("").load(&[("TURTED_AUTH_SUFFIX", "b")], &[]).unwrap().config;
    assert!(matches!(config.auth.method, ClientAuth::Token(_)));
}

#[test]
fn the_secret_of_the_stronger_source_wins() {
    let place = Place::new("[push]\npassword = \"file\"");
    place.write("p", "variable");
    let path = place.0.path().join("p");
    let config = place.load(&[("TURTED_PUSH_PASSWORD_FILE", path.to_str().unwrap())], &[]).unwrap().config;
    assert_eq!(config.push.password, Some(Secret::from("variable")));
    check(
        "[push]\npassword = \"a\"\npassword_file = \"b\"",
        &[],
        "turted.toml:3:17: `push.password` and `push.password_file` are both set; keep one of the two",
    );
}

#[test]
fn incomplete_and_idle_credentials_are_refused() {
    check(
        "[auth]\nmethod = \"password\"",
        &[],
        "turted.toml:2:10: `auth.method` = \"password\" needs `auth.password` or `auth.password_file`",
    );
    check(
        "[push]\nmethod = \"password\"",
        &[],
        "turted.toml:2:10: `push.method` = \"password\" needs `push.password` or `push.password_file`",
    );
    check(
        "[auth]\nmethod = \"token\"",
        &[],
        "turted.toml:2:10: `auth.method` = \"token\" needs `auth.prefix` or `auth.prefix_file` or `auth.suffix` or `auth.suffix_file`",
    );
    check(
        "[push]\nmethod = \"none\"\npassword = \"a\"",
        &[],
        "turted.toml:3:12: `push.password` has no effect with `push.method` = \"none\"",
    );
    check(
        "[auth]\npassword = \"a\"\nprefix = \"b\"",
        &[],
        "turted.toml:3:10: `auth.prefix` has no effect with `auth.method` = \"password\"",
    );
    check(
        "[auth]\nhash = \"md5\"",
        &[],
        "turted.toml:2:8: `auth.method` = \"token\" needs `auth.prefix` or `auth.prefix_file` or `auth.suffix` or `auth.suffix_file`",
    );
    check("[push]\npassword = \"\"", &[], "turted.toml:2:12: `push.password`: the secret is empty");
    check("", &[("TURTED_AUTH_PASSWORD", "")], "TURTED_AUTH_PASSWORD: `auth.password`: the secret is empty");
    check(
        "[push]\npassword_file = \"p\"",
        &[],
        "turted.toml:2:17: `push.password_file`: cannot read p: No such file or directory (os error 2)",
    );
}

#[test]
fn a_secret_file_is_neither_empty_nor_large() {
    let place = Place::new("[push]\npassword_file = \"p\"");
    for (content, reason) in
        [("\n".to_owned(), "the secret is empty"), ("x".repeat(8193), "at most 8192 bytes")]
    {
        place.write("p", &content);
        let error = place.load(&[], &[]).map(|_| ()).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn secrets_that_others_can_read_are_a_warning() {
    let place = Place::new("[push]\npassword_file = \"p\"\n[auth]\npassword = \"x\"");
    place.write("p", "secret");
    assert_eq!(place.load(&[], &[]).unwrap().warnings, Vec::<String>::new());
    set_mode(&place.0.path().join("p"), 0o640);
    set_mode(&place.0.path().join("turted.toml"), 0o604);
    let warnings = place.load(&[], &[]).unwrap().warnings;
    let warnings: Vec<String> = warnings.iter().map(|warning| place.strip(warning)).collect();
    assert_eq!(
        warnings,
        [
            "p holds a secret and is open to other users (mode 0640): chmod 600 p",
            "turted.toml holds a secret and is open to other users (mode 0604): chmod 600 turted.toml",
        ]
    );
}

#[test]
fn no_secret_reaches_debug_output_or_the_effective_configuration() {
    let place = Place::new("[auth]\nmethod = \"token\"\nprefix = \"canary\"\nsuffix_file = \"s\"");
    place.write("s", "canary");
    let secrets = [("TURTED_PUSH_PASSWORD", "canary"), ("TURTED_ADMIN_TOKEN", "canary")];
    let loaded = place.load(&secrets, &[]).unwrap();
    let text = format!("{loaded:?}\n{:?}\n{}", loaded.config, loaded.effective());
    assert!(!text.contains("canary"), "{text}");
    assert!(
        text.contains("password = \"***\"                         # from TURTED_PUSH_PASSWORD"),
        "{text}"
    );
}

#[test]
fn no_secret_reaches_an_error() {
    let broken = [
        "listen = 1\n[push]\npassword = \"canary\"",
        "[push]\npassword = [\"canary\"]",
        "[push]\npassword = canary",
        "[push]\npassword = \"canary\" x",
        "[push]\npassword = \"canary\\q\"",
        "[push]\npassword = 'canary",
        "[push]\nmethod = \"none\"\npassword = \"canary\"",
        "[push]\npasswort = \"canary\"",
    ];
    for toml in broken {
        let error = Place::new(toml).load(&[("TURTED_CANARY", "canary")], &[]).map(|_| ()).unwrap_err();
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn a_newline_at_the_end_is_no_part_of_a_secret() {
    for end in ["\n", "\r\n"] {
        let variables =
            [("TURTED_PUSH_PASSWORD", format!("b{end}")), ("TURTED_AUTH_PREFIX", format!("c{end}"))];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        let config = Place::new("").load(&variables, &[]).unwrap().config;
        assert_eq!(config.push.password, Some(Secret::from("b")));
        let ClientAuth::Token(rule) = config.auth.method else { panic!("token") };
        assert_eq!(rule.prefix, Secret::from("c"));
    }
    check("", &[("TURTED_ADMIN_TOKEN", "\n")], "TURTED_ADMIN_TOKEN: `admin_token`: the secret is empty");
    let config = Place::new("[push]\npassword = \"\"\"a\nb\n\"\"\"").load(&[], &[]).unwrap().config;
    assert_eq!(config.push.password, Some(Secret::from("a\nb")));
}

#[test]
fn a_method_is_shown_with_the_secret_it_follows_from() {
    let place = Place::new("[auth]\nalgorithm = \"HS256\"\nkey = \"0123456789abcdef0123456789abcdef\"");
    let shown = place.load(&[("TURTED_PUSH_PASSWORD", "a")], &[]).unwrap().effective();
    let lines: Vec<String> =
        shown.lines().filter(|line| line.starts_with("method = ")).map(|line| place.strip(line)).collect();
    assert_eq!(
        lines,
        [
            "method = \"jwt\"                           # from turted.toml:2:13",
            "method = \"password\"                      # from TURTED_PUSH_PASSWORD",
        ]
    );
    let shown = Place::new("").load(&[], &[]).unwrap().effective();
    assert!(shown.contains("method = \"accept\"\n"), "{shown}");
    assert!(shown.contains("method = \"none\"\n"), "{shown}");
}

/// The credentials of systemd come like this: they belong to root, and the service alone may read them.
#[test]
fn a_file_that_somebody_else_gave_to_a_group_is_no_warning() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new("[push]\npassword_file = \"p\"");
    place.write("p", "secret");
    let path = place.0.path().join("p");
    std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
    for (mode, warnings) in [(0o440, 0), (0o444, 1)] {
        set_mode(&path, mode);
        assert_eq!(place.load(&[], &[]).unwrap().warnings.len(), warnings, "{mode:o}");
    }
}
