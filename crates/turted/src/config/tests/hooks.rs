//! `[[hooks]]`: backends that hear what happens.

use turted_core::limits::HOOKS_MAX;

use super::*;
use crate::config::{ClientRecord, Hook};

const SECRET: &str = "0123456789abcdef-canary";
const HOOK: &str =
    "[[hooks]]\nname = \"app\"\nurl = \"https://app.example/turted\"\nsecret_file = \"hook.secret\"\n";

fn place(toml: &str, secret: &str) -> Place {
    let place = Place::new(toml);
    place.write("hook.secret", secret);
    place
}

fn hooks(place: &Place) -> Vec<Hook> {
    place.load(&[], &[]).unwrap().config.hooks
}

/// The problems of a hook with these further lines, which begin at line 5.
fn check_hook(lines: &str, message: &str) {
    let error =
        place(&format!("{HOOK}{lines}"), SECRET).load(&[], &[]).map(|loaded| loaded.config).unwrap_err();
    assert_eq!(error, message, "{lines}");
}

#[test]
fn a_hook_is_read_and_shown_again_without_its_secrets() {
    let lines = "dispatches = [\"order:*\", \"ping\"]\nclients = [\"left\", \"user-offline\"]\ngrace = \"2s\"\nnode = \"one\"\n";
    let place = place(&format!("{HOOK}{lines}"), &format!("{SECRET}\nanother-secret-of-it\n"));
    let loaded = place.load(&[], &[]).unwrap();
    let [hook] = &*loaded.config.hooks else { panic!("{:?}", loaded.config.hooks) };
    assert_eq!((&*hook.name, hook.grace, hook.node.as_deref()), ("app", Duration::from_secs(2), Some("one")));
    assert_eq!(hook.secrets, [Secret::from(SECRET), Secret::from("another-secret-of-it")]);
    assert_eq!(hook.clients, [ClientRecord::Left, ClientRecord::UserOffline]);
    assert_eq!(hook.dispatches.iter().map(ToString::to_string).collect::<Vec<_>>(), ["order:*", "ping"]);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let effective = loaded.effective();
    assert!(!effective.contains("canary"), "{effective}");
    assert!(!format!("{:?}", loaded.config).contains("canary"));
    place.write("turted.toml", &effective);
    assert_eq!(hooks(&place), loaded.config.hooks, "{effective}");
}

#[test]
fn a_hook_needs_a_name_a_url_a_secret_and_something_to_hear() {
    check(
        "[[hooks]]\n",
        &[],
        "turted.toml:1:1: a hook needs `name`\nturted.toml:1:1: a hook needs `url`\n\
         turted.toml:1:1: a hook needs `secret_file`\n\
         turted.toml:1:1: a hook needs `dispatches` or `clients`: it would hear nothing",
    );
    check(
        "[hooks]\nname = \"a\"",
        &[],
        "turted.toml:1:1: `hooks` is a list: write [[hooks]] and the keys of one hook below",
    );
    check("[hoks]", &[], "turted.toml:1:2: unknown section [hoks]; did you mean [[hooks]]?");
    check("[[hook]]", &[], "turted.toml:1:3: unknown section [[hook]]; did you mean [[hooks]]?");
    check("colours = [1]", &[], "turted.toml:1:1: unknown key `colours`");
}

#[test]
fn what_is_wrong_in_a_hook_is_told_with_its_place() {
    check_hook(
        "clients = [\"joind\"]",
        "turted.toml:5:11: `hooks.clients`: expected some of \"user-online\", \"user-offline\", \"joined\", \"left\", \"connected\", \"disconnected\", found \"joind\"; did you mean `joined`?",
    );
    for (pattern, found) in [("a*b", "a*b"), ("**", "**"), ("*a", "*a")] {
        let what = format!(
            "turted.toml:5:14: `hooks.dispatches`: a star stands at the end only, as in \"order:*\", found {found:?}"
        );
        check_hook(&format!("dispatches = [\"{pattern}\"]"), &what);
    }
    check_hook(
        "dispatches = [\"\"]",
        "turted.toml:5:14: `hooks.dispatches`: a name must not be empty, found \"\"",
    );
    check_hook(
        "dispatches = [\"a\"]\nsecret = \"canary\"",
        "turted.toml:6:1: unknown key `hooks.secret`; did you mean `secret_file`?",
    );
    check_hook(
        "dispatches = [\"a\"]\npassword_file = \"canary\"",
        "turted.toml:6:1: unknown key `hooks.password_file`; did you mean `secret_file`?",
    );
    check_hook(
        "dispatches = [\"a\"]\nca = \"none.pem\"\n",
        "turted.toml:6:6: `hooks.ca`: cannot read the certificates in none.pem: I/O error: No such file or directory (os error 2)",
    );
    let twice = format!("dispatches = [\"a\"]\n{HOOK}dispatches = [\"a\"]");
    check_hook(&twice, "turted.toml:7:8: there is a hook \"app\" at turted.toml:1:1; choose another name");
}

