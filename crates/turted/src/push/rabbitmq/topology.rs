//! The queue of a source: found or made, bound, consumed. What exists is used as it is: whoever made it may have given it
//! a dead-letter exchange or another type, and a declaration that differs would be refused.

use turted_core::wire::amqp::{ClientSays, Declare, Method, Value};

use super::connection::{Connection, Fault};
use crate::config::{HeaderValue, RabbitmqBinding, RabbitmqSource};
use crate::push::source::Failure;

/// The name of the one consumer of a channel.
pub(super) const CONSUMER: &str = "turted";
/// What a broker says of a queue or exchange that does not exist.
const NOT_FOUND: u16 = 404;

/// Has the messages of the queue come.
pub(super) async fn consume(connection: &mut Connection, settings: &RabbitmqSource) -> Result<(), Failure> {
    if let Some(binding) = &settings.binding {
        let kind = binding.kind.name();
        let exchange = |declare| ClientSays::DeclareExchange { exchange: &binding.exchange, kind, declare };
        find_or_make(connection, exchange, |method| {
            matches!(method, Method::ExchangeDeclareOk).then_some(())
        })
        .await?;
        let queue = |declare| ClientSays::DeclareQueue { queue: &settings.queue, declare };
        find_or_make(connection, queue, queue_is_there).await?;
        bind(connection, &settings.queue, binding).await?;
    }
    connection.say(ClientSays::Qos { prefetch: settings.prefetch });
    connection.hear(|method| matches!(method, Method::QosOk).then_some(())).await?;
    connection.say(ClientSays::Consume { queue: &settings.queue, consumer: CONSUMER });
    // Messages may come in the same read as the answer: they stay in the buffer.
    Ok(connection.hear(|method| matches!(method, Method::ConsumeOk).then_some(())).await?)
}

/// Looks whether the queue could be consumed, and takes no message.
pub(super) async fn look(connection: &mut Connection, settings: &RabbitmqSource) -> Result<(), Failure> {
    connection.say(ClientSays::DeclareQueue { queue: &settings.queue, declare: Declare::Passive });
    match connection.hear(queue_is_there).await {
        // The server will make it.
        Err(Fault::ChannelClosed { code: NOT_FOUND, .. }) if settings.binding.is_some() => Ok(()),
        answer => Ok(answer?),
    }
}

async fn find_or_make<'a>(
    connection: &mut Connection,
    says: impl Fn(Declare) -> ClientSays<'a>,
    is_there: impl Fn(Method<'_>) -> Option<()>,
) -> Result<(), Failure> {
    connection.say(says(Declare::Passive));
    match connection.hear(&is_there).await {
        Err(Fault::ChannelClosed { code: NOT_FOUND, .. }) => {}
        answer => return Ok(answer?),
    }
    connection.open_channel().await?;
    connection.say(says(Declare::Durable));
    Ok(connection.hear(is_there).await?)
}

fn queue_is_there(method: Method<'_>) -> Option<()> {
    matches!(method, Method::QueueDeclareOk { .. }).then_some(())
}

/// A binding that exists is not made twice.
async fn bind(connection: &mut Connection, queue: &str, binding: &RabbitmqBinding) -> Result<(), Failure> {
    let arguments: Vec<_> =
        binding.headers.iter().map(|(name, value)| (name.as_str(), argument(value))).collect();
    for key in &binding.keys {
        let (exchange, arguments) = (&binding.exchange, &arguments);
        connection.say(ClientSays::Bind { queue, exchange, key, arguments });
        connection.hear(|method| matches!(method, Method::QueueBindOk).then_some(())).await?;
    }
    Ok(())
}

fn argument(value: &HeaderValue) -> Value<'_> {
    match value {
        HeaderValue::Text(text) => Value::Text(text),
        HeaderValue::Integer(number) => Value::Integer(*number),
        HeaderValue::Flag(flag) => Value::Flag(*flag),
    }
}
