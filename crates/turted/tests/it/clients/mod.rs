//! What unmodified clients need that no document asks for, found with the clients themselves: `tests/clients`
//! has those, here each rule has its whole table.

mod answers;
mod encoding;
mod paths;
mod session;
mod subprotocols;

use crate::support::{Http, Response, TestServer};

/// A session of Engine.IO 3 over polling that reads text: its id.
fn open_v3(http: &mut Http, more: &str) -> String {
    let answer = http.get(&format!("/socket.io/?EIO=3&transport=polling{more}"));
    let (_, rest) = answer.text().split_once("sid").expect("a handshake");
    let sid = rest.trim_start_matches(['\\', '"', ':']);
    sid[..20].to_owned()
}

/// The value of a header of the answer to GET.
fn header(server: &TestServer, target: &str, name: &str) -> Option<String> {
    let answer = get(server, target);
    answer.header(name).map(str::to_owned)
}

fn get(server: &TestServer, target: &str) -> Response {
    server.http().get(target)
}
