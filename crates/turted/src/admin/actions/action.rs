//! Which action a request is, by its path and its method.

use turted_core::cursor::Cursor;
use turted_core::name::Name;

use crate::admin::api::{read_connection, read_name, read_position};
use crate::admin::query::target;
use crate::admin::refusal::ApiRefusal;
use crate::hub::worker::queries::ConnectionWanted;

/// What is changed, as the path of a request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Action {
    Push,
    DisconnectUser(Name),
    DisconnectConnection(ConnectionWanted),
    Remove(Name),
    /// Of this channel, all of it or what stands at one position.
    DeleteHistory(Name, Option<Cursor>),
}

impl Action {
    /// Whether all nodes of a cluster do it. A push reaches them by the log.
    pub(in crate::admin) fn is_for_all(&self) -> bool {
        !matches!(self, Self::Push)
    }

    /// Whether all nodes do it even if one is named: they all keep the same history.
    pub(in crate::admin) fn is_for_none_alone(&self) -> bool {
        matches!(self, Self::DeleteHistory(..))
    }

    /// The node of a cluster that has the connection, if that is known by its id.
    pub(in crate::admin) fn node(&self) -> Option<u16> {
        match self {
            Self::DisconnectConnection(wanted) => wanted.id()?.node(),
            _ => None,
        }
    }
}

/// The methods of a path.
pub(in crate::admin) fn methods_of(path: &str) -> &'static str {
    let path = path.strip_prefix("/api/v1/").unwrap_or_default();
    match path.split('/').collect::<Vec<_>>()[..] {
        ["push"] | ["users" | "connections", _, "disconnect"] | ["channels", _, "remove"] => "POST",
        // One that is named so, or with the name in a parameter.
        ["users", "disconnect"] | ["channels", "remove"] => "GET, HEAD, POST",
        ["channels", _, "history"] | ["channels", "history"] => "GET, HEAD, DELETE",
        ["channels", _, "history", _] | ["channels", "history", _] => "DELETE",
        _ => "GET, HEAD",
    }
}

/// Reads which action a request is. Its method is one [of its path](methods_of).
pub(in crate::admin) fn read(path: &str, query: Option<&str>) -> Result<Action, ApiRefusal> {
    let (path, query) = target(path, query)?;
    let action = match path.split('/').collect::<Vec<_>>()[..] {
        ["push"] => Action::Push,
        ["users", name, "disconnect"] => Action::DisconnectUser(read_name(name)?),
        ["connections", id, "disconnect"] => Action::DisconnectConnection(read_connection(id)?),
        ["channels", name, "remove"] => Action::Remove(read_name(name)?),
        ["channels", name, "history"] => Action::DeleteHistory(read_name(name)?, None),
        ["channels", name, "history", at] => {
            Action::DeleteHistory(read_name(name)?, Some(read_position(at)?))
        }
        _ => return Err(ApiRefusal::NoSuchPath),
    };
    if query.is_some_and(|query| !query.is_empty()) { Err(ApiRefusal::ActionQuery) } else { Ok(action) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_has_its_path_and_its_method() {
        let (adam, chat) = (Name::new("a/dam").unwrap(), Name::new("chat").unwrap());
        for (path, method, action) in [
            ("push", "POST", Some(Action::Push)),
            ("users/a%2Fdam/disconnect", "POST", Some(Action::DisconnectUser(adam))),
            ("channels/chat/remove", "POST", Some(Action::Remove(chat.clone()))),
            ("channels/chat/history", "GET, HEAD, DELETE", Some(Action::DeleteHistory(chat.clone(), None))),
            (
                "channels/chat/history/ff-36",
                "DELETE",
                Some(Action::DeleteHistory(chat, "ff-36".parse().ok())),
            ),
            ("channels/chat", "GET, HEAD", None),
            ("channels/remove", "GET, HEAD, POST", None),
            ("users/a/b/disconnect", "GET, HEAD", None),
            ("push/push", "GET, HEAD", None),
        ] {
            let path = format!("/api/v1/{path}");
            assert_eq!((methods_of(&path), read(&path, None).ok()), (method, action), "{path}");
        }
        let named = read("/api/v1/users/disconnect", Some("name=..")).ok();
        assert_eq!(named, Some(Action::DisconnectUser(Name::new("..").unwrap())));
        assert_eq!(read("/api/v1/push", Some("a=1")).unwrap_err(), ApiRefusal::ActionQuery);
        assert_eq!(methods_of("/metrics"), "GET, HEAD");
    }
}
