//! `/demo`: a page that shows in a browser what turted does, and `GET /`, which leads there.
//!
//! The page is a chat: it identifies a user, joins channels, shows events as they come, pushes, and says how to push
//! the same from elsewhere. It is a client like any other: it may do only what its credentials allow.
//!
//! | file | what |
//! |---|---|
//! | `reach` | whether the page is there, and for which requests |
//! | `page` | its files |
//!
//! `demo.html`, `demo.css` and `demo.js` are part of the program.

mod reach;
mod page;

use std::sync::Arc;

use hyper::header::{ACCEPT, HeaderMap, HeaderValue, LOCATION, VARY};
use hyper::{Method, StatusCode};

pub(crate) use self::page::IdentNeeds;
use self::page::Page;
use self::reach::is_below;
pub(crate) use self::reach::{PATH, Reach};
use crate::config::Config;
use crate::http::embedded;
use crate::http::endpoint::{Answering, Endpoint};
use crate::http::negotiation::{Named, liking};
use crate::http::{Answer, Call, bare, nothing_here, text};

/// The answer where the page is not.
const OFF: &str = "there is no demo here: without a setting it is for requests to a loopback address, where nothing \
needs credentials; demo = true (TURTED_DEMO, --demo) turns it on";

/// The endpoint of the page, where it is on.
#[derive(Debug)]
pub(crate) struct Demo {
    reach: Reach,
    page: Page,
    /// Whether `/` leads here. Event streams of TURTED for reactphp may be there.
    has_root: bool,
}

impl Demo {
    pub(crate) fn new(config: &Config, needs: IdentNeeds) -> Self {
        let has_root = config.sse.reactphp_path.as_deref() != Some("");
        Self { reach: Reach::of(config), page: Page::new(config, needs), has_root }
    }

    fn answer_for(&self, call: &Call) -> Answer {
        let (request, path) = (&call.request, call.request.uri().path());
        let is_reached = self.reach.includes(request);
        if path == "/" {
            let is_visit = matches!(*request.method(), Method::GET | Method::HEAD);
            let leads = is_reached && is_visit && reads_html(request.headers());
            return if leads { lead_here() } else { nothing_here() };
        }
        match self.page.file(path) {
            Some(file) if is_reached => embedded::protect(file.answer(request)),
            Some(_) => text(StatusCode::NOT_FOUND, OFF),
            None => nothing_here(),
        }
    }
}

impl Endpoint for Demo {
    fn serves(&self, path: &str) -> bool {
        self.reach != Reach::Off && (is_below(path) || (self.has_root && path == "/"))
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        let answer = self.answer_for(&call);
        Box::pin(async { answer.into() })
    }
}

/// What says how to turn the page on. Every other endpoint is asked before it.
#[derive(Debug)]
pub(crate) struct NoDemo;

impl Endpoint for NoDemo {
    fn serves(&self, path: &str) -> bool {
        is_below(path)
    }

    fn answer(self: Arc<Self>, _: Call) -> Answering {
        Box::pin(async { text(StatusCode::NOT_FOUND, OFF).into() })
    }
}

/// Whether a request is one of a browser that shows a page: it names the type.
fn reads_html(headers: &HeaderMap) -> bool {
    let html = liking(headers, "text/html");
    html.named == Named::Exactly && html.weight > 0
}

fn lead_here() -> Answer {
    let mut answer = bare(StatusCode::SEE_OTHER, "");
    let headers = answer.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_static(PATH));
    headers.insert(VARY, HeaderValue::from_name(ACCEPT));
    answer
}
