//! What the client says (chapter 1 of the reference of the specification), each as one frame.

use super::Tuning;
use super::frame::put;
use crate::secret::Secret;

/// A value in a table that a client writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A string.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// A boolean.
    Flag(bool),
    /// A table.
    Table(&'a [(&'a str, Value<'a>)]),
}

/// How an exchange or a queue is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declare {
    /// Only asks whether it is there: if not, the broker closes the channel with 404.
    Passive,
    /// Makes it if it is not there, so that it outlives the broker.
    Durable,
}

/// What a client says. Names are at most 255 bytes long, longer ones are cut: whoever configures them checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientSays<'a> {
    /// Logs in by PLAIN.
    StartOk {
        /// What the client is.
        properties: &'a [(&'a str, Value<'a>)],
        /// The user.
        user: &'a str,
        /// Its password.
        password: &'a Secret,
    },
    /// Agrees to these limits.
    TuneOk(Tuning),
    /// Opens a virtual host.
    Open {
        /// Its name.
        virtual_host: &'a str,
    },
    /// Closes the connection.
    Close,
    /// The connection is closed, as the broker asked.
    CloseOk,
    /// Opens the channel.
    ChannelOpen,
    /// Agrees to a pause of publishing, or to its end.
    ChannelFlowOk {
        /// Whether it ends the pause.
        is_active: bool,
    },
    /// The channel is closed, as the broker asked.
    ChannelCloseOk,
    /// Declares an exchange.
    DeclareExchange {
        /// Its name.
        exchange: &'a str,
        /// `direct`, `topic`, `fanout` or `headers`.
        kind: &'a str,
        /// How.
        declare: Declare,
    },
    /// Declares a queue.
    DeclareQueue {
        /// Its name.
        queue: &'a str,
        /// How.
        declare: Declare,
    },
    /// Has a queue receive messages of an exchange.
    Bind {
        /// The queue.
        queue: &'a str,
        /// The exchange.
        exchange: &'a str,
        /// The key of the binding.
        key: &'a str,
        /// Its arguments.
        arguments: &'a [(&'a str, Value<'a>)],
    },
    /// Limits the messages that are delivered and not acknowledged.
    Qos {
        /// How many.
        prefetch: u16,
    },
    /// Asks for the messages of a queue.
    Consume {
        /// Its name.
        queue: &'a str,
        /// The name of the consumer.
        consumer: &'a str,
    },
    /// Asks for no more messages.
    Cancel {
        /// The name of the consumer.
        consumer: &'a str,
    },
    /// Acknowledges a message and all before it.
    AckUpTo {
        /// Its tag.
        tag: u64,
    },
    /// Refuses a message, which the broker is not to deliver again.
    Reject {
        /// Its tag.
        tag: u64,
    },
    /// A sign of life.
    Heartbeat,
}

const METHOD: u8 = 1;
const HEARTBEAT: u8 = 8;
/// The channel of the connection itself.
const CONNECTION: u16 = 0;
/// The one channel of a consumer.
const CHANNEL: u16 = 1;

