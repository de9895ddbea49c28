//! What event streams over HTTP/2 take of the server's memory while nothing happens.

use hyper::Response;
use hyper::body::Incoming;
use tokio::runtime::{Builder, Runtime};

use crate::support::http2::{Client, WINDOW_BYTES, connect, request};
use crate::support::{Child, Pair, raise_descriptors, settle};

/// A connection and its streams.
type Streams = (Client, Vec<Response<Incoming>>);

fn open_stream(runtime: &Runtime, client: &mut Client) -> Response<Incoming> {
    let stream = runtime.block_on(client.sender.send_request(request("GET", "/sse", &[], ""))).unwrap();
    assert_eq!(stream.status(), 200);
    stream
}

#[test]
fn an_idle_stream_keeps_no_buffer_of_its_own() {
    const CONNECTIONS: usize = 300;
    const FURTHER: usize = 9;
    raise_descriptors();
    let pair = Pair::new();
    let files = pair.files();
    let (cert, key) = (files.cert.to_str().unwrap(), files.key.to_str().unwrap());
    let child = Child::start(&[("TURTED_WORKERS", "1"), ("TURTED_TLS_CERT", cert), ("TURTED_TLS_KEY", key)]);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let open = || -> Vec<Streams> {
        let one = |_| {
            let mut client = connect(&runtime, &pair, child.address(), WINDOW_BYTES);
            let stream = open_stream(&runtime, &mut client);
            (client, vec![stream])
        };
        (0..CONNECTIONS).map(one).collect()
    };
    let measured = || {
        settle(&child);
        child.memory()
    };
    let (first, before) = (open(), measured());
    let mut second = open();
    let opened = measured();
    for (client, streams) in &mut second {
        streams.extend((0..FURTHER).map(|_| open_stream(&runtime, client)));
    }
    let filled = measured();
    let each = opened.saturating_sub(before) / CONNECTIONS;
    let further = filled.saturating_sub(opened) / (CONNECTIONS * FURTHER);
    println!("{each} bytes per connection with one event stream over HTTP/2, {further} per further one");
    assert!(each <= 30_000, "{each} bytes");
    assert!(further <= 2_600, "{further} bytes");
    drop((first, second));
    // It closes the connections: their tasks run only while the test waits for something.
    drop(runtime);
    child.stop();
}
