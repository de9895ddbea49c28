//! `[log]`: what its keys mean together.

use super::*;

fn load(toml: &str, variables: &[(&str, &str)]) -> LogStore {
    Place::new(toml).load(variables, &[]).unwrap().config.log
}

fn disk(toml: &str, variables: &[(&str, &str)]) -> DiskLog {
    match load(toml, variables) {
        LogStore::Disk(disk) => disk,
        LogStore::Memory | LogStore::Redis => panic!("not on disk: {toml}"),
    }
}

#[test]
fn the_log_is_in_memory_unless_the_operator_wants_a_disk() {
    for toml in ["", "[log]\nstore = \"memory\"", "[log]\nsync = \"interval\"\nsync_interval = \"5s\""] {
        assert_eq!(load(toml, &[("STATE_DIRECTORY", "/var/lib/turted")]), LogStore::Memory, "{toml}");
    }
}

#[test]
fn a_directory_alone_puts_the_log_on_disk() {
    let second = LogSync::Interval(Duration::from_secs(1));
    let set = disk("[log]\ndirectory = \"/srv/log\"", &[("STATE_DIRECTORY", "/var/lib/turted")]);
    assert_eq!((set.directory.to_str(), set.sync), (Some("/srv/log"), second));
    assert!(!set.required);
    assert_eq!(set.start, LogStart::Continue);
    let place = Place::new("[log]\ndirectory = \"/srv/log\"");
    let effective = place.strip(&place.load(&[], &[]).unwrap().effective());
    assert!(
        effective.contains("store = \"disk\"                           # from turted.toml:2:13\n"),
        "{effective}"
    );
}

#[test]
fn under_systemd_the_log_stands_in_the_state_directory_of_the_unit() {
    for variable in ["/var/lib/turted", "/var/lib/turted:/var/lib/other"] {
        let set = disk("[log]\nstore = \"disk\"", &[("STATE_DIRECTORY", variable)]);
        assert_eq!(set.directory.to_str(), Some("/var/lib/turted/log"));
    }
    for variable in ["", "turted", ":"] {
        let place = Place::new("[log]\nstore = \"disk\"");
        let error = place.load(&[("STATE_DIRECTORY", variable)], &[]).map(|_| ()).unwrap_err();
        assert!(error.contains("needs `log.directory`"), "{error}");
    }
}

#[test]
fn each_way_to_sync_is_read() {
    let sync = |more: &str| disk(&format!("[log]\ndirectory = \"/a\"\n{more}"), &[]).sync;
    assert_eq!(sync("sync = \"always\""), LogSync::Always);
    assert_eq!(sync("sync = \"never\""), LogSync::Never);
    assert_eq!(sync("sync_interval = \"250ms\""), LogSync::Interval(Duration::from_millis(250)));
    assert!(disk("", &[("TURTED_LOG_DIRECTORY", "/a"), ("TURTED_LOG_REQUIRED", "true")]).required);
}

#[test]
fn keys_of_the_disk_without_a_disk_are_told() {
    check(
        "[log]\nstore = \"disk\"",
        &[],
        "turted.toml:2:9: `log.store` = \"disk\" needs `log.directory`, a directory of its own",
    );
    check(
        "[log]\nstore = \"memory\"\ndirectory = \"/a\"\nsync = \"always\"",
        &[],
        "turted.toml:3:13: `log.directory` has no effect with `log.store` = \"memory\"\n\
         turted.toml:4:8: `log.sync` has no effect with `log.store` = \"memory\"",
    );
    check(
        "[log]\nrequired = true",
        &[],
        "turted.toml:2:12: `log.required` has no effect with `log.store` = \"memory\"",
    );
    check(
        "[log]\nstore = \"dsk\"\nrequired = true",
        &[],
        "turted.toml:2:9: `log.store`: expected \"memory\", \"disk\" or \"redis\", found \"dsk\"",
    );
    check(
        "[log]\ndirectory = \"\"\nsync = \"always\"",
        &[],
        "turted.toml:2:13: `log.directory`: expected the path of a file or directory, found \"\"",
    );
}

#[test]
fn the_effective_configuration_can_be_read_back() {
    for toml in
        ["", "[log]\nstore = \"disk\"", "[log]\ndirectory = \"/a\"\nsync = \"never\"\nrequired = true"]
    {
        let place = Place::new(toml);
        let loaded = place.load(&[("STATE_DIRECTORY", "/var/lib/turted")], &[]).unwrap();
        assert_eq!(load(&loaded.effective(), &[]), loaded.config.log, "{toml}");
    }
}
