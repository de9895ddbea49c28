//! `[cluster]`: what its keys mean together.

use super::*;

const SECRET: &str = "0123456789abcdef";

fn load(toml: &str, variables: &[(&str, &str)]) -> Config {
    let place = Place::new(toml);
    place.write("cluster.secret", SECRET);
    place.load(variables, &[]).unwrap_or_else(|error| panic!("{toml}\n{error}")).config
}

fn cluster(toml: &str) -> ClusterConfig {
    let config = load(&format!("[cluster]\n{toml}"), &[]);
    assert_eq!(config.log, LogStore::Redis, "{toml}");
    config.cluster.unwrap()
}

/// What is told of keys of `[cluster]`, without its place.
fn told(toml: &str) -> String {
    let place = Place::new(&format!("[cluster]\n{toml}"));
    place.write("cluster.secret", SECRET);
    place.write("short.secret", "0123456789abcde");
    place.write("three.secret", &format!("{SECRET}\n{SECRET}\n{SECRET}\n"));
    place.write("half.secret", &format!("\n{SECRET}\n"));
    let error = place.load(&[], &[]).map(|loaded| loaded.config).unwrap_err();
    assert_eq!(error.lines().count(), 1, "{toml}\n{error}");
    error.split_once(": ").unwrap().1.to_owned()
}

#[test]
fn there_is_no_cluster_unless_the_operator_wants_one() {
    assert_eq!(load("", &[]).cluster, None);
    assert_eq!(load("[cluster]\nprefix = \"turted\"\nreplicas = 0", &[]).cluster, None);
    assert_eq!(load("[log]\nstore = \"memory\"", &[]).cluster, None);
}

#[test]
fn a_url_alone_puts_the_log_into_redis() {
    let set = cluster("url = \"redis://127.0.0.1:6379/0\"");
    assert_eq!(
        (&*set.server.broker.host, set.server.broker.port, set.server.database),
        ("127.0.0.1", 6379, 0)
    );
    assert_eq!((&*set.prefix, set.replicas, set.advertise, set.tls), ("turted", 0, None, None));
    assert_eq!(set.listen, "127.0.0.1:0".parse().unwrap());
    assert_eq!((set.sentinels, set.secrets), (None, Vec::new()));
    let set = load("", &[("TURTED_CLUSTER_URL", "redis://:p@h/3"), ("TURTED_CLUSTER_REPLICAS", "1")]);
    let set = set.cluster.unwrap();
    assert_eq!(set.server.broker.password, Some(Secret::from("p")));
    assert_eq!((set.server.database, set.replicas), (3, 1));
    let same = load("[log]\nstore = \"redis\"\n[cluster]\nurl = \"redis://h\"", &[]);
    assert_eq!(same.log, LogStore::Redis);
}

#[test]
fn a_url_may_stand_in_a_file() {
    let place = Place::new("[cluster]\nurl_file = \"redis.url\"");
    place.write("redis.url", "redis://turted:p%40@h:7\n");
    let set = place.load(&[], &[]).unwrap().config.cluster.unwrap();
    assert_eq!((set.server.broker.user.as_deref(), set.server.broker.port), (Some("turted"), 7));
}

#[test]
fn sentinels_are_asked_for_the_master_by_its_name() {
    let set = cluster("sentinels = [\"h1\", \"[::1]:7\"]\nmaster = \"main\"");
    let sentinels = set.sentinels.unwrap();
    let addresses: Vec<String> = sentinels.servers.iter().map(|server| server.broker.to_string()).collect();
    assert_eq!((addresses, &*sentinels.master), (vec!["h1:26379".to_owned(), "[::1]:7".to_owned()], "main"));
    let set = cluster("url = \"rediss://:p@main/2\"\nsentinels = [\"h1\"]\nmaster = \"main\"");
    let sentinel = &set.sentinels.unwrap().servers[0].broker;
    assert_eq!(sentinel.password, None, "the password is that of the server");
    assert!(sentinel.tls.is_some() && set.server.broker.tls.is_some());
    assert_eq!(set.server.database, 2);
}

