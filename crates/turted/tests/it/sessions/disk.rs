//! What stands on disk: no ids, nothing that is damaged, nothing that another configuration verified; and a disk that
//! takes nothing more.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::support::eventually;

#[test]
fn no_id_of_a_session_stands_on_disk_and_nobody_else_may_look() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new("secret");
    let server = directory.start();
    let mut client = connect(&server);
    ask(&mut client, "JOIN", "chat");
    server.kill();
    let content = content(&directory.0);
    let has = |bytes: &[u8]| content.windows(bytes.len()).any(|window| window == bytes);
    assert!(has(b"chat"), "it is the file of the session");
    assert!(!has(client.pid.as_bytes()) && !has(&URL_SAFE_NO_PAD.decode(&client.pid).unwrap()[5..]));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.0), 0o700);
    assert!(directory.files().iter().all(|file| mode(file) == 0o600));
}

#[test]
fn a_torn_file_loses_its_end_and_a_damaged_one_makes_all_sessions_unknown() {
    let directory = Directory::new("damage");
    let server = directory.start();
    let mut client = connect(&server);
    ask(&mut client, "JOIN", "first");
    ask(&mut client, "JOIN", "torn");
    server.kill();
    let file = directory.files()[0].clone();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let server = directory.start();
    let mut client = come_back(&server, client);
    assert_eq!(hears(&server, &mut client, &[], &["first", "torn"]), ["first"]);
    server.kill();
    let file = directory.files()[0].clone();
    let mut damaged = std::fs::read(&file).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    let server = directory.start();
    let mut client = come_back(&server, client);
    assert!(hears(&server, &mut client, &[], &["first", "torn"]).is_empty());
    assert!(server.stop().contains("sessions of before are unknown"));
}

#[test]
fn users_that_another_configuration_let_in_are_unknown_to_this_one() {
    let directory = Directory::new("verified");
    let server = directory.start();
    let (mut user, mut nobody) = (connect(&server), connect(&server));
    ident(&mut user, "u");
    ask(&mut user, "JOIN", "c");
    ask(&mut nobody, "JOIN", "c");
    server.kill();
    let variables = [("TURTED_LOG_DIRECTORY", directory.path()), ("TURTED_AUTH_PASSWORD", "a long secret")];
    let server = Child::start(&variables);
    let (mut user, mut nobody) = (come_back(&server, user), come_back(&server, nobody));
    assert!(hears(&server, &mut user, &["u"], &["c"]).is_empty());
    assert!(hears(&server, &mut nobody, &["u"], &["c"]).contains(&json!("c")));
    server.stop();
}

#[test]
fn what_a_server_without_recovery_did_not_keep_up_to_date_no_later_one_believes() {
    let directory = Directory::new("disabled");
    let server = directory.start();
    let mut client = connect(&server);
    ask(&mut client, "JOIN", "c");
    server.kill();
    let variables = [("TURTED_LOG_DIRECTORY", directory.path()), ("TURTED_RECOVERY_ENABLED", "false")];
    Child::start(&variables).stop();
    let server = directory.start();
    let mut client = come_back(&server, client);
    assert!(hears(&server, &mut client, &[], &["c"]).is_empty());
    server.stop();
}

#[test]
fn a_disk_that_is_full_keeps_no_client_waiting_and_no_later_server_believes_it() {
    let directory = Directory::new("full");
    let mut shell = Command::new("/bin/sh");
    // Files may have 16 or 32 KiB, in blocks of 512 or 1,024 bytes; a write beyond that fails.
    shell.args(["-c", r#"trap '' XFSZ; ulimit -f 32; exec "$0" "$@""#]);
    let server = Child::start_by(shell, &[("TURTED_LOG_DIRECTORY", directory.path())]);
    let mut client = connect(&server);
    ask(&mut client, "JOIN", "before");
    assert_eq!(server.metric("turted_sessions_degraded"), 0);
    let long = "x".repeat(250);
    let mut joined = 0;
    while server.metric("turted_sessions_degraded") == 0 {
        joined += 1;
        assert!(joined < 1_000, "the file has so many bytes");
        ask(&mut client, "JOIN", &long);
        ask(&mut client, "LEAVE", &long);
    }
    let answer = server.admin().get("/ready");
    let ready = answer.text();
    assert!(ready.starts_with("ready") && ready.contains("sessions are in memory: "), "{ready}");
    ask(&mut client, "JOIN", "behind");
    let mut client = come_back(&server, client);
    assert_eq!(hears(&server, &mut client, &[], &["before", "behind"]), ["before", "behind"]);
    eventually("nothing of it is left", || directory.files().is_empty());
    server.kill();
    let server = directory.start();
    let mut client = come_back(&server, client);
    assert!(hears(&server, &mut client, &[], &["before", "behind"]).is_empty());
    server.stop();
}
