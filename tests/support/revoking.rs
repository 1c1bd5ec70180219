//! An authority that certifies clients and revokes them, and `openssl s_client` in the place of those clients.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, date_time_ymd,
};

use super::clock::system_time;
use super::host::Host;
use super::sites::write_private;

const DAY: i64 = 24 * 3600;

/// A root of clients.
pub struct Root {
    issuer: Issuer<'static, KeyPair>,
    root: rcgen::Certificate,
}

impl Root {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), root }
    }

    pub fn pem(&self) -> String {
        self.root.pem()
    }

    /// A client's certificate and key, as a file in `directory`.
    pub fn client(&self, directory: &Path, serial: u64) -> std::path::PathBuf {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.serial_number = Some(serial.into());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = directory.join(format!("client-{serial}.pem"));
        write_private(&path, &(certificate.pem() + &key.serialize_pem()));
        path
    }

    /// A list that holds from yesterday until tomorrow.
    pub fn list(&self, number: u64, revoked: &[u64]) -> String {
        self.list_between(number, revoked, -DAY, DAY)
    }

    /// A list that holds from and until so many seconds after now.
    pub fn list_between(&self, number: u64, revoked: &[u64], from: i64, until: i64) -> String {
        let at = |seconds: i64| {
            let since_1970 = u64::try_from(system_time() + seconds).unwrap();
            date_time_ymd(1970, 1, 1) + Duration::from_secs(since_1970)
        };
        let revoked_certs = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: at(from),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: at(from),
            next_update: at(until),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// Says "hello" to whoever is let in and says something, until the process ends.
pub fn greet(host: Arc<Host>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let connection = rustls::ServerConnection::new(host.config()).unwrap();
            let stream = rustls::StreamOwned::new(connection, socket.unwrap());
            thread::spawn(move || greeted(BufReader::new(stream)));
        }
    });
    address
}

type Stream = rustls::StreamOwned<rustls::ServerConnection, std::net::TcpStream>;

fn greeted(mut client: BufReader<Stream>) {
    // Whoever is refused hears an alert, and nothing else.
    if client.read_line(&mut String::new()).is_ok_and(|length| length > 0) {
        let stream = client.get_mut();
        stream.write_all(b"hello\n").unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        // What he says meanwhile is taken, or the greeting might be lost with the connection.
        _ = stream.sock.set_read_timeout(Some(Duration::from_secs(10)));
        _ = stream.sock.read(&mut [0; 64]);
    }
}

/// Whether `openssl s_client`, with a certificate if there is one, is let in by [`greet`].
pub fn is_let_in(address: SocketAddr, certificate: Option<&Path>) -> bool {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-servername", "a.test", "-connect"]);
    command.arg(address.to_string());
    if let Some(path) = certificate {
        command.arg("-cert").arg(path).arg("-key").arg(path);
    }
    let stdio = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut client = stdio.spawn().unwrap();
    // A client that was refused may be gone already.
    _ = client.stdin.take().unwrap().write_all(b"hello?\n");
    let output = client.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).contains("hello")
}
