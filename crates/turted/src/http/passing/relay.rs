//! The answer of another node on its way to a client of HTTP/1. It goes out as it comes: what the client does not take
//! is not read of the other node.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::Body as _;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional_with_sizes};

use super::passed::{Flow, Left};
use crate::http::answer::{Answer, close_after};
use crate::http::head;
use crate::http::paced::Paced;
use crate::http::parked::{Asked, Written, mark_connection};
use crate::http::patience::has_token;
use crate::http::rewound::Rewound;
use crate::hub::worker::worker::Worker;

/// Bytes that are gathered for one write.
const WRITE_BYTES: usize = 16 * 1024;
/// Bytes of an upgraded connection that are on their way in one direction.
const COPY_BYTES: usize = 8 * 1024;

/// How the body of an answer goes onto a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// There is none.
    Nothing,
    /// As it is, because its length is known.
    Plain,
    /// As it is, and the connection ends behind it: HTTP/1.0 has no chunks.
    ToTheEnd,
    Chunked,
}

/// Takes out of the head of an answer what concerns only the connection that it came on. Returns whether it says that
/// no other request follows.
pub(in crate::http) fn strip(headers: &mut HeaderMap) -> bool {
    let is_last = has_token(headers, "close");
    for name in [CONNECTION, TRANSFER_ENCODING, HeaderName::from_static("keep-alive")] {
        headers.remove(name);
    }
    is_last
}

/// Writes an answer whose head is `answer`, as it comes, or goes on with the connection where that leaves HTTP.
pub(in crate::http) async fn run<C>(
    worker: &Worker,
    channel: &mut Rewound<C>,
    (answer, flow): (Answer, Flow),
    asked: Asked,
) -> Written
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let stall = worker.config.limits.outbox_stall;
    let relayed = async {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return upgrade(channel, (answer, flow), stall).await;
        }
        write(worker, channel, (answer, flow), asked).await
    };
    // When the server stops, its clients come back elsewhere.
    worker.shared.life.ending.run_until_cancelled(relayed).await.unwrap_or(Written::Broken)
}

async fn write<C>(
    worker: &Worker,
    channel: &mut Rewound<C>,
    (mut answer, mut flow): (Answer, Flow),
    asked: Asked,
) -> Written
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let form = form(&answer, asked.version);
    if form == Form::Chunked {
        answer.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let asked = Asked { wants_more: asked.wants_more && form != Form::ToTheEnd, ..asked };
    let is_last = mark_connection(&mut answer, asked);
    if form == Form::ToTheEnd {
        close_after(&mut answer);
    }
    let (parts, _) = answer.into_parts();
    let mut bytes = BytesMut::from(&*head::encode(asked.version, parts.status, parts.headers));
    loop {
        let came = gather(worker, channel, (&mut flow, form), &mut bytes).await;
        let mut paced = Paced::new(&mut *channel, worker.config.limits.outbox_stall);
        let written = async {
            paced.write_all_buf(&mut bytes).await?;
            paced.flush().await
        };
        match (written.await, came) {
            (Ok(()), Came::More) => {}
            (Ok(()), Came::End) if is_last => return Written::Last,
            (Ok(()), Came::End) => return Written::Whole,
            (Err::<(), io::Error>(_), _) if paced.is_stalled() => return Written::Stalled,
            (Err(_), _) | (Ok(()), Came::Broken) => return Written::Broken,
        }
    }
}

fn form(answer: &Answer, version: Version) -> Form {
    match answer.status() {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Form::Nothing,
        _ if answer.headers().contains_key(CONTENT_LENGTH) => Form::Plain,
        _ if version < Version::HTTP_11 => Form::ToTheEnd,
        _ => Form::Chunked,
    }
}

/// What has come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    More,
    /// All of it.
    End,
    /// The other node is gone, or the client is.
    Broken,
}

