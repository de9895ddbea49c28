//! A server that is killed, again and again: after each start a backend that keeps to the documentation knows who is online.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Says;
use super::backend::{Backend, Reaction};
use super::faults::child;
use super::reference::Reference;
use crate::support::{Child, Client, Kind, Random, eventually};

/// How often the server is killed in CI; `TURTED_TEST_KILLS` is another number.
const KILLS: usize = 3;

/// What the server itself says: the users, and those in the channel.
fn online(child: &Child) -> [BTreeSet<String>; 2] {
    let users = child.admin().get("/api/v1/users?limit=1000").json();
    let names =
        users["users"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap().to_owned());
    let names: BTreeSet<String> = names.collect();
    let chat = child.admin().get("/api/v1/channels/chat").json();
    let chat = chat["connection_ids"].as_array().unwrap();
    let listed = child.admin().get("/api/v1/connections?limit=1000").json();
    let members = listed["connections"].as_array().unwrap().iter().filter(|one| chat.contains(&one["id"]));
    let members = members.flat_map(|one| one["users"].as_array().unwrap().clone());
    [names, members.map(|user| user.as_str().unwrap().to_owned()).collect()]
}

#[test]
fn a_backend_knows_who_is_online_after_each_kill() {
    let kills = std::env::var("TURTED_TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    // Each fifth batch is lost, so that a life may begin with one that comes again.
    let backend =
        Backend::that(|_, before| if before % 5 == 4 { Reaction::Half } else { Reaction::Answer(200) });
    let directory = tempfile::tempdir().unwrap();
    let (mut random, mut slowest) = (Random::new(1), Duration::ZERO);
    for life in 0..=kills {
        let child = child(&backend, directory.path());
        let mut clients: Vec<Client> = Vec::new();
        for _ in 0..30 {
            let mut client = child.client(Kind::ALL[random.below(Kind::ALL.len())]);
            client.ident(&format!("user-{}", random.below(15)));
            if random.below(2) == 0 {
                client.join("chat");
            }
            if random.below(4) > 0 {
                clients.push(client);
            } else {
                client.leave();
            }
        }
        let begin = Instant::now();
        eventually("the backend knows who is online", || {
            let reference = Reference::of(&backend.batches());
            let known = [reference.users(), reference.members("chat")];
            reference.synced > life && known == online(&child)
        });
        slowest = slowest.max(begin.elapsed());
        drop_some(&mut clients, &mut random);
        // Some records wait now, and die with the server.
        child.kill();
    }
    println!(
        "{kills} kills: after each the backend knew who is online, {slowest:.1?} after the last client at most"
    );
}

fn drop_some(clients: &mut Vec<Client>, random: &mut Random) {
    clients.truncate(random.below(clients.len().max(1)));
}
