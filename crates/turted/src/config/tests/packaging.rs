//! What `packaging/` sets exists, and does what it says.

use super::*;

const SAMPLE: &str = include_str!("../../../../../packaging/turted.toml");
const UNIT: &str = include_str!("../../../../../packaging/turted.service");
const SYSTEMD: &str = include_str!("../../../../../docs/configuration-systemd.md");
const COMPOSE: &str = include_str!("../../../../../packaging/compose.yaml");
const KUBERNETES: &str = include_str!("../../../../../packaging/kubernetes.yaml");
const DOCKERFILE: &str = include_str!("../../../../../packaging/Dockerfile");

#[test]
fn the_sample_changes_nothing_as_it_is_and_holds_with_every_line_of_it() {
    let place = Place::new(SAMPLE);
    assert_eq!(place.load(&[], &[]).unwrap().config, Config::default());
    let uncommented: String = SAMPLE
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' '))
        .map(|line| format!("{}\n", line.replace("/etc/turted/", "")))
        // What only a machine with a certificate has.
        .filter(|line| !line.starts_with("tls_"))
        .collect();
    let place = Place::new(&uncommented);
    std::fs::create_dir(place.0.path().join("assets")).unwrap();
    place.write("admin-write.token", "d");
    place.write("push.password", "a");
    place.write("shop.password", "c");
    place.write("token.prefix", "b");
    place.write("hook.secret", "c");
    let config = place.load(&[], &[]).unwrap().config;
    assert_eq!(config.listen, "[::]:7117".parse().unwrap());
    assert!(matches!(config.auth.method, ClientAuth::Token(_)));
    assert!(config.admin.write_token.is_some());
    assert!(config.push.password.is_some());
    assert!(!config.channels.is_empty());
    assert_eq!(config.hooks.len(), 1);
}

#[test]
fn a_node_of_a_cluster_lets_other_machines_in_with_secrets_alone() {
    let sample = include_str!("../../../../../packaging/cluster.toml").replace("/etc/turted/", "");
    for toml in [sample.clone(), sample.replace("\n#", "\n").replace("\n ", "\n# ")] {
        let place = Place::new(&toml);
        for name in ["admin.token", "cluster.secret", "token.prefix", "push.password", "sentinel.password"] {
            place.write(name, "a secret that is long enough");
        }
        place.write("redis.url", "redis://turted:PASSWORD@10.0.0.3:6379/0");
        let config = place.load(&[], &[]).unwrap().config;
        let cluster = config.cluster.unwrap();
        assert_eq!((config.log, cluster.secrets.len(), config.insecure), (LogStore::Redis, 1, false));
        assert_eq!(cluster.sentinels.is_some(), toml != sample);
    }
}

#[test]
fn pods_of_a_cluster_tell_their_address_and_are_ready_once() {
    let page = include_str!("../../../../../docs/cluster.md");
    let sample = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    for name in variables(sample) {
        assert!(SETTINGS.iter().any(|setting| setting.variable() == name), "{name}");
    }
    let value = |name: &str| {
        let (_, rest) = sample.split_once(&format!("name: {name}, value: ")).unwrap();
        rest.split(" }").next().unwrap().trim_matches('"').replace("$(POD_IP)", "10.1.2.3")
    };
    let place = Place::new("");
    place.write("secret", "a secret that is long enough");
    let secret = place.0.path().join("secret").display().to_string();
    let (listen, advertise) = (value("TURTED_CLUSTER_LISTEN"), value("TURTED_CLUSTER_ADVERTISE"));
    let set = [
        ("TURTED_CLUSTER_URL", "redis://redis"),
        ("TURTED_CLUSTER_SECRET_FILE", &*secret),
        ("TURTED_CLUSTER_LISTEN", &*listen),
        ("TURTED_CLUSTER_ADVERTISE", &*advertise),
    ];
    let cluster = place.load(&set, &[]).unwrap().config.cluster.unwrap();
    assert_eq!(cluster.advertise.map(|address| address.to_string()).as_deref(), Some("10.1.2.3:7119"));
    let probe = |name: &str| sample.split_once(name).unwrap().1.lines().nth(1).unwrap().trim();
    assert_eq!(probe("startupProbe:"), "httpGet: { path: /ready, port: admin }");
    assert_eq!(probe("readinessProbe:"), "httpGet: { path: /health, port: admin }");
}

