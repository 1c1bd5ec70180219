//! Real clients over real sockets: a connection keeps what it was born with, the next one gets the new.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use certreload::ffi::options::watch::certreload_watch;
use certreload::ffi::result::certreload_result as Outcome;
use support::certificates::{Pair, Site};
use support::host::{Builder, Client, fingerprint};
use support::server::{run, serve};

fn request(connection: &mut (impl Read + Write)) {
    connection.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    let mut answer = [0; 43];
    connection.read_exact(&mut answer).unwrap();
    assert!(answer.ends_with(b"hello"));
}

/// What `openssl s_client` and Python's ssl are shown, which must be the same; and curl is served.
fn shown_to_clients(address: SocketAddr) -> String {
    let place = address.to_string();
    let command = format!(
        "openssl s_client -connect {place} -servername a.test </dev/null 2>/dev/null |
         openssl x509 -noout -fingerprint -sha256"
    );
    let told = run("sh", &["-c", &command]);
    let openssl = told.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    let script = format!(
        "import hashlib, ssl
pem = ssl.get_server_certificate(('127.0.0.1', {}))
print(hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest())",
        address.port()
    );
    assert_eq!(run("python3", &["-c", &script]).trim(), openssl);
    let url = format!("https://{place}/");
    assert_eq!(run("curl", &["--silent", "--show-error", "--insecure", &url, &url]), "hellohello");
    openssl
}

#[test]
fn g8_a_connection_keeps_its_certificate_and_the_next_one_gets_the_new() {
    let first = Pair::new(&["a.test"]);
    let mut site = Site::plain(&first);
    let host =
        Builder::new().identity(&site.chain(), &site.key()).watch(certreload_watch::Off).open();
    let host = Arc::new(host);
    let address = serve(host.clone());
    assert_eq!(shown_to_clients(address), first.sha256);

    let mut old = Client::new().open("a.test", TcpStream::connect(address).unwrap());
    request(&mut old);
    for _ in 0..3 {
        let next = Pair::new(&["a.test"]);
        site.renew(&next);
        assert_eq!(host.reload_wait(), Outcome::Ok);
        assert_eq!(shown_to_clients(address), next.sha256);
        request(&mut old);
        assert_eq!(fingerprint(&old.conn), first.sha256);
    }
}
