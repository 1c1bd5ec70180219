//! A server on a socket that tells each client how it came in: with a session of before or without, and as whom.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use rustls::{HandshakeKind, ServerConfig, ServerConnection};

use crate::support::certificates::sha256;

/// Where clients connect to, until the process ends.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    door: Arc<Door>,
}

impl Server {
    /// Serves each connection with the config of the moment when it begins.
    pub(crate) fn new(config: impl Fn() -> Arc<ServerConfig> + Send + 'static) -> Self {
        Self::begin(move |socket| {
            let config = config();
            thread::spawn(move || serve(config, socket));
        })
    }

    /// One address for several servers: each connection goes to the one that `behind` tells then.
    pub(crate) fn before(behind: Arc<Mutex<SocketAddr>>) -> Self {
        Self::begin(move |socket| {
            let server = TcpStream::connect(*behind.lock().unwrap()).unwrap();
            pass_on(socket.try_clone().unwrap(), server.try_clone().unwrap());
            pass_on(server, socket);
        })
    }

    fn begin(connected: impl Fn(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let door = Arc::new(Door::default());
        let opened = door.clone();
        thread::spawn(move || {
            for socket in listener.incoming() {
                let socket = socket.unwrap();
                socket.set_nodelay(true).unwrap();
                opened.go_through();
                connected(socket);
            }
        });
        Self { address, door }
    }

    /// Lets one connection begin; those that come after it wait.
    pub(crate) fn admit_one(&self) {
        *self.door.admits.lock().unwrap() = Some(1);
    }

    pub(crate) fn admit_all(&self) {
        *self.door.admits.lock().unwrap() = None;
        self.door.changed.notify_all();
    }
}

#[derive(Default)]
struct Door {
    /// How many may still go through; `None` is no limit.
    admits: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Door {
    fn go_through(&self) {
        let admits = self.admits.lock().unwrap();
        let mut admits = self.changed.wait_while(admits, |count| *count == Some(0)).unwrap();
        if let Some(count) = admits.as_mut() {
            *count -= 1;
        }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}

fn serve(config: Arc<ServerConfig>, mut socket: TcpStream) {
    let mut connection = ServerConnection::new(config).unwrap();
    let shaken = connection.complete_io(&mut socket).is_ok() && !connection.is_handshaking();
    if shaken {
        answer_requests(rustls::Stream::new(&mut connection, &mut socket));
        connection.send_close_notify();
    }
    // The good-bye, or the alert that tells the client why it is refused.
    while connection.wants_write() && connection.write_tls(&mut socket).is_ok() {}
    // Closing with bytes unread would make TCP throw away what was sent last.
    let _ = socket.shutdown(Shutdown::Write);
    let _ = socket.read_to_end(&mut Vec::new());
}

fn answer_requests(stream: rustls::Stream<'_, ServerConnection, TcpStream>) {
    let word = word_for(stream.conn);
    let length = word.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{word}");
    let mut requests = BufReader::new(stream);
    let (mut line, mut is_last) = (String::new(), false);
    // A client that goes away ends it, in whatever manner.
    while requests.read_line(&mut line).is_ok_and(|length| length > 0) {
        is_last |= line == "Connection: close\r\n";
        if line == "\r\n" && (requests.get_mut().write_all(answer.as_bytes()).is_err() || is_last) {
            return;
        }
        line.clear();
    }
}

/// "served resumed 12ab…", with the fingerprint of the client's certificate, or "nobody".
fn word_for(connection: &ServerConnection) -> String {
    let kind = match connection.handshake_kind() {
        Some(HandshakeKind::Resumed) => "resumed",
        _ => "full",
    };
    let client = connection.peer_certificates().and_then(|chain| chain.first());
    let client = client.map_or("nobody".to_owned(), |leaf| sha256(leaf));
    format!("served {kind} {client}\n")
}