/// The variables of turted that a file names.
fn variables(text: &str) -> Vec<&str> {
    let is_part = |character: char| character.is_ascii_uppercase() || character == '_';
    let words = text.split(|character: char| !is_part(character));
    words.filter(|word| word.starts_with("TURTED_")).collect()
}

#[test]
fn unit_compose_file_and_dockerfile_name_variables_that_exist() {
    for text in [UNIT, SYSTEMD, COMPOSE, DOCKERFILE, KUBERNETES] {
        let named = variables(text);
        assert!(!named.is_empty());
        for name in named {
            assert!(SETTINGS.iter().any(|setting| setting.variable() == name), "{name}");
        }
    }
}

/// The number of seconds behind `name` in a sample.
fn seconds(text: &str, name: &str) -> u64 {
    let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("no {name}"));
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn proxies_close_idle_connections_before_we_do_and_none_that_we_promised_to_keep() {
    let idle = Config::default().limits.idle_wait.as_secs();
    let [nginx, haproxy, caddy] = [
        include_str!("../../../../../packaging/nginx.conf"),
        include_str!("../../../../../packaging/haproxy.cfg"),
        include_str!("../../../../../packaging/Caddyfile"),
    ];
    assert!(seconds(nginx, "\n    keepalive_timeout ") < idle);
    assert!(seconds(haproxy, "\n    timeout http-keep-alive ") > idle, "it passes on what we tell");
    let caddy: Vec<_> =
        caddy.match_indices("\tkeepalive ").map(|(at, _)| seconds(&caddy[at..], "keepalive ")).collect();
    assert_eq!(caddy.len(), 2, "{caddy:?}");
    assert!(caddy.iter().all(|seconds| *seconds < idle), "{caddy:?}");
}

#[test]
fn servers_are_killed_only_after_the_drain_and_what_follows_it() {
    // Sources may take 3 s, hooks 6 s.
    let drain = Config::default().drain_timeout.as_secs() + 3 + 6;
    assert!(seconds(UNIT, "\nTimeoutStopSec=") > drain);
    let delay = seconds(DOCKERFILE, "TURTED_DRAIN_DELAY=");
    assert_eq!(delay, seconds(KUBERNETES, "TURTED_DRAIN_DELAY, value: "));
    assert!(delay > 0);
    for grace in
        [seconds(COMPOSE, "stop_grace_period:"), seconds(KUBERNETES, "terminationGracePeriodSeconds:")]
    {
        assert!(grace > delay + drain, "{grace}");
    }
}

#[test]
fn kubernetes_asks_for_what_tells_whether_to_send_clients_and_whether_it_lives() {
    let probe = |name: &str| {
        let (_, rest) = KUBERNETES.split_once(name).unwrap();
        rest.lines().nth(1).unwrap().trim().to_owned()
    };
    assert_eq!(probe("readinessProbe:"), "httpGet: { path: /ready, port: admin }");
    assert_eq!(probe("livenessProbe:"), "httpGet: { path: /health, port: admin }");
    // A probe every 2 s is seen within drain_delay.
    assert!(seconds(KUBERNETES, "periodSeconds:") < seconds(KUBERNETES, "TURTED_DRAIN_DELAY, value: "));
}

#[test]
fn the_compose_file_starts_a_server_that_others_may_reach() {
    let place = Place::new("");
    let secrets = place.0.path().display().to_string();
    for name in ["push_password", "token_prefix", "admin_token"] {
        assert!(COMPOSE.contains(&format!("\n  {name}:\n    file: ")), "{name}");
        place.write(name, "a secret");
    }
    let lines = COMPOSE.lines().filter_map(|line| line.trim().split_once(": "));
    let set: Vec<(String, String)> = lines
        .filter(|(name, _)| name.starts_with("TURTED_"))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').replace("/run/secrets", &secrets)))
        .chain([("TURTED_LISTEN".to_owned(), "[::]:7117".to_owned())])
        .collect();
    assert!(DOCKERFILE.contains("TURTED_LISTEN=[::]:7117"));
    let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let config = place.load(&set, &[]).unwrap().config;
    assert!(!config.insecure);
    assert!(config.admin.token.is_some());
    assert!(config.push.password.is_some());
}
