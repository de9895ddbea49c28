//! A program that publishes to RabbitMQ, by lapin: another implementation of AMQP than the one that is tested.

use std::io::{Read, Write};
use std::net::TcpStream;

use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use turted_core::secret::Secret;
use turted_core::wire::amqp::{ClientSays, FRAME_BYTES_MAX, Frame, PROTOCOL_HEADER, Tuning};

use super::PATIENCE;

/// A connection with one channel, on which each message is confirmed by the broker.
pub(crate) struct Publisher {
    runtime: Runtime,
    channel: Channel,
    _connection: Connection,
}

impl Publisher {
    /// Connects, if the broker lets it in.
    pub(crate) fn try_connect(url: &str) -> Option<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        // The library takes `/` for a virtual host without a name.
        let url = format!("{}/%2f", url.trim_end_matches('/'));
        // What listens there may be no broker yet, and say nothing.
        let connecting = async {
            let connection = Connection::connect(&url, ConnectionProperties::default()).await.ok()?;
            let channel = connection.create_channel().await.ok()?;
            channel.confirm_select(ConfirmSelectOptions::default()).await.ok()?;
            Some((connection, channel))
        };
        let connected = runtime.block_on(async { timeout(PATIENCE, connecting).await });
        let (connection, channel) = connected.ok()??;
        Some(Self { runtime, channel, _connection: connection })
    }

    /// Makes a durable queue whose refused messages go to the queue `dead`, if there is a name for it.
    pub(crate) fn declare_queue(&self, queue: &str, dead: Option<&str>) {
        let mut arguments = FieldTable::default();
        if let Some(dead) = dead {
            self.declare_queue(dead, None);
            for (key, value) in [("x-dead-letter-exchange", ""), ("x-dead-letter-routing-key", dead)] {
                arguments.insert(key.into(), AMQPValue::LongString(value.into()));
            }
        }
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        self.runtime.block_on(self.channel.queue_declare(queue.into(), options, arguments)).unwrap();
    }

    /// Makes a durable exchange.
    pub(crate) fn declare_exchange(&self, exchange: &str, kind: ExchangeKind) {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let declared = self.channel.exchange_declare(exchange.into(), kind, options, FieldTable::default());
        self.runtime.block_on(declared).unwrap();
    }

    pub(crate) fn delete_queue(&self, queue: &str) {
        let deleted = self.channel.queue_delete(queue.into(), QueueDeleteOptions::default());
        self.runtime.block_on(deleted).unwrap();
    }

    /// Publishes to a queue and waits until the broker has the message.
    pub(crate) fn send(&self, queue: &str, body: impl AsRef<[u8]>) {
        self.publish("", queue, body, BasicProperties::default());
    }

    /// The same for an exchange and with properties. The message outlives the broker.
    pub(crate) fn publish(
        &self,
        exchange: &str,
        key: &str,
        body: impl AsRef<[u8]>,
        properties: BasicProperties,
    ) {
        self.publish_all(exchange, key, [body], &properties);
    }

    /// Publishes all, then waits until the broker has them.
    pub(crate) fn publish_all(
        &self,
        exchange: &str,
        key: &str,
        bodies: impl IntoIterator<Item = impl AsRef<[u8]>>,
        properties: &BasicProperties,
    ) {
        let properties = properties.clone().with_delivery_mode(2);
        self.runtime.block_on(async {
            let mut confirms = Vec::new();
            for body in bodies {
                let options = BasicPublishOptions::default();
                let (exchange, key) = (ShortString::from(exchange), ShortString::from(key));
                let sent =
                    self.channel.basic_publish(exchange, key, options, body.as_ref(), properties.clone());
                confirms.push(sent.await.unwrap());
            }
            for confirm in confirms {
                assert!(confirm.await.unwrap().is_ack());
            }
        });
    }

    /// Takes the next message of a queue, if there is one.
    pub(crate) fn take(&self, queue: &str) -> Option<Vec<u8>> {
        self.runtime.block_on(async {
            let message = self.channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap()?;
            message.ack(BasicAckOptions::default()).await.unwrap();
            Some(message.delivery.data)
        })
    }

    /// How many messages wait in a queue, and how many consumers it has.
    pub(crate) fn count(&self, queue: &str) -> (u32, u32) {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = self.channel.queue_declare(queue.into(), options, FieldTable::default());
        let queue = self.runtime.block_on(declared).unwrap();
        (queue.message_count(), queue.consumer_count())
    }
}

