//! `openssl s_client`: a process for each visit, the session in a file.

use std::path::Path;

use tempfile::TempDir;

use super::running::Running;
use super::{Guest, Version, Visit, Visitor};
use crate::server::Server;

const REQUEST: &str = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";

pub(super) fn visit(visitor: &Visitor, server: &Server) -> Guest {
    let (visitor, port) = (visitor.clone(), server.address.port());
    let directory = tempfile::tempdir().unwrap();
    let session = |directory: &TempDir| directory.path().join("session.pem");
    let first = connect(&visitor, port, "-sess_out", &session(&directory));
    let again = move || connect(&visitor, port, "-sess_in", &session(&directory));
    Guest { first, again: Box::new(again) }
}

fn connect(visitor: &Visitor, port: u16, way: &str, session: &Path) -> Visit {
    let mut running = Running::start("openssl", |command| {
        let version = if visitor.version == Version::Tls12 { "-tls1_2" } else { "-tls1_3" };
        command.args(["s_client", version, "-connect", &format!("127.0.0.1:{port}")]);
        command.args(["-servername", &visitor.name, "-verify_hostname", &visitor.name]);
        command.args(["-verify_return_error", "-ign_eof"]);
        command.arg("-CAfile").arg(&visitor.root);
        // A server that gives none leaves nothing to come back with.
        if way == "-sess_out" || session.exists() {
            command.arg(way).arg(session);
        }
        if let Some((chain, key)) = &visitor.pair {
            command.arg("-cert").arg(chain).arg("-cert_chain").arg(chain).arg("-key").arg(key);
        }
    });
    // The answer comes after the tickets.
    running.tell(REQUEST);
    let said = running.hear_out();
    Visit::told(said.contains("\nReused, TLSv1."), &said)
}
