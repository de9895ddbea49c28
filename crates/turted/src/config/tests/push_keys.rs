//! `[[push.keys]]` and `push.url`: what they need, what they refuse, and that no password is shown.

use super::*;

/// Two entries: lines 1 to 4, and from line 5 on.
fn second(rest: &str) -> String {
    format!("[[push.keys]]\nname = \"a\"\npassword = \"canary\"\nevents = [\"E\"]\n[[push.keys]]\n{rest}")
}

#[test]
fn a_key_has_a_name_a_password_and_what_it_lets_through() {
    let place = Place::new(
        "[push]\npassword = \"tiger\"\n[[push.keys]]\nname = \"all\"\npassword_file = \"p\"\n\
         [[push.keys]]\nname = \"shop\"\npassword = \"lion\"\nevents = [\"ORDER:*\", \"PING\"]\n\
         channels = [\"shop.*\"]\nbroadcast = true\n\
         [[push.keys]]\nname = \"users\"\npassword = \"bear\"\nchannels = []\nusers = true",
    );
    place.write("p", "file\n");
    let push = place.load(&[], &[]).unwrap().config.push;
    assert!(!push.is_open());
    let patterns = |list: &[&str]| {
        Some(list.iter().map(|text| ChannelPattern::parse(text).unwrap()).collect::<Vec<_>>())
    };
    let key = |name: &str, password: &str, scope: Scope| PushKey {
        name: name.to_owned(),
        password: Secret::from(password),
        scope,
    };
    let shop = Scope {
        events: patterns(&["ORDER:*", "PING"]),
        channels: patterns(&["shop.*"]),
        users: false,
        broadcast: true,
    };
    let users = Scope { channels: patterns(&[]), broadcast: false, ..Scope::ALL };
    assert_eq!(
        push.keys,
        [key("all", "file", Scope::ALL), key("shop", "lion", shop), key("users", "bear", users)]
    );
    let alone =
        Place::new("[[push.keys]]\nname = \"a\"\npassword = \"b\"\nusers = false").load(&[], &[]).unwrap();
    assert_eq!(alone.config.push.keys[0].scope, Scope { users: false, ..Scope::ALL });
    let shown = alone.effective();
    assert!(shown.contains("method = \"password\""), "a key means the method: {shown}");
}

#[test]
fn what_is_wrong_with_a_key_is_told_where_it_stands() {
    for (rest, message) in [
        ("password = \"b\"", "5:1: a key of `push.keys` needs `name`"),
        ("name = \"b\"", "5:1: a key of `push.keys` needs `password_file` or `password`"),
        (
            "name = \"b c\"\npassword = \"b\"",
            "6:8: `push.keys.name`: expected at most 63 letters, digits, \"-\" and \"_\", found \"b c\"",
        ),
        (
            "name = \"a\"\npassword = \"b\"",
            "6:8: `push.keys.name`: there is another key \"a\"; choose another name",
        ),
        (
            "name = \"b\"\npassword = \"canary\"",
            "7:12: `push.keys.password`: the key \"a\" has the same password, so nothing tells them apart",
        ),
        ("name = \"b\"\npassword = \"\"", "7:12: `push.keys.password`: the secret is empty"),
        (
            "name = \"b\"\npassword = \"b\"\npassword_file = \"p\"",
            "8:17: `push.keys.password` and `push.keys.password_file` are both set; keep one of the two",
        ),
        (
            "name = \"b\"\npassword_file = \"none\"",
            "7:17: `push.keys.password_file`: cannot read none: No such file or directory (os error 2)",
        ),
    ] {
        check(&second(rest), &[], &format!("turted.toml:{message}"));
    }
}

