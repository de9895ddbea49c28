//! What a broker sends, and what is sent to it.

use super::*;
use crate::secret::Secret;
use proptest::prelude::*;

/// A method frame on the channel as RabbitMQ 3.10 sends it.
const DELIVER: &[u8] = b"\x01\0\x01\0\0\0\x1f\0\x3c\0\x3c\x06turted\0\0\0\0\0\0\0\x05\x01\0\x09orders.eu\xce";

fn field(name: &str, kind: u8, value: &[u8]) -> Vec<u8> {
    [&[u8::try_from(name.len()).unwrap()], name.as_bytes(), &[kind], value].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// All fields of a table as text; `?` where there is none.
fn texts(mut table: Table<'_>) -> Result<Vec<(String, String)>, Violation> {
    let mut texts = Vec::new();
    while let Some(Field { name, value }) = table.next_field()? {
        let value = value.map_or_else(|| "?".into(), |value| String::from_utf8_lossy(&value).into_owned());
        texts.push((String::from_utf8_lossy(name).into_owned(), value));
    }
    Ok(texts)
}

#[test]
fn a_delivery_is_decoded_and_a_cut_frame_is_waited_for() {
    for cut in 0..DELIVER.len() {
        assert_eq!(Frame::decode(&DELIVER[..cut], FRAME_BYTES_MAX), Ok(None), "{cut}");
    }
    let more = [DELIVER, b"more"].concat();
    let (frame, bytes) = Frame::decode(&more, FRAME_BYTES_MAX).unwrap().unwrap();
    assert_eq!((frame.kind, frame.channel, bytes), (FrameKind::Method, 1, DELIVER.len()));
    let delivery = Delivery { tag: 5, is_redelivered: true, exchange: b"", key: b"orders.eu" };
    assert_eq!(Method::decode(frame.payload), Ok(Method::Deliver(delivery)));
}

#[test]
fn what_is_no_frame_is_refused_at_its_first_byte_and_a_long_one_by_its_length() {
    assert_eq!(Frame::decode(b"AMQP\0\0\x09\x01", 4096), Err(Violation::NotAmqp));
    assert_eq!(Frame::decode(b"HTTP/1.1 400", 4096), Err(Violation::NotAmqp));
    let fits = b"\x03\0\x01\0\0\x0f\xf8";
    assert_eq!(Frame::decode(fits, 4096), Ok(None));
    let long = Violation::FrameTooLong { bytes: 4089, most: 4088 };
    assert_eq!(Frame::decode(b"\x03\0\x01\0\0\x0f\xf9", 4096), Err(long));
    assert_eq!(Frame::decode(b"\x08\0\0\0\0\0\0\xcd", 4096), Err(Violation::Malformed("frame")));
}

#[test]
fn each_type_of_a_header_is_text_or_skipped() {
    let table = [
        field("text", b'S', &long(b"adam")),
        field("flag", b't', &[1]),
        field("i8", b'b', &[0xFF]),
        field("u8", b'B', &[0xFF]),
        field("i16", b's', &[0xFF, 0xFE]),
        field("u16", b'u', &[0xFF, 0xFE]),
        field("i32", b'I', &(-7_i32).to_be_bytes()),
        field("u32", b'i', &u32::MAX.to_be_bytes()),
        field("i64", b'l', &i64::MIN.to_be_bytes()),
        field("time", b'T', &7_u64.to_be_bytes()),
        field("f32", b'f', &1.5_f32.to_be_bytes()),
        field("f64", b'd', &0.1_f64.to_be_bytes()),
        field("decimal", b'D', &[2, 0, 0, 0, 7]),
        field("bytes", b'x', &long(b"\0")),
        field("list", b'A', &long(b"S\0\0\0\0")),
        field("table", b'F', &long(&field("x", b't', &[0]))),
        field("void", b'V', b""),
        field("last", b'S', &long(b"")),
    ]
    .concat();
    let expected = [
        ("text", "adam"),
        ("flag", "true"),
        ("i8", "-1"),
        ("u8", "255"),
        ("i16", "-2"),
        ("u16", "65534"),
        ("i32", "-7"),
        ("u32", "4294967295"),
        ("i64", "-9223372036854775808"),
        ("time", "7"),
        ("f32", "1.5"),
        ("f64", "0.1"),
        ("decimal", "?"),
        ("bytes", "?"),
        ("list", "?"),
        ("table", "?"),
        ("void", "?"),
        ("last", ""),
    ];
    let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(texts(Table(&table)).unwrap(), expected);
    assert_eq!(texts(Table(&field("x", b'?', b""))), Err(Violation::Malformed("table")));
}

/// A decoder that recursed would overflow its stack: 21,000 tables in one another are one frame.
#[test]
fn headers_of_any_depth_are_skipped() {
    let level = |inside: usize| [&b"\0F"[..], &u32::try_from(inside).unwrap().to_be_bytes()].concat();
    let table: Vec<u8> = (0..FRAME_BYTES_MAX / 6).rev().flat_map(|inside| level(inside * 6)).collect();
    assert_eq!(texts(Table(&table)).unwrap(), [(String::new(), "?".to_owned())]);
}

#[test]
fn the_properties_of_a_message_are_found_among_all_others() {
    let headers = field("user", b'S', &long(b"adam"));
    let short = |text: &[u8]| [&[u8::try_from(text.len()).unwrap()], text].concat();
    let all = [
        &b"\0\x3c\0\0\0\0\0\0\0\0\0\x2a\xff\xfc"[..],
        &short(b"text/plain"),
        &short(b"utf-8"),
        &long(&headers),
        &[2, 9],
        &short(b"correlation"),
        &short(b"reply"),
        &short(b"1000"),
        &short(b"\xff id"),
        &[0; 8],
        &short(b"type"),
        &short(b"user"),
        &short(b"app"),
        &short(b"cluster"),
    ]
    .concat();
    let header = ContentHeader::decode(&all).unwrap();
    assert_eq!(header.body_bytes, 42);
    let properties = Properties { message_id: Some(b"\xff id"), headers: Table(&headers) };
    assert_eq!(header.properties(), Ok(properties));
    let none = ContentHeader::decode(b"\0\x3c\0\0\0\0\0\0\0\0\0\0\0\0").unwrap();
    assert_eq!(none.properties(), Ok(Properties::default()));
}

/// What a publisher wrote is no fault of the broker: its body is still found.
#[test]
fn malformed_properties_leave_the_length_of_the_body() {
    for properties in [&b"\x20\0\0\0\0\x09short"[..], b"\0\x80\x05id", b"\0\x01", b"\0"] {
        let header = [&b"\0\x3c\0\0\0\0\0\0\0\0\0\x07"[..], properties].concat();
        let header = ContentHeader::decode(&header).unwrap();
        assert_eq!(header.body_bytes, 7);
        assert_eq!(header.properties(), Err(Violation::Malformed("property")), "{properties:?}");
    }
    assert_eq!(ContentHeader::decode(b"\0\x3c\0\0"), Err(Violation::Malformed("content header")));
    assert!(ContentHeader::decode(b"\0\x3d\0\0\0\0\0\0\0\0\0\0\0\0").is_err(), "another class");
}

#[test]
fn a_broker_tells_why_it_closes() {
    let closing = Closing { code: 404, text: b"NOT_FOUND" };
    let close = b"\0\x14\0\x28\x01\x94\x09NOT_FOUND\0\x32\0\x0a";
    assert_eq!(Method::decode(close), Ok(Method::ChannelClose(closing)));
    assert_eq!(Method::decode(b"\0\x0a\0\x32\x01\x94"), Err(Violation::Malformed("method")));
    assert_eq!(Method::decode(b"\0\x5a\0\x0b"), Ok(Method::Other(90, 11)));
}

#[test]
fn a_login_names_the_client_and_never_shows_the_password() {
    let properties =
        [("product", Value::Text("turted")), ("capabilities", Value::Table(&[("x", Value::Flag(true))]))];
    let password = Secret::from("tiger");
    let says = ClientSays::StartOk { properties: &properties, user: "scott", password: &password };
    assert!(!format!("{says:?}").contains("tiger"));
    let mut out = Vec::new();
    says.encode(&mut out);
    let (frame, _) = Frame::decode(&out, FRAME_BYTES_MAX).unwrap().unwrap();
    let table = [field("product", b'S', &long(b"turted")), field("capabilities", b'F', &long(b"\x01xt\x01"))]
        .concat();
    let expected =
        [&b"\0\x0a\0\x0b"[..], &long(&table), b"\x05PLAIN", &long(b"\0scott\0tiger"), b"\x05en_US"].concat();
    assert_eq!(frame.payload, expected);
}

#[test]
fn each_declaration_says_how() {
    let said = |says: ClientSays<'_>| {
        let mut out = Vec::new();
        says.encode(&mut out);
        Frame::decode(&out, FRAME_BYTES_MAX).unwrap().unwrap().0.payload.to_vec()
    };
    let queue = |declare| said(ClientSays::DeclareQueue { queue: "q", declare });
    assert_eq!(queue(Declare::Passive), b"\0\x32\0\x0a\0\0\x01q\x01\0\0\0\0");
    assert_eq!(queue(Declare::Durable), b"\0\x32\0\x0a\0\0\x01q\x02\0\0\0\0");
    let exchange = ClientSays::DeclareExchange { exchange: "e", kind: "topic", declare: Declare::Durable };
    assert_eq!(said(exchange), b"\0\x28\0\x0a\0\0\x01e\x05topic\x02\0\0\0\0");
    let bind =
        ClientSays::Bind { queue: "q", exchange: "e", key: "k", arguments: &[("n", Value::Integer(-1))] };
    let table = long(&field("n", b'l', &[0xFF; 8]));
    assert_eq!(said(bind), [&b"\0\x32\0\x14\0\0\x01q\x01e\x01k\0"[..], &table].concat());
    assert_eq!(said(ClientSays::Reject { tag: 7 }), b"\0\x3c\0\x5a\0\0\0\0\0\0\0\x07\0");
    assert_eq!(said(ClientSays::Qos { prefetch: 100 }), b"\0\x3c\0\x0a\0\0\0\0\0\x64\0");
}

proptest! {
    #[test]
    fn no_bytes_of_a_broker_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Frame::decode(&bytes, 100);
        let _ = Method::decode(&bytes);
        if let Ok(header) = ContentHeader::decode(&bytes) {
            let _ = header.properties().map(|properties| texts(properties.headers));
        }
    }
}
