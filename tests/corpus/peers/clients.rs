//! Clients that others have written. Each verifies the server, and asks for a page.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::situations::Stage;
use crate::judges::plain;

#[derive(Clone, Copy, Debug)]
pub enum Client {
    /// With TLS 1.2 and at security level 0.
    LenientOpenSsl,
    /// As its release and distribution are configured, with TLS 1.3.
    OpenSsl,
    GnuTls,
    /// With OpenSSL: what it accepts depends on its TLS library.
    Curl,
    RustlsFfi,
}

const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

impl Client {
    pub const ALL: [Self; 5] =
        [Self::LenientOpenSsl, Self::OpenSsl, Self::GnuTls, Self::Curl, Self::RustlsFfi];

    fn program(self) -> Option<&'static str> {
        match self {
            Self::LenientOpenSsl | Self::OpenSsl => Some("openssl"),
            Self::GnuTls => Some("gnutls-cli"),
            Self::Curl => Some("curl"),
            Self::RustlsFfi => None,
        }
    }

    /// Whether this machine has the client.
    pub fn is_here(self) -> bool {
        HERE[self as usize]
    }

    fn is_installed(self) -> bool {
        let Some(program) = self.program() else { return true };
        let output = Command::new(program).arg("--version").output();
        let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        said.is_ok_and(|said| !matches!(self, Self::Curl) || said.contains("OpenSSL/"))
    }

    /// Whether the client gets the page: it accepts the server, and the server accepts it.
    pub fn is_served(self, stage: &Stage, server: SocketAddr) -> bool {
        let said = match self {
            Self::LenientOpenSsl => {
                openssl(&["-tls1_2", "-cipher", "DEFAULT:@SECLEVEL=0"], stage, server)
            }
            Self::OpenSsl => openssl(&["-tls1_3"], stage, server),
            Self::GnuTls => gnutls(stage, server),
            Self::Curl => curl(stage, server),
            Self::RustlsFfi => rustls(stage, server),
        };
        said.contains("HTTP/1.0 200 ok")
    }
}

/// Which clients this machine has; the others are reported.
static HERE: LazyLock<[bool; 5]> = LazyLock::new(|| {
    let here = Client::ALL.map(Client::is_installed);
    for (client, _) in Client::ALL.iter().zip(here).filter(|(_, is_here)| !is_here) {
        let note = format!(
            "NOT TESTED: what {client:?} accepts: it is not installed, or has another TLS library\n"
        );
        // Past the test harness, which captures what tests print.
        std::io::stderr().write_all(note.as_bytes()).unwrap();
    }
    here
});

/// What the client prints that is given the request.
fn output(command: &mut Command) -> String {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // A client that has refused the server already does not read it.
    let _ = process.stdin.take().unwrap().write_all(REQUEST);
    String::from_utf8_lossy(&process.wait_with_output().unwrap().stdout).into_owned()
}

fn is_address(stage: &Stage) -> bool {
    stage.name.parse::<std::net::IpAddr>().is_ok()
}

fn openssl(options: &[&str], stage: &Stage, server: SocketAddr) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &server.to_string(), "-quiet", "-ign_eof"]);
    command.args(options);
    if is_address(stage) {
        command.args(["-noservername", "-verify_ip", stage.name]);
    } else {
        command.args(["-servername", stage.name, "-verify_hostname", stage.name]);
    }
    command.args(["-verify_return_error", "-CAfile"]).arg(stage.path("root.pem"));
    if stage.clients().is_some() {
        command.arg("-cert").arg(stage.path("client.pem"));
        command.arg("-key").arg(stage.path("client.key"));
    }
    output(&mut command)
}

fn gnutls(stage: &Stage, server: SocketAddr) -> String {
    let mut command = Command::new("gnutls-cli");
    command.arg("--x509cafile").arg(stage.path("root.pem"));
    command.args(["--port", &server.port().to_string(), "127.0.0.1"]);
    command.args(["--verify-hostname", stage.name]);
    if !is_address(stage) {
        command.args(["--sni-hostname", stage.name]);
    }
    if stage.clients().is_some() {
        command.arg("--x509certfile").arg(stage.path("client.pem"));
        command.arg("--x509keyfile").arg(stage.path("client.key"));
    }
    output(&mut command)
}

fn curl(stage: &Stage, server: SocketAddr) -> String {
    let (name, port) = (stage.name, server.port());
    let mut command = Command::new("curl");
    command.args(["--disable", "--silent", "--include", "--http1.0", "--noproxy", "*"]);
    command.args(["--resolve", &format!("{name}:{port}:127.0.0.1")]);
    command.arg("--cacert").arg(stage.path("root.pem"));
    if stage.clients().is_some() {
        command.arg("--cert").arg(stage.path("client.pem"));
        command.arg("--key").arg(stage.path("client.key"));
    }
    output(command.arg(format!("https://{name}:{port}/")))
}

/// The client of plain rustls-ffi.
fn rustls(stage: &Stage, server: SocketAddr) -> String {
    let own = stage.clients().map(|_| (stage.read("client.pem"), stage.read("client.key")));
    let own = own.as_ref().map(|(chain, key)| (&chain[..], &key[..]));
    let config = plain::client(&stage.read("root.pem"), own);
    let name = ServerName::try_from(stage.name).unwrap();
    let connection = ClientConnection::new(config, name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(server).unwrap());
    let mut said = Vec::new();
    // Whatever ends it: if it is not after the page, the client was not served.
    let _ = stream.write_all(REQUEST).and_then(|()| stream.read_to_end(&mut said));
    String::from_utf8_lossy(&said).into_owned()
}
