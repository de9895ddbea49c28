//! What must never be seen: secrets in logs, in answers, on the standard output.

use crate::support::{Child, Kind};

const CANARIES: [&str; 7] = [
    "canary-push-password",
    "canary-wrong-password",
    "canary-wrong-bearer",
    "canary-auth-password",
    "canary-wrong-ident",
    "canary-query-password",
    "canary-environment",
];

#[test]
fn no_secret_reaches_a_log_an_answer_or_the_output() {
    let [push, wrong, bearer, auth, ident, query, environment] = CANARIES;
    let child = Child::start(&[
        ("TURTED_LOGLEVEL", "trace"),
        ("TURTED_PUSH_PASSWORD", push),
        ("TURTED_AUTH_PASSWORD", auth),
        ("DATABASE_URL", environment),
    ]);
    let mut seen = String::new();
    let mut http = child.http();
    for password in [push, wrong] {
        let body =
            format!(r#"{{"event":"e","targets":{{"broadcast":true}},"auth":{{"password":"{password}"}}}}"#);
        seen.push_str(http.post("/push/", &[("Accept", "application/json")], body).text());
    }
    let header = format!("Bearer {bearer}");
    seen.push_str(http.post("/push/", &[("Authorization", &header)], r#"{"event":"e"}"#).text());
    for kind in Kind::ALL {
        let mut client = child.client(kind);
        for password in [auth, ident] {
            seen.push_str(&client.ask("IDENT", &format!(r#"{{"username":"u","password":"{password}"}}"#)));
        }
        client.send(&format!(r#"42["IDENT",{{"password":"{ident}","password":7}}]"#));
        seen.push_str(&client.reply().unwrap());
        client.leave();
    }
    seen.push_str(
        http.get(&format!("/socket.io/?EIO=3&transport=polling&username=u&password={query}")).text(),
    );
    let output = child.stop();
    assert!(output.contains("wrong push password"), "the log was read: {output}");
    assert!(output.contains("listening on"), "the output was read: {output}");
    assert!(seen.contains("wrong-password") && seen.contains("IDENT not verified"), "{seen}");
    for canary in CANARIES {
        assert!(!output.contains(canary), "{canary} in {output}");
        assert!(!seen.contains(canary), "{canary} in {seen}");
    }
}