/// Publishes what no library does: an id of any bytes, and headers that are so many tables in one another.
pub(crate) fn publish_raw(url: &str, queue: &str, id: Option<&[u8]>, depth: usize, body: &[u8]) {
    let mut raw = Raw::open(url);
    let level = |inside: usize| [&b"\0F"[..], &u32::try_from(inside * 6).unwrap().to_be_bytes()].concat();
    let headers: Vec<u8> = (0..depth).rev().flat_map(level).collect();
    let mut properties = u32::try_from(headers.len()).unwrap().to_be_bytes().to_vec();
    properties.extend(headers);
    properties.extend(id.map(short).unwrap_or_default());
    raw.message(queue, 0x2000 | if id.is_some() { 0x80 } else { 0 }, &properties, body);
    raw.close();
}

/// Publishes many messages in one go, faster than a library that waits for each.
pub(crate) fn publish_many(url: &str, queue: &str, bodies: impl Iterator<Item = String>) {
    let mut raw = Raw::open(url);
    bodies.for_each(|body| raw.message(queue, 0, b"", body.as_bytes()));
    raw.close();
}

fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

/// A connection, and what is written next.
struct Raw(TcpStream, Vec<u8>);

impl Raw {
    fn open(url: &str) -> Self {
        let (credentials, address) = url.strip_prefix("amqp://").unwrap().split_once('@').unwrap();
        let (user, password) = credentials.split_once(':').unwrap();
        let socket = TcpStream::connect(address.trim_end_matches('/')).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut raw = Self(socket, PROTOCOL_HEADER.to_vec());
        raw.hear();
        raw.say(ClientSays::StartOk { properties: &[], user, password: &Secret::from(password) });
        raw.hear();
        let frame_bytes = u32::try_from(FRAME_BYTES_MAX).unwrap();
        raw.say(ClientSays::TuneOk(Tuning { channels: 1, frame_bytes, heartbeat: 0 }));
        raw.say(ClientSays::Open { virtual_host: "/" });
        raw.hear();
        raw.say(ClientSays::ChannelOpen);
        raw.hear();
        raw
    }

    fn say(&mut self, says: ClientSays<'_>) {
        says.encode(&mut self.1);
    }

    /// A message with properties as they are written, which these flags announce.
    fn message(&mut self, queue: &str, flags: u16, properties: &[u8], body: &[u8]) {
        self.frame(1, &[&b"\0\x3c\0\x28\0\0\0"[..], &short(queue.as_bytes()), b"\0"].concat());
        let (bytes, flags) = ((body.len() as u64).to_be_bytes(), flags.to_be_bytes());
        self.frame(2, &[&b"\0\x3c\0\0"[..], &bytes, &flags, properties].concat());
        self.frame(3, body);
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.1.extend([&[kind, 0, 1], &length[..], payload, b"\xce"].concat());
    }

    /// Sends what was written and waits for one frame.
    fn hear(&mut self) {
        self.0.write_all(&std::mem::take(&mut self.1)).unwrap();
        let mut input = Vec::new();
        while Frame::decode(&input, FRAME_BYTES_MAX).unwrap().is_none() {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            input.extend(byte);
        }
    }

    /// Closes. The answer says that the broker has read all of it.
    fn close(mut self) {
        self.say(ClientSays::Close);
        self.hear();
    }
}
