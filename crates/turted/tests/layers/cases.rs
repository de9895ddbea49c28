//! The checks, tested on small crates.

use crate::circles::circles;
use crate::graph::Graph;
use crate::layers::violations;
use crate::tree::Sources;

type Files<'a> = &'a [(&'a str, &'a str)];

/// A crate with `http` and, below it, `io`.
const BASE: Files<'static> = &[
    ("lib.rs", "mod http; mod io;"),
    ("http/mod.rs", "pub(crate) mod two; pub(crate) use two::ALPN; pub(crate) use two::*;"),
    ("http/two.rs", "pub(crate) const ALPN: u8 = 2; pub(crate) fn serve() {} pub(crate) trait Serve {}"),
    ("io/mod.rs", "mod tls;"),
    ("io/tls.rs", "pub(crate) struct Session;"),
];

/// The graph of `BASE` with `files`, which are added or replace files of the same name.
fn graph(files: Files<'_>) -> Graph {
    let sources: Sources =
        BASE.iter().chain(files).map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    let graph = Graph::of(&sources);
    assert!(graph.unknown.is_empty(), "{files:?}: {:?}", graph.unknown);
    graph
}

/// Checks what `io/tls.rs` imports if `text` is in it, written as `FILE: NAMES`.
#[track_caller]
fn check(text: &str, files: Files<'_>, imports: &[&str]) {
    let graph = graph(&[files, &[("io/tls.rs", text)]].concat());
    let of_tls = graph.imports.iter().filter(|((from, _), _)| from == "io/tls.rs");
    let found: Vec<_> = of_tls
        .map(|((_, to), names)| format!("{to}: {}", Vec::from_iter(names.clone()).join(", ")))
        .collect();
    assert_eq!(found, imports, "{text}");
}

#[test]
fn an_import_leads_to_the_file_that_defines_its_name() {
    for text in [
        "use crate::http::two::ALPN;",
        "use crate::http::ALPN;",
        "use crate::http::ALPN as Protocol;",
        "use super::super::http::{ALPN};",
        "fn local() { use crate::http::ALPN; }",
        "use crate::{http as web}; const ALPN: u8 = web::ALPN;",
        "use crate::http::two::{self}; fn shown() { two::ALPN; }",
        "fn f() { mod up { pub(super) use crate::http::ALPN; } }",
        "fn f() { mod up { pub(super) fn g() { super::super::super::http::ALPN; } } }",
        "fn f() { tokio::select! { () = g() => { use crate::http::{ALPN}; } } }",
        "fn f() { m! { use crate::http as up; up::ALPN } }",
    ] {
        check(text, &[], &["http/two.rs: ALPN"]);
    }
}

/// A glob imports its module, the names that are used, and all traits, because their methods are called
/// without naming the trait.
#[test]
fn a_glob_imports_its_module_and_what_is_used_of_it() {
    let text = "use crate::http::*; const PROTOCOL: [u8; 1] = [ALPN];";
    check(text, &[], &["http/mod.rs: *", "http/two.rs: ALPN, Serve"]);
    check("use crate::http::two::*; fn f() { assert!(serve()) }", &[], &["http/two.rs: *, Serve, serve"]);
    check("pub(crate) use crate::http::*;", &[], &["http/mod.rs: *", "http/two.rs: Serve"]);
    check("use super::*;", &[], &["io/mod.rs: *"]);
}

#[test]
fn a_path_in_a_macro_imports_the_module_where_it_ends() {
    check("fn f() { m!(crate::http) }", &[], &["http/mod.rs: *"]);
    for text in [
        "macro_rules! m { ($n:ident) => { crate::http::$n } }",
        "macro_rules! m { ($n:ident) => { use crate::http::{$n}; } }",
        "use crate::http; macro_rules! m { ($n:ident) => { http::$n } }",
    ] {
        check(text, &[], &["http/mod.rs: *", "http/two.rs: Serve"]);
    }
    check("macro_rules! m { () => { pub(crate) struct S; } }", &[], &[]);
    check_layers(
        &[("io/tls.rs", "macro_rules! m { ($n:ident) => { crate::$n } }")],
        &["crates/turted/src/io/tls.rs imports lib.rs (*): lib.rs belongs to no layer"],
    );
}

#[test]
fn a_path_in_code_is_an_import() {
    for text in [
        "fn f() { crate::http::serve() }",
        "fn f() { super::super::http::two::serve() }",
        "fn f() { debug!(%error, served = crate::http::serve(), \"text\"); }",
        "fn f() { tokio::select! { () = async { crate::http::serve() } => {} } }",
        "use crate::http; fn f() { log!([http::serve]) }",
        "macro_rules! serve { () => { $crate::http::serve() }; }",
        "#[arg(value_parser = crate::http::serve)] struct Args;",
        "#[serde(default = \"crate::http::serve\")] struct Args;",
        "struct Args { #[serde(default = \"super::super::http::serve\")] port: u16 }",
        "use crate::http; #[serde(default = \"http::serve\")] struct Args;",
    ] {
        check(text, &[], &["http/two.rs: serve"]);
    }
    for text in [
        "struct Session; impl crate::http::Serve for Session {}",
        "impl dyn crate::http::Serve {}",
        "#[serde(bound = \"T: crate::http::Serve\")] struct Args<T>(T);",
        "fn f() { <u8 as crate::http::Serve>::serve() }",
        "fn f<T: crate::http::Serve>() {}",
    ] {
        check(text, &[], &["http/two.rs: Serve"]);
    }
}

