use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::yield_now;

use super::*;

/// What the engine has: values by name, with the process that owns them.
type Values = Arc<Mutex<HashMap<String, (u64, Bytes)>>>;

/// Answers the questions of a process as an engine does.
fn serve(values: &Values, process: u64, mut questions: mpsc::Receiver<Question>) {
    let values = Arc::clone(values);
    #[expect(clippy::disallowed_methods, reason = "the runtime ends with the test")]
    tokio::spawn(async move {
        while let Some(question) = questions.recv().await {
            let done = apply(&mut values.lock().unwrap(), process, &question.change());
            question.settle(&done);
        }
    });
}

fn apply(values: &mut HashMap<String, (u64, Bytes)>, process: u64, change: &Change<'_>) -> Changed {
    let (Change::Hold { name, .. } | Change::Get { name } | Change::Delete { name }) = change else {
        panic!("{change:?}");
    };
    let found = values.get(*name).cloned();
    match (change, found) {
        (Change::Get { .. }, None) => Changed::Missing,
        (Change::Get { .. }, Some((owner, value))) => Changed::Value(owner, value),
        (_, Some((owner, value))) if owner != process => Changed::Owned(owner, value),
        (Change::Hold { value, .. }, _) => {
            values.insert((*name).to_owned(), (process, Bytes::copy_from_slice(value)));
            Changed::Done
        }
        _ => {
            values.remove(*name);
            Changed::Done
        }
    }
}

fn node(values: &Values, process: u64) -> Claims {
    let (claims, questions) = Claims::new();
    serve(values, process, questions);
    claims
}

fn key(text: &str) -> SessionKey {
    SessionKey::of(text.as_bytes())
}

#[tokio::test(start_paused = true)]
async fn the_first_request_claims_a_session_and_the_other_nodes_find_it() {
    let values = Values::default();
    let (first, second) = (node(&values, 10), node(&values, 20));
    assert_eq!(first.find(1, key("a"), Opening::OpensNothing).await, Ok(Place::Here), "nobody knows it");
    assert!(values.lock().unwrap().is_empty(), "nothing is claimed by a request that opens nothing");
    assert_eq!(first.find(1, key("a"), Opening::Opens).await, Ok(Place::Here));
    for opening in [Opening::Opens, Opening::OpensNothing] {
        assert_eq!(second.find(2, key("a"), opening).await, Ok(Place::Node(1)));
        assert_eq!(first.find(1, key("a"), opening).await, Ok(Place::Here));
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_given_up_with_its_session() {
    let values = Values::default();
    let (first, second) = (node(&values, 10), node(&values, 20));
    first.find(1, key("a"), Opening::Opens).await.unwrap();
    first.opened(Some(1), key("a"));
    // One session follows the other.
    first.opened(Some(1), key("a"));
    first.closed(key("a"));
    yield_now().await;
    assert_eq!(values.lock().unwrap().len(), 1);
    first.closed(key("a"));
    first.closed(key("a"));
    while !values.lock().unwrap().is_empty() {
        yield_now().await;
    }
    assert_eq!(second.find(2, key("a"), Opening::Opens).await, Ok(Place::Here));
}

/// Waits until the engine has so many values.
async fn await_values(values: &Values, count: usize) {
    let has_come = async {
        while values.lock().unwrap().len() != count {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(1), has_come).await.expect("so many values");
}

#[tokio::test(start_paused = true)]
async fn the_claim_of_a_request_that_opens_nothing_is_given_up_at_once() {
    let values = Values::default();
    let first = node(&values, 10);
    for number in 0..2_000 {
        let key = key(&number.to_string());
        first.find(1, key, Opening::Opens).await.unwrap();
        first.unopened(key);
    }
    assert!(first.own().is_empty());
    await_values(&values, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_keeps_its_claim_when_another_request_for_it_is_refused() {
    let values = Values::default();
    let first = node(&values, 10);
    let key = key("a");
    first.find(1, key, Opening::Opens).await.unwrap();
    first.opened(Some(1), key);
    first.unopened(key);
    await_values(&values, 1).await;
    first.closed(key);
    await_values(&values, 0).await;
    // The other request is refused before this one opens the session.
    first.find(1, key, Opening::Opens).await.unwrap();
    first.unopened(key);
    first.opened(Some(1), key);
    await_values(&values, 1).await;
    assert_eq!(node(&values, 20).find(2, key, Opening::OpensNothing).await, Ok(Place::Node(1)));
    first.closed(key);
    await_values(&values, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_renewed_also_where_the_engine_has_lost_it_and_one_without_a_session_is_given_up() {
    let values = Values::default();
    let first = node(&values, 10);
    for name in ["used", "unused"] {
        first.find(1, key(name), Opening::Opens).await.unwrap();
    }
    first.opened(Some(1), key("used"));
    let unused = question(1, key("unused"), Wish::Find).0.name;
    let lost = values.lock().unwrap().remove(&question(1, key("used"), Wish::Find).0.name);
    assert!(lost.is_some());
    tokio::select! {
        () = first.renew(|| Some(3)) => {}
        () = sleep(RENEW_INTERVAL + Duration::from_secs(1)) => {}
    }
    let values = values.lock().unwrap();
    assert!(!values.contains_key(&unused));
    let held: Vec<_> = values.values().map(|(process, value)| (*process, value.to_vec())).collect();
    assert_eq!(held, [(10, vec![0, 3])]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_cannot_be_looked_up_is_not_unknown() {
    let (claims, mut questions) = Claims::new();
    let began = Instant::now();
    assert_eq!(claims.find(1, key("a"), Opening::Opens).await, Err(ClaimFailure::Silent));
    assert_eq!(began.elapsed(), CLAIM_WAIT_MAX);
    let refusing = async {
        // The first one was given up.
        questions.recv().await.unwrap();
        questions.recv().await.unwrap().settle(&Changed::Refused("no memory".into()));
    };
    let (found, ()) = tokio::join!(claims.find(1, key("a"), Opening::Opens), refusing);
    assert_eq!(found, Err(ClaimFailure::Silent));
    drop(questions);
    assert_eq!(claims.find(1, key("b"), Opening::Opens).await, Err(ClaimFailure::Silent));
}

#[tokio::test(start_paused = true)]
async fn what_others_wrote_there_names_no_node_and_what_is_remembered_can_be_forgotten() {
    let values = Values::default();
    let claims = node(&values, 20);
    let name = question(1, key("a"), Wish::Find).0.name;
    values.lock().unwrap().insert(name.clone(), (7, Bytes::from_static(b"not a number")));
    assert_eq!(claims.find(2, key("a"), Opening::OpensNothing).await, Ok(Place::Here));
    values.lock().unwrap().insert(name.clone(), (7, Bytes::from_static(&[0, 1])));
    assert_eq!(claims.find(2, key("a"), Opening::OpensNothing).await, Ok(Place::Node(1)));
    values.lock().unwrap().insert(name, (7, Bytes::from_static(&[0, 3])));
    assert_eq!(claims.find(2, key("a"), Opening::OpensNothing).await, Ok(Place::Node(1)), "remembered");
    claims.forget(key("a"));
    assert_eq!(claims.find(2, key("a"), Opening::OpensNothing).await, Ok(Place::Node(3)));
}
