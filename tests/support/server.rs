//! A server over real sockets, and the programs that are its clients.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use super::host::Host;

/// Answers every request with "hello", on a thread for each connection, until the process ends.
pub fn serve(host: Arc<Host>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let connection = rustls::ServerConnection::new(host.config()).unwrap();
            let stream = rustls::StreamOwned::new(connection, socket.unwrap());
            thread::spawn(move || answer(BufReader::new(stream)));
        }
    });
    address
}

fn answer(mut client: BufReader<impl Read + Write>) {
    let mut line = String::new();
    // A client that goes away ends it, in whatever manner.
    while client.read_line(&mut line).is_ok_and(|length| length > 0) {
        if line == "\r\n" {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
            client.get_mut().write_all(answer).unwrap();
        }
        line.clear();
    }
}

/// Runs a client to its end, and gives what it printed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