#[test]
fn what_is_for_tests_or_of_another_crate_is_no_import() {
    for text in [
        "#[cfg(test)] use crate::http::ALPN;",
        "#[cfg(test)] mod tests { use crate::http::ALPN; }",
        "#[cfg(test)] mod tests;",
        "struct Session; impl Session { #[cfg(test)] fn f() { crate::http::serve() } }",
        "/// [`crate::http::ALPN`]\nconst TEXT: &str = \"crate::http::ALPN\"; // crate::http::ALPN",
        "use http::StatusCode; fn f() { http::serve(); two::serve() }",
        "use ::http::two::ALPN;",
        "pub(in crate::http) struct Session; impl Iterator for Session {}",
    ] {
        check(text, &[], &[]);
    }
}

#[test]
fn reexports_are_followed() {
    let chained = [
        ("http/mod.rs", "mod deep; mod two; pub(crate) use deep::*;"),
        ("http/deep.rs", "pub(crate) use super::two::{ALPN as PROTOCOL};"),
    ];
    check("use crate::http::PROTOCOL;", &chained, &["http/two.rs: ALPN"]);

    let namesake = [
        ("http/mod.rs", "mod connect; pub(crate) use connect::connect;"),
        ("http/connect.rs", "pub(crate) fn connect() {} pub(crate) fn offset() {}"),
    ];
    let text = "use crate::http::connect; fn f() { connect(); connect::offset() }";
    check(text, &namesake, &["http/connect.rs: connect, offset"]);

    let block = [("lib.rs", "mod http; mod io; pub mod web { pub use crate::http::{serve}; }")];
    check("use crate::web::serve;", &block, &["http/two.rs: serve"]);

    let foreign = [("http/mod.rs", "pub(crate) use turted_core::auth::Secret;")];
    check("use crate::http::Secret;", &foreign, &["http/mod.rs: Secret"]);
}

#[test]
fn a_path_that_leads_nowhere_is_reported() {
    let sources = [("lib.rs", "mod io;"), ("io.rs", "fn f() { crate::http::serve() }")];
    let sources = sources.map(|(file, text)| (file.to_owned(), text.to_owned())).into();
    assert_eq!(Vec::from_iter(Graph::of(&sources).unknown), ["io.rs: crate::http::serve"]);
}

#[track_caller]
fn check_layers(files: Files<'_>, expected: &[&str]) {
    assert_eq!(violations(&graph(files)), expected);
}

#[test]
fn imports_go_downwards_only() {
    check_layers(&[("http/two.rs", "use crate::io::tls::Session; const ALPN: Session = Session;")], &[]);
    check_layers(
        &[("io/tls.rs", "use crate::http::ALPN;")],
        &[
            "crates/turted/src/io/tls.rs imports http/two.rs (ALPN): io lies below http, imports go downwards only",
        ],
    );
    check_layers(
        &[("io/mod.rs", "pub(crate) use crate::http::ALPN;")],
        &[
            "crates/turted/src/io/mod.rs imports http/two.rs (ALPN): io lies below http, imports go downwards only",
        ],
    );
    let hub = [
        ("lib.rs", "mod hub;"),
        ("hub/mod.rs", "mod run; mod worker;"),
        ("hub/run.rs", "pub(crate) fn run() { super::worker::work() }"),
        ("hub/worker/mod.rs", "pub(crate) fn work() { crate::hub::run::run() }"),
    ];
    check_layers(
        &hub,
        &["crates/turted/src/hub/worker/mod.rs imports hub/run.rs (run): \
           hub/worker lies below hub/run.rs, imports go downwards only"],
    );
}

#[test]
fn an_impl_stands_in_the_layer_of_something_that_it_names() {
    let check = |text, expected: &[&str]| {
        let files = [
            ("http/mod.rs", "mod one; mod two;"),
            ("http/one.rs", text),
            ("io/mod.rs", "pub(crate) mod tls; impl tls::Session {}"),
            ("io/tls.rs", "pub(crate) struct Session; pub(crate) struct Of<T>(T); pub(crate) trait Wait {}"),
        ];
        check_layers(&files, expected);
    };
    check("struct Own; impl Own {} impl Drop for Own {} impl crate::io::tls::Wait for Own {}", &[]);
    check("struct Own; impl From<Own> for crate::io::tls::Session {} impl crate::io::tls::Of<Own> {}", &[]);
    check("impl super::two::Serve for crate::io::tls::Session {}", &[]);
    for (text, names) in [
        ("impl crate::io::tls::Session {}", "crate::io::tls::Session"),
        ("fn f() { impl crate::io::tls::Session {} }", "crate::io::tls::Session"),
        ("use crate::io::tls; impl Drop for tls::Session {}", "Drop, tls::Session"),
        ("type Own = crate::io::tls::Session; impl Own {}", "Own"),
        ("fn f() { type Own = crate::io::tls::Session; impl Own {} }", "Own"),
        (
            "pub(crate) use std::ops::Drop; impl Drop for crate::io::tls::Session {}",
            "Drop, crate::io::tls::Session",
        ),
        ("impl crate::io::tls::Wait for u8 {}", "crate::io::tls::Wait, u8"),
    ] {
        let violation = format!(
            "crates/turted/src/http/one.rs has an impl of {names}: \
             an impl stands in the layer of its type, of its trait or of a parameter of these"
        );
        check(text, &[&violation]);
    }
}

