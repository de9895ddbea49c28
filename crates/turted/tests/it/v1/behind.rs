//! What comes behind the reply by which a client is in a channel, or is a user, no longer: nothing of it.

use serde_json::{Value, json};

use super::Client;
use crate::support::{TestServer, raise_descriptors};

/// Others that get each event beside the client that is looked at: they are written in slices, and in between it can say that
/// it wants no more.
const OTHERS: usize = 300;

/// Lets a client become the receiver of an event that is on its way when it says that it wants no more, and checks that
/// nothing comes behind the reply.
fn assert_nothing_behind_the_reply(begin: &Value, end: &Value, push: impl Fn(&TestServer)) {
    raise_descriptors();
    let server = TestServer::with(|config| {
        (config.limits.message_rate, config.limits.message_burst) = (1_000_000, 1_000_000);
    });
    let _others: Vec<_> = (0..OTHERS)
        .map(|_| Client::new(&server))
        .map(|mut other| {
            other.ask(begin);
            other
        })
        .collect();
    let mut client = Client::new(&server);
    let mut came = 0;
    for _ in 0..100 {
        let begun = client.ask(begin);
        assert_eq!(begun["ok"], true, "{begun}");
        push(&server);
        client.send(end);
        while client.receive()["reply"] != "end" {
            came += 1;
        }
        client.ping();
    }
    assert!(came > 0, "none was on its way");
}

#[test]
fn no_event_of_a_channel_comes_behind_the_reply_to_its_leave() {
    let join = json!({"id": "j", "do": "join", "channel": "c"});
    let leave = json!({"id": "end", "do": "leave", "channel": "c"});
    assert_nothing_behind_the_reply(&join, &leave, |server| {
        drop(server.dispatcher().notify_channel("c", "e", &1).unwrap());
    });
}

#[test]
fn no_event_of_the_user_before_comes_behind_the_reply_to_another_ident() {
    let adam = json!({"id": "i", "do": "ident", "data": {"username": "adam"}});
    let eve = json!({"id": "end", "do": "ident", "data": {"username": "eve"}});
    assert_nothing_behind_the_reply(&adam, &eve, |server| {
        drop(server.dispatcher().notify_user("adam", "e", &1).unwrap());
    });
}