#[test]
fn what_cannot_be_pushed_or_is_no_key_is_told_where_it_stands() {
    for (rest, message) in [
        (
            "name = \"b\"\npassword = \"b\"\nevents = [\"OR*DER\"]",
            "8:10: `push.keys.events`: a star stands at the end alone, for any rest of a name; found \"OR*DER\"",
        ),
        (
            "name = \"b\"\npassword = \"b\"\nchannels = [\"c\", \"**\"]",
            "8:12: `push.keys.channels`: a star stands at the end alone, for any rest of a name; found \"**\"",
        ),
        (
            "name = \"b\"\npassword = \"b\"\nchannels = [\"\"]",
            "8:12: `push.keys.channels`: \"\": a name must not be empty",
        ),
        (
            "name = \"b\"\npassword = \"b\"\nevents = []",
            "8:10: `push.keys.events` is empty: with this key nothing can be pushed",
        ),
        (
            "name = \"b\"\npassword = \"b\"\nchannels = []",
            "8:12: `push.keys.channels` is empty: with this key nothing can be pushed",
        ),
        (
            "name = \"b\"\npassword = \"b\"\nevent = [\"E\"]",
            "8:1: unknown key `push.keys.event`; did you mean `events`?",
        ),
        (
            "name = \"b\"\npassword = \"b\"\nevents = \"E\"",
            "8:10: `push.keys.events`: expected a list of strings, found \"E\"",
        ),
        ("name = \"b\"\npassword = [\"canary\"]", "7:12: `push.keys.password`: expected a string"),
        (
            "name = \"b\"\npassword = \"b\"\nusers = \"no\"",
            "8:9: `push.keys.users`: expected true or false, found \"no\"",
        ),
    ] {
        check(&second(rest), &[], &format!("turted.toml:{message}"));
    }
    check(
        "[push]\nkeys = \"canary\"",
        &[],
        "turted.toml:2:8: `push.keys` is a list: write [[push.keys]] and `name` and `password_file` of one key below",
    );
    check("[[push.key]]", &[], "turted.toml:1:8: unknown key `push.key`; did you mean `push.keys`?");
    check(
        &second("name = \"b\"\npassword = \"p\""),
        &[("TURTED_PUSH_PASSWORD", "p")],
        "turted.toml:7:12: `push.keys.password`: `push.password` has the same password, so nothing tells them apart",
    );
}

#[test]
fn there_are_at_most_64_keys_and_64_names_in_a_list() {
    let entries = |count: usize| {
        let entry = |number| format!("[[push.keys]]\nname = \"k{number}\"\npassword = \"p{number}\"\n");
        (0..count).map(entry).collect::<String>()
    };
    assert_eq!(Place::new(&entries(64)).load(&[], &[]).unwrap().config.push.keys.len(), 64);
    check(&entries(65), &[], "turted.toml:193:1: a server has at most 64 `push.keys`");
    let listed = |count: usize| {
        let names: Vec<_> = (0..count).map(|number| format!("\"c{number}\"")).collect();
        second(&format!("name = \"b\"\npassword = \"b\"\nchannels = [{}]", names.join(", ")))
    };
    assert!(Place::new(&listed(64)).load(&[], &[]).is_ok());
    check(&listed(65), &[], "turted.toml:8:12: `push.keys.channels`: expected at most 64 names");
}

#[test]
fn passwords_of_keys_are_neither_shown_nor_left_open() {
    let place = Place::new(&second("name = \"b\"\npassword_file = \"p\"\nchannels = [\"c*\"]"));
    place.write("p", "canary2");
    set_mode(&place.0.path().join("p"), 0o640);
    set_mode(&place.0.path().join("turted.toml"), 0o604);
    let loaded = place.load(&[], &[]).unwrap();
    let shown = place.strip(&loaded.effective());
    let text = format!("{loaded:?}\n{:?}\n{shown}", loaded.config);
    assert!(!text.contains("canary"), "{text}");
    let expected = "[[push.keys]]                            # from turted.toml:1:1\n\
                    name = \"a\"\npassword = \"***\"\nevents = [\"E\"]\n\n\
                    [[push.keys]]                            # from turted.toml:5:1\n\
                    name = \"b\"\npassword_file = \"p\"\nchannels = [\"c*\"]\n";
    assert!(shown.contains(expected), "{shown}");
    let warnings: Vec<String> = loaded.warnings.iter().map(|warning| place.strip(warning)).collect();
    assert_eq!(
        warnings,
        [
            "turted.toml holds a secret and is open to other users (mode 0604): chmod 600 turted.toml",
            "p holds a secret and is open to other users (mode 0640): chmod 600 p",
        ]
    );
}