#[test]
fn http_to_another_machine_needs_insecure() {
    let with = |url: &str, more: &str| {
        let toml = format!("{}dispatches = [\"a\"]\n{more}", HOOK.replace("https://app.example/turted", url));
        place(&toml, SECRET).load(&[], &[]).map(|loaded| loaded.config.hooks.len())
    };
    for url in ["http://127.0.0.1:80/", "http://[::1]/", "http://localhost:81/x", "https://app.example/"] {
        assert_eq!(with(url, ""), Ok(1), "{url}");
    }
    assert_eq!(
        with("http://localhost/", "ca = \"any.pem\"\n").unwrap_err(),
        "turted.toml:6:6: `hooks.ca` has no effect without TLS: `hooks.url` begins with https:// then"
    );
    for url in ["http://app.example/", "http://10.0.0.1/", "http://localhost.example/"] {
        let refused = with(url, "").unwrap_err();
        assert!(refused.starts_with("turted.toml:3:7: `hooks.url`: http to another machine"), "{refused}");
        assert_eq!(with(url, "insecure = true"), Ok(1), "{url}");
    }
}

#[test]
fn a_short_secret_is_a_warning_and_an_empty_one_a_problem() {
    let toml = format!("{HOOK}dispatches = [\"a\"]\n");
    let place = place(&toml, "fifteen-bytes-x\n");
    let warnings = place.load(&[], &[]).unwrap().warnings;
    assert_eq!(
        place.strip(&warnings[0]),
        "`hooks.secret_file`: a secret in hook.secret has less than 16 bytes and can be guessed"
    );
    place.write("hook.secret", "sixteen-bytes-xy\r\n");
    let loaded = place.load(&[], &[]).unwrap();
    assert_eq!(
        (loaded.warnings.len(), &loaded.config.hooks[0].secrets[0]),
        (0, &Secret::from("sixteen-bytes-xy"))
    );
    for (secret, what) in [
        ("", "the secret is empty"),
        ("\n\n", "a line is empty"),
        ("sixteen-bytes-xy\n\nsixteen-bytes-xz", "a line is empty"),
        ("a\nb\nc\nd\ne", "a hook has at most 4 secrets, one per line"),
    ] {
        place.write("hook.secret", secret);
        let error = place.load(&[], &[]).map(|loaded| loaded.config.hooks.len()).unwrap_err();
        assert_eq!(error, format!("turted.toml:4:15: `hooks.secret_file`: {what}"), "{secret:?}");
    }
}

#[test]
fn a_backend_that_hears_of_beginnings_but_not_of_ends_is_a_warning() {
    let warnings = |clients: &str| {
        let place = place(&format!("{HOOK}clients = [{clients}]\n"), SECRET);
        place.load(&[], &[]).unwrap().warnings
    };
    let warning =
        |what: &str| format!("`hooks.clients` of \"app\" has {what}: the backend does not hear that it ends");
    assert_eq!(
        warnings(r#""user-online", "joined""#),
        [warning("`user-online` without `user-offline`"), warning("`joined` without `left`")]
    );
    assert_eq!(warnings(r#""user-online", "user-offline", "joined", "left""#), [""; 0]);
    assert_eq!(warnings(r#""user-offline", "left""#), [""; 0], "ends alone are of use");
}

#[test]
fn keys_of_a_hook_that_change_nothing_are_warnings() {
    let warnings = |url: &str, lines: &str| {
        let toml = format!("{}{lines}", HOOK.replace("https://app.example/turted", url));
        place(&toml, SECRET).load(&[], &[]).unwrap().warnings
    };
    let grace = "dispatches = [\"a\"]\ngrace = \"1s\"\n";
    assert_eq!(
        warnings("https://a/", grace),
        ["`hooks.grace` of \"app\" has no effect: it lists no `clients`"]
    );
    assert_eq!(warnings("https://a/", &format!("{grace}clients = [\"user-offline\"]\n")), [""; 0]);
    let insecure = "dispatches = [\"a\"]\ngrace = \"5s\"\ninsecure = true\n";
    for url in ["https://a/", "http://localhost/", "http://127.0.0.1/"] {
        assert_eq!(
            warnings(url, insecure),
            ["`hooks.insecure` of \"app\" has no effect: its `url` is https, or of this machine"]
        );
    }
    assert_eq!(warnings("http://a/", insecure), [""; 0]);
}

#[test]
fn a_server_has_at_most_so_many_hooks() {
    let list = |count: usize| -> String {
        let one = |number: usize| {
            format!("{}dispatches = [\"a\"]\n", HOOK.replace("app\"", &format!("app-{number}\"")))
        };
        (0..count).map(one).collect()
    };
    assert_eq!(hooks(&place(&list(HOOKS_MAX), SECRET)).len(), HOOKS_MAX);
    let error = place(&list(HOOKS_MAX + 1), SECRET).load(&[], &[]).map(|loaded| loaded.config).unwrap_err();
    assert_eq!(error, "turted.toml:81:1: a server has at most 16 hooks");
}

#[test]
fn a_hook_lists_at_most_so_many_events_and_a_node_has_a_name_of_bounded_length() {
    let load = |lines: &str| {
        let place = place(&format!("{HOOK}{lines}"), SECRET);
        place.load(&[], &[]).map(|loaded| loaded.config.hooks.len())
    };
    let list =
        |count: usize| (0..count).map(|number| format!("\"e{number}\"")).collect::<Vec<_>>().join(", ");
    assert_eq!(load(&format!("dispatches = [{}]", list(100))), Ok(1));
    let refused = load(&format!("dispatches = [{}]", list(101))).unwrap_err();
    assert_eq!(refused, "turted.toml:5:14: `hooks.dispatches`: a hook lists at most 100 events");
    let node = |bytes: usize| load(&format!("dispatches = [\"e\"]\nnode = \"{}\"", "n".repeat(bytes)));
    assert_eq!(node(255), Ok(1));
    assert_eq!(node(256).unwrap_err(), "turted.toml:6:8: `hooks.node`: at most 255 bytes");
}
