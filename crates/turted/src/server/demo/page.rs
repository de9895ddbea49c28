//! The files of the page.

use super::reach::PATH;
use crate::config::{ClientAuth, Config};
use crate::http::embedded::Embedded;
use crate::http::without_slash;

const HTML: &str = include_str!("demo.html");
const CSS: &str = include_str!("demo.css");
const JS: &str = include_str!("demo.js");

/// What an IDENT has to show, so that the page asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdentNeeds {
    Nothing,
    Password,
    Token,
    Jwt,
    /// What the backend or the embedding program wants to see, which is not known.
    Data,
}

impl IdentNeeds {
    pub(crate) fn of(method: &ClientAuth) -> Self {
        match method {
            ClientAuth::Accept => Self::Nothing,
            ClientAuth::Password(_) => Self::Password,
            ClientAuth::Token(_) => Self::Token,
            ClientAuth::Jwt(_) => Self::Jwt,
            ClientAuth::Http(_) => Self::Data,
        }
    }

    /// As the page has it.
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Password => "password",
            Self::Token => "token",
            Self::Jwt => "jwt",
            Self::Data => "data",
        }
    }
}

/// The files.
#[derive(Debug)]
pub(super) struct Page {
    html: Embedded,
    css: Embedded,
    js: Embedded,
}

impl Page {
    pub(super) fn new(config: &Config, needs: IdentNeeds) -> Self {
        Self {
            html: Embedded::new("text/html; charset=utf-8", fill(config, needs)),
            css: Embedded::new("text/css; charset=utf-8", CSS),
            js: Embedded::new("text/javascript; charset=utf-8", JS),
        }
    }

    /// The file at this path.
    pub(super) fn file(&self, path: &str) -> Option<&Embedded> {
        match without_slash(path).strip_prefix(PATH)? {
            "" => Some(&self.html),
            "/demo.css" => Some(&self.css),
            "/demo.js" => Some(&self.js),
            _ => None,
        }
    }
}

/// The page with what it has to know of this server: its paths, and what it asks for.
fn fill(config: &Config, needs: IdentNeeds) -> String {
    let push = format!("{}/", config.push.path);
    let password = if config.push.is_open() { "none" } else { "password" };
    let values = [
        ("{websocket}", &*config.websocket.path),
        ("{sockjs}", &*config.sockjs.path),
        ("{push}", &*push),
        ("{ident-needs}", needs.name()),
        ("{push-needs}", password),
    ];
    values.iter().fold(HTML.to_owned(), |html, (name, value)| html.replace(name, &quoted(value)))
}

/// A text as the value of an attribute.
fn quoted(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}
