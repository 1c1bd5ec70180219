//! Python's ssl: one process, told to come back.

use super::running::Running;
use super::{Guest, Version, Visit, Visitor};
use crate::server::Server;

pub(super) fn visit(visitor: &Visitor, server: &Server) -> Guest {
    let port = server.address.port().to_string();
    let mut running = Running::start("python3", |command| {
        let version = if visitor.version == Version::Tls12 { "TLSv1_2" } else { "TLSv1_3" };
        command.args(["-IS", "-c", include_str!("python.py"), &port, version, &visitor.name]);
        command.arg(&visitor.root);
        if let Some((chain, key)) = &visitor.pair {
            command.arg(chain).arg(key);
        }
    });
    let mut ask = move || {
        running.tell("\n");
        let said = running.listen_for(&["served ", "refused "]);
        Visit::told(said.starts_with("resumed "), &said)
    };
    Guest { first: ask(), again: Box::new(ask) }
}
