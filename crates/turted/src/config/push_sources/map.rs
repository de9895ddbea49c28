//! `map` of a source: templates and an expression, checked against what the type of the source fills.

use super::keys::MapSettings;
use crate::config::collect::Collected;
use crate::config::error::Problem;
use crate::config::suggest::nearest_name;
use turted_core::push::map::{Expression, Map, PayloadForm};
use turted_core::push::template::{Place, Template, TemplateFault};

/// Users and channels of one map together: each is a template that is filled for each message.
const NAMES_MAX: usize = 100;

/// The map for messages that have these places, and whose payload is `payload` unless the map says otherwise.
pub(super) fn resolve(
    collected: &mut Collected,
    settings: &MapSettings,
    (places, payload): (&[Place], PayloadForm),
) -> Option<Map> {
    let mut resolving = Resolving { collected, settings, sound: true };
    let expression = resolving.expression();
    if !resolving.sound {
        // Every placeholder of a capture would be reported as well.
        return None;
    }
    let captures = expression.as_ref().map(Expression::captures).unwrap_or_default();
    let mut template = |key, text: &str| resolving.template(key, text, (places, &captures));
    let event = settings.event.as_deref().and_then(|text| template("event", text));
    let users = settings.users.iter().filter_map(|text| template("users", text)).collect();
    let channels = settings.channels.iter().filter_map(|text| template("channels", text)).collect();
    let broadcast = template("broadcast", settings.broadcast.as_deref().unwrap_or_default())?;
    let payload = settings.payload.unwrap_or(payload);
    if settings.event.is_none() {
        resolving.blame("event", "`sources.map` needs `event`");
    }
    if settings.users.is_empty() && settings.channels.is_empty() && settings.broadcast.is_none() {
        resolving.blame("event", "`sources.map` needs `users`, `channels` or `broadcast`");
    }
    if settings.users.len() + settings.channels.len() > NAMES_MAX {
        let what = format!("a map has at most {NAMES_MAX} users and channels");
        resolving.blame("channels", &what);
    }
    if payload == PayloadForm::Captures && captures.iter().flatten().next().is_none() {
        let what = "`sources.map.payload` = \"captures\" needs `match` with named groups: (?<name>..)";
        resolving.blame("payload", what);
    }
    let sound = resolving.sound;
    sound.then_some(Map {
        event: event?,
        users,
        channels,
        broadcast,
        payload,
        expression: expression.clone(),
    })
}

struct Resolving<'a> {
    collected: &'a mut Collected,
    settings: &'a MapSettings,
    sound: bool,
}

impl Resolving<'_> {
    fn blame(&mut self, key: &str, what: &str) {
        let origin = self.settings.origins.get(key).unwrap_or(&self.settings.origin);
        self.collected.problem(Problem::at(origin.clone(), what));
        self.sound = false;
    }

    fn expression(&mut self) -> Option<Expression> {
        let text = self.settings.expression.as_ref()?;
        Expression::new(text)
            .map_err(|fault| self.blame("match", &format!("`sources.map.match`: {fault}")))
            .ok()
    }

    fn template(
        &mut self,
        key: &'static str,
        text: &str,
        (places, captures): (&[Place], &[Option<&str>]),
    ) -> Option<Template> {
        let fault = match Template::parse(text, places, captures) {
            Ok(template) => return Some(template),
            Err(fault) => fault,
        };
        let near = match &fault {
            TemplateFault::Unknown(name) => {
                let places = places.iter().map(|place| place.name());
                nearest_name(name, places.chain(captures.iter().copied().flatten()))
            }
            TemplateFault::Brace(_) => String::new(),
        };
        self.blame(key, &format!("`sources.map.{key}`: {fault}{near}"));
        None
    }
}
