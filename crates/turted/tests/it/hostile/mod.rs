//! What killed the node server, and every way to break a rule: each is answered, and the server
//! goes on. After each the server still takes a push, delivers it and answers an ECHO.

mod commands;
mod frames;
mod guesses;
mod h2;
mod idents;
mod memory;
mod names;
pub(crate) mod places;
mod polling;
mod pushes;
mod requests;
mod secrets;
mod upgrades;
mod v1;

/// Values of every JSON type, those that confuse programs among them.
const VALUES: [&str; 24] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "1.5",
    "1e400",
    "123456789012345678901234567890",
    r#""""#,
    r#""x""#,
    r#""__proto__""#,
    r#""a\u0000b""#,
    r#""a\r\nb""#,
    r#""\ud800""#,
    "[]",
    "[null]",
    r#"["x"]"#,
    r#"[["x"]]"#,
    "{}",
    r#"{"hasOwnProperty":1}"#,
    r#"{"length":1}"#,
    r#"{"_placeholder":true,"num":0}"#,
];

/// Names that JavaScript has a meaning for.
const INTERNALS: [&str; 4] = ["constructor", "__proto__", "toString", "hasOwnProperty"];
