//! Servers over real sockets, which answer one request of each connection.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use certreload::ffi::options::trust::certreload_client_auth;
use certreload::ffi::options::watch::certreload_watch as Watch;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::situations::Stage;
use crate::judges::plain;
use crate::support::host::{Builder, Host};
use crate::support::workshop::warnings_at_open;

#[derive(Clone, Copy, Debug)]
pub enum Server {
    OpenSsl,
    RustlsFfi,
    Certreload,
}

/// A server that runs until this is dropped, or until the process ends.
pub struct Running {
    pub address: SocketAddr,
    process: Option<Child>,
    host: Option<Host>,
}

impl Running {
    /// Whether certreload warned of anything.
    pub fn warns(&self) -> bool {
        self.host.as_ref().is_some_and(|host| warnings_at_open(host).0 != 0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Server {
    pub const ALL: [Self; 3] = [Self::OpenSsl, Self::RustlsFfi, Self::Certreload];

    pub fn start(self, stage: &Stage) -> Running {
        match self {
            Self::OpenSsl => openssl(stage),
            Self::RustlsFfi => {
                let (chain, key) = (stage.read("chain.pem"), stage.read("key.pem"));
                let roots = stage.clients().map(|path| std::fs::read(path).unwrap());
                let config = plain::server((&chain, &key), roots.as_deref());
                Running { address: serve(config), process: None, host: None }
            }
            Self::Certreload => {
                let options = Builder::new().watch(Watch::Off).debounce_ms(0, 0);
                let mut options =
                    options.identity(&stage.path("chain.pem"), &stage.path("key.pem"));
                if let Some(roots) = stage.clients() {
                    options = options.client_auth(certreload_client_auth::Required, &roots);
                }
                let host = options.open();
                Running { address: serve(host.config()), process: None, host: Some(host) }
            }
        }
    }
}

/// `openssl s_server`, which says on which port it listens.
fn openssl(stage: &Stage) -> Running {
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert"]);
    command.arg(stage.path("chain.pem")).arg("-cert_chain").arg(stage.path("chain.pem"));
    command.arg("-key").arg(stage.path("key.pem"));
    // What the distribution thinks of signatures is not what is compared.
    command.args(["-cipher", "DEFAULT:@SECLEVEL=0"]);
    if let Some(roots) = stage.clients() {
        command.args(["-Verify", "1", "-verify_return_error", "-no_ticket", "-CAfile"]).arg(roots);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let port = lines.find_map(|line| {
        line.unwrap().strip_prefix("ACCEPT 127.0.0.1:").map(|port| port.parse::<u16>().unwrap())
    });
    // Its output must not fill the pipe.
    thread::spawn(move || lines.for_each(drop));
    let address = SocketAddr::from(([127, 0, 0, 1], port.expect("openssl s_server listens")));
    Running { address, process: Some(process), host: None }
}

/// Answers on a thread for each connection, until the process ends.
fn serve(config: Arc<ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let stream = StreamOwned::new(connection, socket.unwrap());
            // A client that goes away, or is refused, ends it.
            thread::spawn(move || answer(BufReader::new(stream)).is_ok());
        }
    });
    address
}

fn answer(
    mut client: BufReader<StreamOwned<ServerConnection, std::net::TcpStream>>,
) -> std::io::Result<()> {
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if client.read_line(&mut line)? == 0 {
            return Ok(());
        }
    }
    let stream = client.get_mut();
    stream.write_all(b"HTTP/1.0 200 ok\r\nContent-type: text/plain\r\n\r\nserved\n")?;
    stream.conn.send_close_notify();
    stream.flush()
}
