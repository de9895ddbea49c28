//! A client that comes, goes and comes back, and what it has heard.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use turted_core::close::Closing;
use turted_core::name::Name;
use turted_core::wire::websocket::Message;

use super::{Moment, Scene};
use crate::hub::client::resume::{self, ResumeOutcome, Resumption, Seen};
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::{Carrier, Transport};
use crate::hub::delivery::outlet::{Flushed, Ledger, Outlet, RequestOutlet, RequestState, Sending, Sent};
use crate::hub::delivery::wire::Wire;
use crate::hub::worker::connection::{Client, Connection, Opening};
use crate::hub::worker::session::{Session, Step};
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;
use crate::transport::testing::PEER;

/// A client, wherever it is connected.
#[derive(Default)]
pub(super) struct Member {
    pub(super) id: Option<SessionId>,
    pub(super) began: Moment,
    pub(super) joined: BTreeMap<usize, Moment>,
    pub(super) heard: Vec<u64>,
    pub(super) resumed: usize,
}

/// A client that takes everything at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Listener(pub(super) Rc<RefCell<Vec<u64>>>);

impl RequestOutlet for Listener {
    fn send(&mut self, sending: Sending<'_>, _: &Rc<Ledger>) -> Sent {
        let mut heard = self.0.borrow_mut();
        let mut note = |sequence| heard.extend(Some(sequence).filter(|sequence| *sequence > 0));
        match sending {
            Sending::Frames(frames) => frames.iter().map(Frame::sequence).for_each(&mut note),
            Sending::Ahead(_) => {}
            Sending::Missed(missed) => missed.into_frames().for_each(|frame| note(frame.sequence())),
        }
        Sent::Yes
    }

    fn flush(&mut self, _: &Rc<Ledger>) -> Flushed {
        Flushed { sent: Sent::Yes, bytes: 0 }
    }

    fn carrier(&self) -> Carrier {
        Carrier::Polling
    }

    fn state(&self) -> RequestState<'_> {
        RequestState::NOTHING_WAITS
    }
}

/// A session that says nothing.
#[derive(Debug)]
struct Quiet;

impl Session for Quiet {
    fn transport(&self) -> Transport {
        Transport::SocketIoV4
    }

    fn receive(&self, _: Client<'_>, _: &Message<'_>) -> Step {
        Step::Continue
    }

    fn due(&self, _: Client<'_>, _: Due) {}

    fn expired(&self, _: Client<'_>, _: &[Name]) {}

    fn removed(&self, _: Client<'_>, _: &Name) {}

    fn end(&self, _: &Worker, _: &mut Outlet, _: Closing<'_>) -> Option<Vec<u8>> {
        None
    }
}

/// Connects a member, which comes back if it was there before.
pub(super) async fn connect(
    worker: &Rc<Worker>,
    scene: &Scene,
    member: &mut Member,
) -> (Rc<Connection>, Listener) {
    let listener = Listener::default();
    let opening = Opening {
        peer: PEER,
        session: Box::new(Quiet),
        has_id: true,
        wire: Wire::SOCKET_IO_WITH_OFFSET,
        outlet: Outlet::Requests(Box::new(listener.clone())),
    };
    let connection = Connection::open(worker, opening);
    let Some(id) = member.id else {
        member.id = connection.session_id();
        connection.recovery_id.set(member.id);
        ((), member.began) = scene.at(|| connection.admit(worker));
        return (connection, listener);
    };
    let seen = member.heard.last().map_or(Seen::Nothing, |last| Seen::UpTo(scene.dispatcher.cursor(*last)));
    let client = Client::of(worker, &connection);
    let resumption = Resumption { id: Some(id), seen };
    let wire = connection.wire();
    let outcome = resume::resume(client, &resumption, wire, |_| Frame::text("", 0)).await;
    assert!(matches!(outcome, ResumeOutcome::Resumed), "{outcome:?}");
    member.resumed += 1;
    (connection, listener)
}