#[test]
fn nothing_may_hide_an_import() {
    for (text, hideout) in [
        ("extern crate self as me;", "extern crate"),
        ("m! { extern crate self as me; }", "extern crate"),
        ("include!(\"../http/two.rs\");", "include!"),
        ("fn f() { m!(std::include!(\"../http/two.rs\")) }", "include!"),
        ("m! { mod up; }", "a module that a macro declares"),
        ("m! { impl<T> From<T> for Session {} }", "an impl in a macro"),
        ("#[path = \"../http/two.rs\"] mod up {}", "#[path]"),
        ("#[macro_use] mod up {}", "#[macro_use]"),
        ("#[cfg_attr(unix, path = \"../http/two.rs\")] mod up {}", "#[cfg_attr]"),
        ("#[cfg_attr(unix, allow(dead_code), path = \"../http/two.rs\")] mod up {}", "#[cfg_attr]"),
        (
            "macro_rules! m { ($n:ident) => { $n::serve() } }",
            "a path that leads through a variable of a macro",
        ),
    ] {
        let violation = format!("crates/turted/src/io/tls.rs has {hideout}: it could hide an import");
        let violations = violations(&graph(&[("io/tls.rs", text)]));
        assert!(violations.contains(&violation), "{text}: {violations:?}");
    }
}

#[test]
fn a_lint_that_some_builds_allow_hides_nothing() {
    let text = "#[cfg_attr(not(unix), allow(dead_code, reason = \"a few\"))] fn f() {}";
    assert_eq!(violations(&graph(&[("io/tls.rs", text)])), [""; 0]);
}

#[test]
fn what_lies_beside_imports_nothing_of_each_other() {
    let files = [
        ("lib.rs", "mod push; mod transport;"),
        ("push/mod.rs", "use crate::transport::query::Query; pub(crate) struct Push;"),
        ("transport/mod.rs", "pub(crate) mod query; mod sockjs; mod sse;"),
        ("transport/query.rs", "pub(crate) struct Query;"),
        ("transport/sockjs/mod.rs", "use super::query::Query; use super::sse::Stream;"),
        ("transport/sse/mod.rs", "use crate::push::Push; pub(crate) struct Stream;"),
    ];
    let beside = "lie beside each other, imports go downwards only";
    check_layers(
        &files,
        &[
            &format!(
                "crates/turted/src/push/mod.rs imports transport/query.rs (Query): push and transport {beside}"
            ),
            &format!(
                "crates/turted/src/transport/sockjs/mod.rs imports transport/sse/mod.rs (Stream): \
                 transport/sockjs and transport/sse {beside}"
            ),
            &format!(
                "crates/turted/src/transport/sse/mod.rs imports push/mod.rs (Push): transport and push {beside}"
            ),
        ],
    );
}

#[test]
fn every_file_belongs_to_a_layer() {
    let files = [("lib.rs", "mod http; mod io; mod util;"), ("util.rs", "pub(crate) fn help() {}")];
    check_layers(&files, &["crates/turted/src/util.rs belongs to no layer"]);
}

#[test]
fn four_files_are_too_many_for_a_circle() {
    let four = [
        ("io/mod.rs", "mod a; mod b; mod c; mod d;"),
        ("io/a.rs", "pub(crate) fn a() { super::b::b() }"),
        ("io/b.rs", "pub(crate) fn b() { super::c::c() }"),
        ("io/c.rs", "use super::d; pub(crate) fn c() { d::d() }"),
        ("io/d.rs", "use super::a::a as first; pub(crate) fn d() { first() }"),
    ];
    let expected = "4 files import each other in a circle: io/a.rs, io/b.rs, io/c.rs, io/d.rs; for example
    io/a.rs imports io/b.rs (b)
    io/b.rs imports io/c.rs (c)
    io/c.rs imports io/d.rs (d)
    io/d.rs imports io/a.rs (a)";
    assert_eq!(circles(&graph(&four)), [expected]);
    let three = [&four[..], &[("io/c.rs", "use super::a::a; pub(crate) fn c() { a() }")]].concat();
    assert_eq!(circles(&graph(&three)), [""; 0]);
}
