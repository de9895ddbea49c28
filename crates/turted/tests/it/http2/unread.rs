//! Answers that are read slowly or not at all.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::{sleep, timeout};

use crate::metrics::expect;
use crate::support::http2::{Setting, connect, request};
use crate::support::{Child, PATIENCE, Pair};
use crate::unread::assets;

const STALL: Duration = Duration::from_millis(300);
/// Long enough for a busy machine to let the client read in between.
const LONG_STALL: Duration = Duration::from_secs(2);
const FILE_BYTES: usize = 400_000;

fn setting(directory: &tempfile::TempDir, stall: Duration) -> Setting {
    Setting::new(|config| {
        config.assets_dir = Some(directory.path().into());
        config.limits.outbox_stall = stall;
        // A connection with nothing under way ends so soon.
        config.limits.request_head_wait = stall;
    })
}

#[test]
fn an_answer_that_is_read_slowly_is_whole() {
    let directory = assets(FILE_BYTES);
    let setting = setting(&directory, LONG_STALL);
    let mut client = setting.connect();
    let mut response = setting.get(&mut client, "/socket.io/large.js");
    assert_eq!(response.headers()["content-length"], "400000");
    let started = std::time::Instant::now();
    let read = async {
        let mut bytes = 0;
        while let Some(frame) = response.body_mut().frame().await {
            bytes += frame.expect("it is not cut").into_data().map_or(0, |data| data.len());
            sleep(LONG_STALL / 10).await;
        }
        bytes
    };
    let bytes = setting.runtime.block_on(async { timeout(PATIENCE, read).await }).expect("an end");
    // Its client has a window of 64 KiB and reads 16 KiB at once.
    let least = LONG_STALL / 10 * u32::try_from(FILE_BYTES / (16 * 1024)).unwrap();
    assert_eq!(bytes, FILE_BYTES, "{bytes} bytes in {:?}", started.elapsed());
    assert!(started.elapsed() >= least, "{bytes} bytes in {:?}", started.elapsed());
    expect(&setting.server, &[("turted_unread_answers_total", 0.0)]);
}

#[test]
fn an_answer_that_is_not_read_is_reset_and_others_of_its_connection_are_not() {
    let directory = assets(FILE_BYTES);
    let setting = setting(&directory, STALL);
    let mut client = setting.connect();
    let mut stream = setting.get(&mut client, "/sse");
    let unread = setting.get(&mut client, "/socket.io/large.js");
    let alive = async {
        let page = || async { setting.server.admin().get("/metrics").text().to_owned() };
        while !page().await.contains("turted_unread_answers_total 1\n") {
            sleep(Duration::from_millis(20)).await;
        }
    };
    setting.runtime.block_on(async { timeout(PATIENCE, alive).await }).expect("it is given up");
    let read = async { timeout(PATIENCE, unread.into_body().collect()).await };
    let error = setting.runtime.block_on(read).expect("an end").unwrap_err();
    assert!(error.to_string().contains("reset") || format!("{error:?}").contains("CANCEL"), "{error:?}");
    setting.server.dispatcher().broadcast("e", &1).unwrap();
    setting.read_until(&mut stream, "data: 1");
    assert_eq!(setting.get(&mut client, "/health").status(), 200);
}

#[test]
fn a_file_that_many_streams_do_not_read_is_in_memory_once_and_they_end() {
    const CONNECTIONS: usize = 4;
    const STREAMS: usize = 100;
    let (directory, pair) = (assets(8 << 20), Pair::new());
    let files = pair.files();
    let child = Child::start(&[
        ("TURTED_ASSETS_DIR", directory.path().to_str().unwrap()),
        ("TURTED_TLS_CERT", files.cert.to_str().unwrap()),
        ("TURTED_TLS_KEY", files.key.to_str().unwrap()),
        ("TURTED_LIMITS_OUTBOX_STALL", "3s"),
    ]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let before = child.memory();
    let mut clients: Vec<_> =
        (0..CONNECTIONS).map(|_| connect(&runtime, &pair, child.address(), 0)).collect();
    let ask = async {
        let mut unread = Vec::new();
        for client in &mut clients {
            for _ in 0..STREAMS {
                let request = request("GET", "/socket.io/large.js", &[], "");
                let response = timeout(PATIENCE, client.sender.send_request(request)).await;
                unread.push(response.expect("a head").unwrap());
            }
        }
        unread
    };
    let unread = runtime.block_on(ask);
    let gained = child.memory().saturating_sub(before);
    println!("{gained} bytes for {} streams", unread.len());
    assert!(gained < (8 << 20) + 10_000_000, "{gained} bytes for {} streams", unread.len());
    let read = async {
        for response in unread {
            let end = timeout(PATIENCE, response.into_body().collect()).await;
            assert!(end.expect("an end").is_err(), "they were reset");
        }
    };
    runtime.block_on(read);
    let count = format!("turted_unread_answers_total {}\n", CONNECTIONS * STREAMS);
    let page = child.admin().get("/metrics");
    assert!(page.text().contains(&count), "{}", page.text());
}