#[test]
fn sentinels_have_a_user_and_a_password_of_their_own() {
    let sentinels = "sentinels = [\"h1\", \"h2\"]\nmaster = \"main\"";
    let toml =
        format!("{sentinels}\nsentinel_user = \"turted\"\nsentinel_password_file = \"sentinel.password\"");
    let place = Place::new(&format!("[cluster]\nurl = \"redis://me:own@h\"\n{toml}"));
    place.write("sentinel.password", "theirs\n");
    let loaded = place.load(&[], &[]).unwrap();
    let set = loaded.config.cluster.as_ref().unwrap();
    let own = |broker: &Broker| {
        (broker.user.clone().unwrap(), broker.password.as_ref().unwrap().reveal().to_owned())
    };
    let of = |user: &str, password: &str| (user.to_owned(), password.to_owned());
    for sentinel in &set.sentinels.as_ref().unwrap().servers {
        assert_eq!(own(&sentinel.broker), of("turted", "theirs"));
    }
    assert_eq!(own(&set.server.broker), of("me", "own"));
    set_mode(&place.0.path().join("sentinel.password"), 0o644);
    let warnings = place.load(&[], &[]).unwrap().warnings;
    assert!(
        warnings.iter().any(|warning| warning.contains("sentinel.password holds a secret")),
        "{warnings:?}"
    );
    let written = Place::new(&format!("[cluster]\n{sentinels}\nsentinel_password = \"canary\""));
    let written = written.load(&[], &[]).unwrap();
    assert!(!written.effective().contains("canary"));
    let sentinel = &written.config.cluster.as_ref().unwrap().sentinels.as_ref().unwrap().servers[0];
    assert_eq!(sentinel.broker.password, Some(Secret::from("canary")));
}

#[test]
fn other_machines_need_an_address_and_a_secret() {
    let set = cluster(
        "url = \"redis://h\"\nlisten = \"[::]:7119\"\nadvertise = \"10.0.0.5:7119\"\nsecret_file = \"cluster.secret\"",
    );
    assert_eq!(set.advertise, Some("10.0.0.5:7119".parse().unwrap()));
    assert_eq!(set.secrets, [Secret::from(SECRET)]);
    let needs = "other machines can reach `cluster.listen`: that needs `cluster.secret_file`";
    for keys in ["listen = \"10.0.0.5:7119\"", "advertise = \"10.0.0.5:7119\""] {
        let told = told(&format!("url = \"redis://h\"\n{keys}"));
        assert!(told.starts_with(needs), "{told}");
    }
    assert_eq!(
        told("url = \"redis://h\"\nsecret_file = \"cluster.secret\"\nlisten = \"0.0.0.0:7119\""),
        "`cluster.listen` = \"0.0.0.0:7119\" needs `cluster.advertise`: the address of this machine that other nodes call"
    );
    for address in ["0.0.0.0:7119", "10.0.0.5:0"] {
        let told = told(&format!(
            "url = \"redis://h\"\nsecret_file = \"cluster.secret\"\nadvertise = \"{address}\""
        ));
        assert!(told.starts_with(&format!("`cluster.advertise` = \"{address}\" cannot be called")), "{told}");
    }
}

#[test]
fn a_secret_is_long_and_there_are_two_while_it_is_changed() {
    let place = Place::new("[cluster]\nurl = \"redis://h\"\nsecret_file = \"cluster.secret\"");
    place.write("cluster.secret", &format!("new-{SECRET}\n{SECRET}\n"));
    let set = place.load(&[], &[]).unwrap();
    let secrets: Vec<_> = set.config.cluster.as_ref().unwrap().secrets.iter().map(Secret::reveal).collect();
    assert_eq!(secrets, [&*format!("new-{SECRET}"), SECRET]);
    set_mode(&place.0.path().join("cluster.secret"), 0o644);
    let warnings = place.load(&[], &[]).unwrap().warnings;
    assert!(warnings[0].contains("is open to other users"), "{warnings:?}");
    for (file, what) in [
        ("short.secret", "less than 16 bytes"),
        ("three.secret", "has 3 lines"),
        ("half.secret", "less than 16 bytes"),
        ("gone.secret", "cannot read"),
    ] {
        let told = told(&format!("url = \"redis://h\"\nsecret_file = \"{file}\""));
        assert!(told.starts_with("`cluster.secret_file`: ") && told.contains(what), "{told}");
    }
}