#[test]
fn what_is_shown_is_the_same_configuration() {
    let place = Place::new(&second("name = \"b\"\npassword_file = \"p\"\nchannels = []\nusers = true"));
    place.write("p", "pass");
    let first = place.load(&[], &[]).unwrap();
    let again = Place::new(&first.effective().replace("***", "canary")).load(&[], &[]).unwrap();
    assert_eq!(again.config.push, first.config.push);
}

#[test]
fn each_method_has_its_keys_and_no_others() {
    for (toml, message) in [
        ("[push]\nmethod = \"http\"", "2:10: `push.method` = \"http\" needs `push.url`"),
        (
            "[push]\nurl = \"http://a/\"\nmethod = \"password\"\npassword = \"a\"",
            "2:7: `push.url` has no effect with `push.method` = \"password\"",
        ),
        (
            "[push]\nurl = \"http://a/\"\npassword = \"a\"\nmethod = \"http\"",
            "3:12: `push.password` has no effect with `push.method` = \"http\"",
        ),
        (
            "[push]\nmethod = \"none\"\n[[push.keys]]\nname = \"a\"\npassword = \"b\"",
            "3:1: [[push.keys]] has no effect with `push.method` = \"none\"",
        ),
        (
            "[push]\nurl = \"http://a/\"\nmethod = \"http\"\n[[push.keys]]\nname = \"a\"\npassword = \"b\"",
            "4:1: [[push.keys]] has no effect with `push.method` = \"http\"",
        ),
        (
            "[push]\nurl = \"http://a/\"\nca = \"ca.pem\"",
            "3:6: `push.ca` has no effect without TLS: `push.url` begins with https:// then",
        ),
        (
            "[push]\nurl = \"http://user:canary@a/\"",
            "2:7: `push.url`: expected a URL such as \"http://127.0.0.1:8080/auth\": http or https, without credentials",
        ),
    ] {
        check(toml, &[], &format!("turted.toml:{message}"));
    }
    for (key, what) in [("secret_file", "password_file"), ("secret", "password")] {
        let toml = format!("[[push.keys]]\nname = \"a\"\npassword = \"b\"\n{key} = \"canary\"");
        check(&toml, &[], &format!("turted.toml:4:1: unknown key `push.keys.{key}`; did you mean `{what}`?"));
    }
    let push = Place::new("").load(&[("TURTED_PUSH_URL", "https://a/may-push")], &[]).unwrap().config.push;
    assert_eq!(push.url, Some("https://a/may-push".parse().unwrap()));
    assert!(!push.is_open());
}

#[test]
fn http_to_another_machine_is_a_warning() {
    for (section, what) in [("push", "passwords for pushes"), ("auth", "tokens of users")] {
        let warnings = |url: &str| {
            let toml = format!("[{section}]\nmethod = \"http\"\nurl = \"{url}\"");
            Place::new(&toml).load(&[], &[]).unwrap().warnings
        };
        let warning = format!(
            "`{section}.url`: http to another machine shows {what} to the network between, which can also forge the \
             answers; use https"
        );
        for url in ["http://app.example/", "http://10.0.0.1/a", "http://localhost.example/"] {
            assert_eq!(warnings(url), [&*warning], "{url}");
        }
        for url in ["https://app.example/", "http://127.0.0.1:80/", "http://localhost/", "http://[::1]/"] {
            assert_eq!(warnings(url), [""; 0], "{url}");
        }
    }
}

#[test]
fn a_source_asks_for_the_passwords_of_keys_but_not_for_what_a_backend_judges() {
    let source = "[[sources]]\ntype = \"tail\"\nname = \"t\"\npaths = [\"/nowhere\"]\nrequire_auth = true\n\
                  state_dir = \"/nowhere\"\n";
    let key = "[[push.keys]]\nname = \"a\"\npassword = \"b\"\n";
    let wrong = "turted.toml:5:16: `sources.require_auth` needs `push.password_file` or [[push.keys]]: there is no \
                 password to ask for";
    let load = |toml: String| Place::new(&toml).load(&[], &[]).map(|_| ()).err();
    assert!(!load(format!("{source}{key}")).is_some_and(|error| error.contains("require_auth")));
    let told = load(format!("{source}[push]\nurl = \"http://a/\""));
    assert!(told.clone().is_some_and(|error| error.contains(wrong)), "{told:?}");
}
