//! The browser clients, which pages load from the server: `/turted.js`, and from `assets_dir`
//! `/socket.io/socket.io.js`, and for the iframe of SockJS `/turted/sockjs.min.js`.

mod cache;
mod library;

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};

use crate::http::cors;
use crate::http::{Answer, Unavailable, answer as with_type, text};
pub(crate) use cache::Assets;
use cache::Failure;
pub(crate) use library::Library;

/// The answer while the operator has not set `assets_dir`.
const NO_DIRECTORY: &str = "this server has no copy of the browser client: set assets_dir to the \
directory dist of the npm package socket.io-client (2.x for old pages, 4.x for new ones) or sockjs-client, \
or load the client from elsewhere";

/// The file a request asks for, if it asks for one of the client's files.
pub(crate) fn file_name<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let name = path.strip_prefix(prefix)?;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let known = name.ends_with(".js") || name.ends_with(".js.map");
    (plain && known && !name.starts_with('.')).then_some(name)
}

/// Answers with a file of `assets_dir`, which pages of every origin may load: it is the same for all.
pub(crate) async fn answer(assets: Option<&Arc<Assets>>, name: &str) -> Answer {
    let mut answer = find(assets, name).await;
    cors::let_everyone_read(&mut answer);
    answer
}

async fn find(assets: Option<&Arc<Assets>>, name: &str) -> Answer {
    let Some(assets) = assets else {
        return text(StatusCode::NOT_FOUND, NO_DIRECTORY);
    };
    match assets.get(name).await {
        Ok(bytes) => {
            let kind = if name.ends_with(".map") {
                "application/json"
            } else {
                "application/javascript; charset=utf-8"
            };
            let mut answer = with_type(StatusCode::OK, kind, bytes);
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
            answer
        }
        Err(Failure::Disk(_)) => text(StatusCode::INTERNAL_SERVER_ERROR, "cannot read the file"),
        Err(Failure::NoRoom) => {
            let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, "too many other files are being read");
            Unavailable::Moment.mark(&mut answer);
            answer
        }
        // The reason is for the operator, who finds it in the log.
        Err(_) => text(StatusCode::NOT_FOUND, "assets_dir has no such file"),
    }
}
