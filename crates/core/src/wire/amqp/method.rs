//! What the broker says (chapter 1 of the reference of the specification).

use super::Violation;
use super::read::Reader;

/// A method of the broker, as far as a consumer needs its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method<'a> {
    /// It speaks AMQP, and offers these ways to log in, with spaces between them.
    Start {
        /// `PLAIN` is one of them.
        mechanisms: &'a [u8],
    },
    /// The client is logged in.
    Tune(Tuning),
    /// The virtual host is open.
    OpenOk,
    /// The broker closes the connection.
    Close(Closing<'a>),
    /// It has closed the connection as it was asked to.
    CloseOk,
    /// The channel is open.
    ChannelOpenOk,
    /// The broker asks for a pause of publishing, or ends it.
    ChannelFlow {
        /// Whether it ends the pause.
        is_active: bool,
    },
    /// The broker closes the channel.
    ChannelClose(Closing<'a>),
    /// It has closed the channel as it was asked to.
    ChannelCloseOk,
    /// The exchange is there.
    ExchangeDeclareOk,
    /// The queue is there.
    QueueDeclareOk {
        /// Messages in it that are not delivered.
        messages: u32,
    },
    /// The queue is bound.
    QueueBindOk,
    /// The prefetch is set.
    QosOk,
    /// Messages will come.
    ConsumeOk,
    /// No more messages will come: the queue is gone, say.
    Cancel,
    /// No more messages will come, as the client asked.
    CancelOk,
    /// A message, whose header and body follow.
    Deliver(Delivery<'a>),
    /// Something else, by class and method, which a consumer need not answer.
    Other(u16, u16),
}

/// What a broker proposes. Zero is no limit, or no heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Channels.
    pub channels: u16,
    /// Bytes of a frame.
    pub frame_bytes: u32,
    /// Seconds between two heartbeats.
    pub heartbeat: u16,
}

/// Why a broker closes a connection or channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing<'a> {
    /// A code such as 404.
    pub code: u16,
    /// The reason for people.
    pub text: &'a [u8],
}

/// What comes before the header and body of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// By what it is acknowledged, on this channel alone.
    pub tag: u64,
    /// Whether it may have been delivered before.
    pub is_redelivered: bool,
    /// The exchange that it was published to.
    pub exchange: &'a [u8],
    /// Its routing key.
    pub key: &'a [u8],
}

impl<'a> Method<'a> {
    /// Decodes the payload of a method frame.
    ///
    /// # Errors
    /// It does not follow the grammar.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(payload, "method");
        let (class, method) = (reader.u16()?, reader.u16()?);
        Ok(match (class, method) {
            (10, 10) => {
                // Versions 0 and 9, then what the broker is.
                reader.bytes(2)?;
                reader.long_string()?;
                Self::Start { mechanisms: reader.long_string()? }
            }
            (10, 30) => Self::Tune(Tuning {
                channels: reader.u16()?,
                frame_bytes: reader.u32()?,
                heartbeat: reader.u16()?,
            }),
            (10, 41) => Self::OpenOk,
            (10, 50) => Self::Close(closing(&mut reader)?),
            (10, 51) => Self::CloseOk,
            (20, 11) => Self::ChannelOpenOk,
            (20, 20) => Self::ChannelFlow { is_active: reader.u8()? & 1 != 0 },
            (20, 40) => Self::ChannelClose(closing(&mut reader)?),
            (20, 41) => Self::ChannelCloseOk,
            (40, 11) => Self::ExchangeDeclareOk,
            (50, 11) => {
                reader.short_string()?;
                Self::QueueDeclareOk { messages: reader.u32()? }
            }
            (50, 21) => Self::QueueBindOk,
            (60, 11) => Self::QosOk,
            (60, 21) => Self::ConsumeOk,
            (60, 30) => Self::Cancel,
            (60, 31) => Self::CancelOk,
            (60, 60) => Self::Deliver(delivery(&mut reader)?),
            _ => Self::Other(class, method),
        })
    }
}

fn closing<'a>(reader: &mut Reader<'a>) -> Result<Closing<'a>, Violation> {
    Ok(Closing { code: reader.u16()?, text: reader.short_string()? })
}

fn delivery<'a>(reader: &mut Reader<'a>) -> Result<Delivery<'a>, Violation> {
    // One connection has one consumer, so its tag says nothing.
    reader.short_string()?;
    let (tag, flags) = (reader.u64()?, reader.u8()?);
    Ok(Delivery {
        tag,
        is_redelivered: flags & 1 != 0,
        exchange: reader.short_string()?,
        key: reader.short_string()?,
    })
}
