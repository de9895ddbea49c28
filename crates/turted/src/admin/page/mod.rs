//! The page for operators, at `/`: what the API and the live view tell, on one screen.
//!
//! `admin.html`, `admin.css` and `admin.js` are part of the program. They need no token; all that the page shows does where
//! one is set.

use hyper::{Method, Request};

use crate::http::embedded::Embedded;

const HTML: &str = include_str!("admin.html");
const CSS: &str = include_str!("admin.css");
const JS: &str = include_str!("admin.js");

/// The files.
#[derive(Debug)]
pub(super) struct PageFiles {
    html: Embedded,
    css: Embedded,
    js: Embedded,
}

impl PageFiles {
    pub(super) fn new() -> Self {
        Self {
            html: Embedded::new("text/html; charset=utf-8", HTML),
            css: Embedded::new("text/css; charset=utf-8", CSS),
            js: Embedded::new("text/javascript; charset=utf-8", JS),
        }
    }

    /// The file at this path, which has no slash at its end.
    pub(super) fn file(&self, path: &str) -> Option<&Embedded> {
        match path {
            "" => Some(&self.html),
            "/admin.css" => Some(&self.css),
            "/admin.js" => Some(&self.js),
            _ => None,
        }
    }
}

/// Whether a browser opens the page in a tab of its own, wherever the link to it stands.
pub(super) fn is_visit<B>(path: &str, request: &Request<B>) -> bool {
    let says = |name: &str, value: &str| request.headers().get(name).is_some_and(|own| own == value);
    path.is_empty()
        && matches!(*request.method(), Method::GET | Method::HEAD)
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The issue of the page: it is loaded over tunnels and by phones.
    const BYTES_MAX: usize = 60_000;

    #[test]
    fn the_page_is_small_and_asks_no_other_host() {
        let bytes = HTML.len() + CSS.len() + JS.len();
        assert!(bytes < BYTES_MAX, "{bytes}");
        for file in [HTML, CSS, JS] {
            let hosts = file.split("://").skip(1);
            // The name of a language, and an address that is shown.
            let known = ["www.w3.org/2000/svg", "127.0.0.1:7117/push/"];
            assert!(hosts.into_iter().all(|host| known.iter().any(|known| host.starts_with(known))));
            assert!(!file.contains("innerHTML") && !file.contains("insertAdjacentHTML"));
        }
        for address in HTML.split(['"', '\'']).filter(|text| text.ends_with(".js") || text.ends_with(".css"))
        {
            assert!(!address.starts_with('/'), "{address} would miss the path of a proxy");
        }
    }
}
