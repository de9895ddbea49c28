//! The document says what the code does: every rule with its status, every field of a push, every limit, every answer.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::*;
use crate::admin::refusal::{ApiRefusal, GuardRefusal};
use crate::push::rest::rules::RULES;

/// What reads the fields of a push.
const FORM: &str = include_str!("../../../../core/src/push/form.rs");
const TARGETS: &str = include_str!("../../../../core/src/push/targets.rs");

fn with(config: &Config) -> Value {
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let document = document(config, address(7117), Some(address(7118)));
    serde_json::from_str(&document).unwrap_or_else(|error| panic!("{error}: {document}"))
}

fn usual() -> Value {
    with(&Config::default())
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// What stands behind the `number`th `let names = ` in a source.
fn names(source: &str, number: usize) -> BTreeSet<&str> {
    let list = source.split("let names = [").nth(number).unwrap().split(']').next().unwrap();
    list.split('"').skip(1).step_by(2).collect()
}

#[test]
fn no_place_is_left_open() {
    assert!(!document(&Config::default(), ([0, 0, 0, 0], 1).into(), None).contains("@{"));
}

#[test]
fn every_rule_of_a_push_or_a_question_about_users_stands_at_its_status() {
    let document = usual();
    let responses = |path: &str| document["paths"][path]["post"]["responses"].as_object().unwrap().clone();
    let mut listed = BTreeSet::new();
    for (status, response) in responses("/push/")
        .into_iter()
        .chain(responses("/push/presence"))
        .filter(|(status, _)| !["200", "414"].contains(&status.as_str()))
    {
        let schema = &response["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"];
        assert_eq!(schema["status"]["const"].to_string(), status);
        for rule in schema["rule"]["enum"].as_array().unwrap() {
            listed.insert((rule.as_str().unwrap().to_owned(), status.parse().unwrap()));
        }
    }
    let rules: BTreeSet<_> = RULES.iter().map(|rule| (rule.name.to_owned(), rule.status.as_u16())).collect();
    assert_eq!(listed, rules);
    let users = document["components"]["schemas"]["PresenceQuestion"]["properties"]["users"].clone();
    assert_eq!(users["maxItems"], 1_000);
}

/// The document has the limits that `docs/protocol-rest.md` lists.
#[test]
fn every_limit_of_a_push_is_told() {
    let page = include_str!("../../../../../docs/protocol-rest.md");
    let (_, table) = page.split_once("\n## Limits\n").unwrap();
    let keys: BTreeSet<_> = table.split('`').filter(|text| text.starts_with("limits.")).collect();
    assert!(keys.len() > 5, "{keys:?}");
    for key in keys {
        assert!(
            DOCUMENT.contains(&format!("@{{{key}}}")) || SCHEMAS.contains(&format!("@{{{key}}}")),
            "{key}"
        );
    }
}

#[test]
fn a_push_has_the_fields_that_are_read_and_no_other() {
    let document = usual();
    let schemas = &document["components"]["schemas"];
    let fields = |schema: &str| keys(&schemas[schema]["properties"]);
    let (push, former) = (fields("Push"), fields("FormerPush"));
    assert_eq!(push.union(&former).copied().collect::<BTreeSet<_>>(), names(FORM, 1));
    assert_eq!(keys(&schemas["FormerPush"]["properties"]["data"]["properties"]), names(FORM, 2));
    assert_eq!(fields("Targets"), names(TARGETS, 1));
}

/// What is in backquotes at the start of each row of a table of `docs/hooks.md`.
fn rows(heading: &str) -> BTreeSet<&'static str> {
    let page = include_str!("../../../../../docs/hooks.md");
    let section = page.split(heading).nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

/// The document, the page and the code have the same types of records, with the same members.
#[test]
fn a_hook_is_sent_what_the_document_says() {
    let document = usual();
    let schemas = &document["components"]["schemas"];
    assert_eq!(keys(&schemas["HookBatch"]["properties"]), rows("\n## A batch\n"));
    let record = &schemas["HookRecord"]["properties"];
    let types = record["type"]["examples"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let types: BTreeSet<_> = types.collect();
    let mut listed = rows("\n## Records\n");
    assert!(listed.remove("type"), "the head of the table");
    assert_eq!(types, listed);
    let source = include_str!("../../webhook/batch.rs");
    let described = source.split("\nfn describe(").nth(1).unwrap().split("\n}\n").next().unwrap();
    assert_eq!(types, described.split("(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect());
    let what = source.split("\nstruct What<'a> {").nth(1).unwrap().split("\n}\n").next().unwrap();
    let members = what.lines().filter_map(|line| line.trim().split_once(": "));
    let members = members.map(|(name, _)| name).chain(["id", "type", "at"]);
    assert_eq!(keys(record), members.collect());
}

#[test]
fn every_refusal_of_the_admin_listener_is_a_response() {
    let document = usual();
    let responses = &document["components"]["responses"];
    for row in
        ApiRefusal::ALL.map(ApiRefusal::row).into_iter().chain(GuardRefusal::ALL.map(GuardRefusal::row))
    {
        let described = responses[format!("Refused{}", row.status.as_u16())]["description"].as_str().unwrap();
        assert!(described.contains(row.detail), "{row:?}");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "servers") {
            let answers = keys(&operation["responses"]).len();
            let has_few =
                path.starts_with("/push/") || ["/api/v1/push", "/health", "/ready"].contains(&path.as_str());
            assert!(has_few || answers > 3, "{method} {path}");
        }
    }
}

#[test]
fn limits_path_addresses_and_token_are_those_of_the_configuration() {
    let mut config = Config::default();
    config.push.path = "/in".into();
    config.limits.push_body_bytes = 1_001;
    config.limits.request_body_wait = std::time::Duration::from_millis(1_500);
    config.limits.targets = 1_002;
    config.limits.expansion_bytes = 1_003;
    config.limits.batch_dispatches = 1_004;
    config.limits.idempotency_age = std::time::Duration::from_secs(1_005);
    config.admin.token = Some("token".into());
    let document = with(&config);
    let push = &document["paths"]["/in/"]["post"];
    let body = push["requestBody"]["description"].as_str().unwrap();
    assert!(body.contains("1001 bytes within 1.5 seconds") && body.contains("1003 bytes"), "{body}");
    assert!(push["parameters"][0]["description"].as_str().unwrap().contains("1005 seconds"), "{push}");
    assert_eq!(document["components"]["schemas"]["Batch"]["maxItems"], 1_004);
    let targets = document["components"]["schemas"]["Targets"]["description"].as_str().unwrap();
    assert!(targets.contains("1002 users"), "{targets}");
    assert_eq!(document["paths"]["/api/v1/counts"]["get"]["security"], json!([{"adminToken": []}]));
    assert_eq!(usual()["paths"]["/api/v1/counts"]["get"]["security"], json!([]));
    assert_eq!(document["servers"][0]["url"], "http://127.0.0.1:7118");
    assert_eq!(document["paths"]["/in/"]["servers"][0]["url"], "http://127.0.0.1:7117");
}

#[test]
fn a_listener_on_every_address_is_reached_on_this_machine() {
    assert_eq!(url("http", ([0, 0, 0, 0], 80).into()), "http://127.0.0.1:80");
    assert_eq!(url("https", "[::]:443".parse().unwrap()), "https://[::1]:443");
    assert_eq!(url("http", "192.0.2.7:1".parse().unwrap()), "http://192.0.2.7:1");
}

#[test]
fn what_all_nodes_answer_takes_the_number_of_one() {
    let document = usual();
    let node = json!({"$ref": "#/components/parameters/Node"});
    let here = ["nodes", "node", "events", "push"].map(|path| format!("/api/v1/{path}"));
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths.iter().filter(|(path, _)| path.starts_with("/api/v1/")) {
        for (method, operation) in item.as_object().unwrap() {
            let takes = operation["parameters"].as_array().is_some_and(|all| all.contains(&node));
            assert_eq!(takes, !here.contains(path), "{method} {path}");
            let missing = &operation["responses"]["404"]["$ref"];
            assert!(!takes || missing == "#/components/responses/Refused404", "{method} {path}");
        }
    }
}
