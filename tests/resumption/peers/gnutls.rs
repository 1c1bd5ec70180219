//! `gnutls-cli`: one process, told to come back.

use super::running::Running;
use super::{Guest, Version, Visit, Visitor};
use crate::server::Server;

const REQUEST: &str = "GET / HTTP/1.1\r\n\r\n";

pub(super) fn visit(visitor: &Visitor, server: &Server) -> Guest {
    let port = server.address.port().to_string();
    let mut running = Running::start("gnutls-cli", |command| {
        let version = if visitor.version == Version::Tls12 { "1.2" } else { "1.3" };
        command.args(["--priority", &format!("NORMAL:-VERS-ALL:+VERS-TLS{version}")]);
        command.args(["--port", &port, "127.0.0.1", "--sni-hostname", &visitor.name]);
        command.args(["--verify-hostname", &visitor.name, "--inline-commands"]);
        command.arg("--x509cafile").arg(&visitor.root);
        if let Some((chain, key)) = &visitor.pair {
            command.arg("--x509certfile").arg(chain).arg("--x509keyfile").arg(key);
        }
    });
    let first = ask(&mut running, REQUEST);
    let again = move || ask(&mut running, &format!("^resume^\n{REQUEST}"));
    Guest { first, again: Box::new(again) }
}

fn ask(running: &mut Running, request: &str) -> Visit {
    running.tell(request);
    let said = running.listen_for(&["served "]);
    Visit::told(said.contains("This is a resumed session"), &said)
}