#[test]
fn keys_that_do_not_fit_together_are_told() {
    for (keys, expected) in [
        (
            "master = \"main\"\nurl = \"redis://h\"",
            "`cluster.master` needs `cluster.sentinels`, which are asked for it",
        ),
        (
            "sentinels = [\"h\"]",
            "`cluster.sentinels` needs `cluster.master`, the name under which they know the server",
        ),
        (
            "sentinels = [\"h:0\"]\nmaster = \"m\"",
            "`cluster.sentinels`: expected HOST or HOST:PORT, found \"h:0\": the port is no number from 1 to 65535",
        ),
        (
            "url = \"redis://h\"\nsentinel_password = \"secret\"",
            "`cluster.sentinel_password` needs `cluster.sentinels`, which are asked as this user",
        ),
        (
            "url = \"http://secret\"",
            "`cluster.url`: expected redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// for TLS: \
             it begins with something else",
        ),
        (
            "url = \"redis://h/secret\"",
            "`cluster.url`: expected redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// for TLS: \
             behind the host comes the number of a database, 0 to 65535",
        ),
        (
            "url = \"redis://h\"\nurl_file = \"cluster.secret\"",
            "`cluster.url` and `cluster.url_file` are both set; keep one of the two",
        ),
        (
            "url = \"redis://h\"\nprefix = \"a b\"",
            "`cluster.prefix`: expected at most 64 letters, digits, \"-\", \"_\", \".\" and \":\", found \"a b\"",
        ),
        (
            "url = \"redis://h\"\nca = \"ca.pem\"",
            "`cluster.ca` has no effect without TLS: `cluster.url` begins with rediss:// then, or nodes have \
             `cluster.tls_cert`",
        ),
        ("url = \"redis://h\"\ntls_key = \"key.pem\"", "`cluster.tls_key` needs `cluster.tls_cert`"),
        (
            "url = \"redis://h\"\nlisten = \"127.0.0.1:7117\"",
            "`cluster.listen` = \"127.0.0.1:7117\" is where `listen` = \"127.0.0.1:7117\" is; choose another port",
        ),
        (
            "url = \"redis://h\"\nlisten = \"127.0.0.1:7118\"",
            "`cluster.listen` = \"127.0.0.1:7118\" is where `admin_listen` = \"127.0.0.1:7118\" is; choose another port",
        ),
        ("url = 1\nlisten = \"127.0.0.1:7119\"", "`cluster.url`: expected a string"),
        ("listen = \"127.0.0.1:7119\"", "`cluster.listen` has no effect with `log.store` = \"memory\""),
    ] {
        assert_eq!(told(keys), expected, "{keys}");
    }
}

#[test]
fn the_log_is_in_one_place() {
    check(
        "[log]\nstore = \"redis\"",
        &[],
        "turted.toml:2:9: `log.store` = \"redis\" needs `cluster.url` or `cluster.url_file`, or `cluster.sentinels` \
         and `cluster.master`",
    );
    check(
        "[log]\ndirectory = \"/a\"\n[cluster]\nurl = \"redis://h\"",
        &[],
        "turted.toml:4:7: `cluster.url` has no effect with `log.store` = \"disk\"",
    );
    check(
        "[log]\nstore = \"redis\"\ndirectory = \"/a\"\nsync = \"always\"\n[cluster]\nurl = \"redis://h\"",
        &[],
        "turted.toml:3:13: `log.directory` has no effect with `log.store` = \"redis\"\n\
         turted.toml:4:8: `log.sync` has no effect with `log.store` = \"redis\"",
    );
}

#[test]
fn the_effective_configuration_masks_the_url_and_says_where_the_store_comes_from() {
    let place = Place::new("[cluster]\nurl = \"redis://u:geheim@h\"\nsecret_file = \"cluster.secret\"");
    place.write("cluster.secret", SECRET);
    let effective = place.strip(&place.load(&[], &[]).unwrap().effective());
    assert!(!effective.contains("geheim") && !effective.contains(SECRET), "{effective}");
    for line in [
        "store = \"redis\"                          # from turted.toml:2:7\n",
        "url = \"***\"                              # from turted.toml:2:7\n",
        "\n[cluster]\n",
        "prefix = \"turted\"\nlisten = \"127.0.0.1:0\"\n",
        "# advertise is not set\n",
    ] {
        assert!(effective.contains(line), "{line}{effective}");
    }
}

#[test]
fn a_push_may_have_no_more_than_every_node_reads() {
    let url = "[cluster]\nurl = \"redis://h\"\n[limits]";
    let most = "push_body_bytes = 7340032\ntargets = 100000\nexpansion_bytes = 1099511627776";
    assert_eq!(load(&format!("{url}\n{most}"), &[]).limits.targets, 100_000);
    check(
        &format!("{url}\npush_body_bytes = 7340033\ntargets = 100001"),
        &[],
        "turted.toml:4:19: `limits.push_body_bytes` = 7340033 is above 7340032: no node of a cluster reads more of one dispatch\n\
         turted.toml:5:11: `limits.targets` = 100001 is above 100000: no node of a cluster reads more of one dispatch",
    );
    assert_eq!(load("[limits]\npush_body_bytes = 7340033\ntargets = 100001", &[]).limits.targets, 100_001);
}
