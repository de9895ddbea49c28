//! A slow link: a relay before a server that hands its bytes on at a steady pace.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Time between two portions.
const BEAT: Duration = Duration::from_millis(20);

/// Relays every connection to `server`, whose bytes come through at so many per second: where clients
/// connect to. What clients say is not slowed down. It ends with the test's process.
pub(crate) fn slow_link(server: SocketAddr, bytes_per_second: usize) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || relay(client, connect(server), bytes_per_second / 50));
        }
    });
    address
}

/// A connection whose kernel keeps little: else it would swallow what the server sends.
fn connect(server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.connect(&server.into()).unwrap();
    socket.into()
}

#[expect(clippy::disallowed_methods, reason = "a thread of a test, and no worker, keeps the pace")]
fn relay(client: TcpStream, server: TcpStream, portion: usize) {
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut server, mut client) = (server, client);
    let mut buffer = vec![0; portion];
    // Either side may end at any time.
    while let Ok(read @ 1..) = server.read(&mut buffer)
        && client.write_all(&buffer[..read]).is_ok()
    {
        thread::sleep(BEAT);
    }
    let _ = client.shutdown(Shutdown::Both);
}
