//! A client of rustls, in this process.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::ClientSessionMemoryCache;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, StreamOwned, SupportedProtocolVersion,
};

use super::{Alert, Guest, Version, Visit, Visitor};
use crate::server::Server;
use crate::support::client::AnyCertificate;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n";

pub(super) fn visit(visitor: &Visitor, server: &Server) -> Guest {
    let (config, name, address) = (config(visitor), visitor.name.clone(), server.address);
    let ask = move || {
        let name = ServerName::try_from(name.clone()).unwrap();
        let client = ClientConnection::new(config.clone(), name).unwrap();
        ask(StreamOwned::new(client, TcpStream::connect(address).unwrap()))
    };
    Guest { first: ask(), again: Box::new(ask) }
}

fn config(visitor: &Visitor) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[&SupportedProtocolVersion] = match visitor.version {
        Version::Tls12 => &[&rustls::version::TLS12],
        Version::Tls13 => &[&rustls::version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate));
    let mut config = match &visitor.pair {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap);
            let key = PrivateKeyDer::from_pem_file(key).unwrap();
            builder.with_client_auth_cert(chain.collect(), key).unwrap()
        }
    };
    let store = Arc::new(ClientSessionMemoryCache::new(32));
    config.resumption = rustls::client::Resumption::store(store);
    Arc::new(config)
}

fn ask(mut stream: StreamOwned<ClientConnection, TcpStream>) -> Visit {
    let mut said = String::new();
    let asked = stream.write_all(REQUEST).and_then(|()| stream.read_to_string(&mut said));
    match asked {
        Ok(_) => Visit::told(stream.conn.handshake_kind() == Some(HandshakeKind::Resumed), &said),
        Err(error) => Visit::Refused(alert(&error)),
    }
}

fn alert(error: &io::Error) -> Alert {
    use rustls::AlertDescription as Description;
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::AlertReceived(alert)) => match alert {
            Description::CertificateRevoked => Alert::CertificateRevoked,
            Description::UnknownCA => Alert::UnknownCa,
            Description::CertificateRequired => Alert::CertificateRequired,
            other => panic!("refused with {other:?}"),
        },
        _ => panic!("neither served nor refused: {error}"),
    }
}