impl ClientSays<'_> {
    /// Appends the frame.
    ///
    /// ```
    /// use turted_core::wire::amqp::ClientSays;
    /// let mut out = Vec::new();
    /// ClientSays::AckUpTo { tag: 7 }.encode(&mut out);
    /// assert_eq!(out, b"\x01\0\x01\0\0\0\x0d\0\x3c\0\x50\0\0\0\0\0\0\0\x07\x01\xce");
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (channel, class, method) = match self {
            Self::Heartbeat => return put(out, HEARTBEAT, CONNECTION, |_| {}),
            Self::StartOk { .. } => (CONNECTION, 10, 11),
            Self::TuneOk(_) => (CONNECTION, 10, 31),
            Self::Open { .. } => (CONNECTION, 10, 40),
            Self::Close => (CONNECTION, 10, 50),
            Self::CloseOk => (CONNECTION, 10, 51),
            Self::ChannelOpen => (CHANNEL, 20, 10),
            Self::ChannelFlowOk { .. } => (CHANNEL, 20, 21),
            Self::ChannelCloseOk => (CHANNEL, 20, 41),
            Self::DeclareExchange { .. } => (CHANNEL, 40, 10),
            Self::DeclareQueue { .. } => (CHANNEL, 50, 10),
            Self::Bind { .. } => (CHANNEL, 50, 20),
            Self::Qos { .. } => (CHANNEL, 60, 10),
            Self::Consume { .. } => (CHANNEL, 60, 20),
            Self::Cancel { .. } => (CHANNEL, 60, 30),
            Self::AckUpTo { .. } => (CHANNEL, 60, 80),
            Self::Reject { .. } => (CHANNEL, 60, 90),
        };
        put(out, METHOD, channel, |out| {
            out.extend(u16::to_be_bytes(class));
            out.extend(u16::to_be_bytes(method));
            self.arguments(out);
        });
    }

    fn arguments(&self, out: &mut Vec<u8>) {
        match *self {
            Self::StartOk { properties, user, password } => {
                table(out, properties);
                short_string(out, "PLAIN");
                // RFC 4616: nobody to act for, the user, its password.
                let response = [b"\0", user.as_bytes(), b"\0", password.reveal().as_bytes()];
                long(out, |out| response.iter().for_each(|part| out.extend(*part)));
                short_string(out, "en_US");
            }
            Self::TuneOk(Tuning { channels, frame_bytes, heartbeat }) => {
                out.extend(channels.to_be_bytes());
                out.extend(frame_bytes.to_be_bytes());
                out.extend(heartbeat.to_be_bytes());
            }
            Self::Open { virtual_host } => {
                short_string(out, virtual_host);
                // Two arguments that the specification reserves.
                out.extend([0, 0]);
            }
            Self::Close => {
                // 200 is success; no method was the reason.
                out.extend(200_u16.to_be_bytes());
                short_string(out, "");
                out.extend([0; 4]);
            }
            Self::ChannelOpen => short_string(out, ""),
            Self::ChannelFlowOk { is_active } => out.push(u8::from(is_active)),
            Self::DeclareExchange { exchange, kind, declare } => {
                reserved(out);
                short_string(out, exchange);
                short_string(out, kind);
                out.push(declare.bits());
                table(out, &[]);
            }
            Self::DeclareQueue { queue, declare } => {
                reserved(out);
                short_string(out, queue);
                out.push(declare.bits());
                table(out, &[]);
            }
            Self::Bind { queue, exchange, key, arguments } => {
                reserved(out);
                [queue, exchange, key].iter().for_each(|text| short_string(out, text));
                // With an answer.
                out.push(0);
                table(out, arguments);
            }
            Self::Qos { prefetch } => {
                // No limit in bytes, which RabbitMQ does not know.
                out.extend(0_u32.to_be_bytes());
                out.extend(prefetch.to_be_bytes());
                // For the consumers to come, not for the channel as a whole.
                out.push(0);
            }
            Self::Consume { queue, consumer } => {
                reserved(out);
                short_string(out, queue);
                short_string(out, consumer);
                // With acknowledgements, not exclusive, with an answer.
                out.push(0);
                table(out, &[]);
            }
            Self::Cancel { consumer } => {
                short_string(out, consumer);
                out.push(0);
            }
            Self::AckUpTo { tag } => {
                out.extend(tag.to_be_bytes());
                out.push(1);
            }
            Self::Reject { tag } => {
                out.extend(tag.to_be_bytes());
                out.push(0);
            }
            Self::CloseOk | Self::ChannelCloseOk | Self::Heartbeat => {}
        }
    }
}

impl Declare {
    /// Passive, durable, and others that stay 0: exclusive or internal, deleted without users, without an answer.
    fn bits(self) -> u8 {
        match self {
            Self::Passive => 1,
            Self::Durable => 2,
        }
    }
}

/// What was once a ticket.
fn reserved(out: &mut Vec<u8>) {
    out.extend([0, 0]);
}

fn short_string(out: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.len().min(usize::from(u8::MAX))];
    out.push(u8::try_from(text.len()).expect("it was cut"));
    out.extend(text);
}

/// What `write` appends, behind its length in four bytes.
fn long(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let length_at = out.len();
    out.extend([0; 4]);
    write(out);
    let length = u32::try_from(out.len() - length_at - 4).expect("a client says nothing that long");
    out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
}

fn table(out: &mut Vec<u8>, fields: &[(&str, Value<'_>)]) {
    long(out, |out| {
        for (name, value) in fields {
            short_string(out, name);
            match value {
                Value::Text(text) => {
                    out.push(b'S');
                    long(out, |out| out.extend(text.as_bytes()));
                }
                Value::Integer(number) => {
                    out.push(b'l');
                    out.extend(number.to_be_bytes());
                }
                Value::Flag(flag) => out.extend([b't', u8::from(*flag)]),
                Value::Table(fields) => {
                    out.push(b'F');
                    table(out, fields);
                }
            }
        }
    });
}