/// Puts behind `bytes` what has come of a body. If `bytes` is empty it waits until something has. Cancel safe.
fn gather<'a, C: AsyncRead + Unpin>(
    worker: &'a Worker,
    channel: &'a mut Rewound<C>,
    (flow, form): (&'a mut Flow, Form),
    bytes: &'a mut BytesMut,
) -> impl Future<Output = Came> + 'a {
    let mut is_watched = true;
    poll_fn(move |context| {
        while bytes.len() < WRITE_BYTES {
            match Pin::new(&mut *flow).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => put(frame.data_ref(), form, bytes),
                Poll::Ready(Some(Err(failure))) => {
                    tracing::debug!(%failure, "an answer of another node breaks off");
                    return Poll::Ready(Came::Broken);
                }
                Poll::Ready(None) => {
                    bytes.extend_from_slice(if form == Form::Chunked { b"0\r\n\r\n" } else { b"" });
                    return Poll::Ready(Came::End);
                }
                Poll::Pending if !bytes.is_empty() => break,
                Poll::Pending => {
                    // A client that has sent more already is not watched, as in hyper.
                    let unread =
                        is_watched.then(|| channel.poll_unread(context, &mut worker.scratch.borrow_mut()));
                    let Some(Poll::Ready(unread)) = unread else { return Poll::Pending };
                    is_watched = false;
                    if unread.is_err() {
                        return Poll::Ready(Came::Broken);
                    }
                }
            }
        }
        Poll::Ready(Came::More)
    })
}

/// Puts a piece of a body behind `bytes`.
fn put(piece: Option<&Bytes>, form: Form, bytes: &mut BytesMut) {
    let Some(piece) = piece.filter(|piece| !piece.is_empty() && form != Form::Nothing) else { return };
    let is_chunk = form == Form::Chunked;
    if is_chunk {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
    }
    bytes.extend_from_slice(piece);
    if is_chunk {
        bytes.extend_from_slice(b"\r\n");
    }
}

/// Copies bytes both ways, between a client and the node that its connection was upgraded at, until one of them ends it.
async fn upgrade<C>(channel: &mut Rewound<C>, (answer, flow): (Answer, Flow), stall: Duration) -> Written
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let Some(Left { mut link, read, withdrawn, permit: _permit }) = flow.leave_http() else {
        return Written::Broken;
    };
    let (parts, _) = answer.into_parts();
    let first = [head::encode(Version::HTTP_11, parts.status, parts.headers), read.to_vec()].concat();
    let mut paced = Paced::new(channel, stall);
    let copied = async {
        paced.write_all(&first).await?;
        paced.flush().await?;
        copy_bidirectional_with_sizes(&mut paced, &mut link, COPY_BYTES, COPY_BYTES).await
    };
    let copied = tokio::select! {
        copied = copied => copied.is_ok(),
        () = withdrawn => false,
    };
    match copied {
        true => Written::Last,
        false if paced.is_stalled() => Written::Stalled,
        false => Written::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::bare;

    #[test]
    fn a_body_goes_out_as_the_client_understands_it() {
        let with_length = |status| {
            let mut answer = bare(status, "");
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("3"));
            answer
        };
        let plain = || bare(StatusCode::OK, "");
        for (answer, version, expected) in [
            (with_length(StatusCode::OK), Version::HTTP_11, Form::Plain),
            (with_length(StatusCode::OK), Version::HTTP_10, Form::Plain),
            (plain(), Version::HTTP_11, Form::Chunked),
            (plain(), Version::HTTP_10, Form::ToTheEnd),
            (bare(StatusCode::NO_CONTENT, ""), Version::HTTP_11, Form::Nothing),
            (with_length(StatusCode::NOT_MODIFIED), Version::HTTP_11, Form::Nothing),
        ] {
            assert_eq!(form(&answer, version), expected, "{answer:?} {version:?}");
        }
    }

    #[test]
    fn an_empty_piece_does_not_end_a_body_in_chunks() {
        for (form, expected) in [
            (Form::Chunked, "3\r\nabc\r\n"),
            (Form::Plain, "abc"),
            (Form::ToTheEnd, "abc"),
            (Form::Nothing, ""),
        ] {
            let mut bytes = BytesMut::new();
            for piece in [&b""[..], b"abc"] {
                put(Some(&Bytes::from_static(piece)), form, &mut bytes);
            }
            put(None, form, &mut bytes);
            assert_eq!(bytes, expected, "{form:?}");
        }
    }
}
