//! Which endpoint answers which path: one line for each transport and each push connector.

use std::sync::Arc;

use hyper::StatusCode;

use crate::config::Config;
use crate::http::endpoint::{Answering, Endpoint, Endpoints};
use crate::http::{Call, HEALTH, text, without_slash};
use crate::push::rest::{PushGate, Rest};
use crate::server::demo::{Demo, IdentNeeds, NoDemo};
use crate::transport::assets::{Assets, Library};
use crate::transport::socketio::SocketIo;
use crate::transport::sockjs::Mount;
use crate::transport::sse::{Sse, Style};
use crate::transport::websocket::WebSocket;

/// What the endpoints of a server are made of.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    pub(crate) config: &'a Config,
    pub(crate) push: &'a Arc<PushGate>,
    /// The browser clients; `None` if the server has none.
    pub(crate) assets: Option<Arc<Assets>>,
    pub(crate) ident_needs: IdentNeeds,
}

/// Makes an endpoint.
type Make = fn(&Site<'_>) -> Arc<dyn Endpoint>;

/// The endpoints of turted, in the order in which they are asked.
const ENDPOINTS: &[Make] = &[
    |site| Arc::new(SocketIo::turted(site.config, site.assets.clone())),
    |site| Arc::new(Rest::new(site.config, site.push)),
    |site| Arc::new(Rest::presence(site.config, site.push)),
    |site| Arc::new(WebSocket::turted(site.config)),
    |site| Arc::new(Sse::new(site.config, Style::Turted)),
    |site| Arc::new(Mount::turted(site.config, site.assets.clone())),
    |_| Arc::new(Health),
    |_| Arc::new(Library::new()),
    |site| Arc::new(Demo::new(site.config, site.ident_needs)),
    |site| Arc::new(Sse::new(site.config, Style::ReactPhp)),
    |_| Arc::new(NoDemo),
];

/// What turted serves.
pub(crate) fn turted(site: &Site<'_>) -> Endpoints {
    Endpoints::new(ENDPOINTS.iter().map(|make| make(site)).collect())
}

/// Tells load balancers that the server is alive.
#[derive(Debug)]
struct Health;

impl Endpoint for Health {
    fn serves(&self, path: &str) -> bool {
        without_slash(path) == HEALTH
    }

    fn answer(self: Arc<Self>, _: Call) -> Answering {
        Box::pin(async { text(StatusCode::OK, "ok\n").into() })
    }

    fn is_for_operators(&self) -> bool {
        true
    }
}
