//! OCSP staples: real clients are shown the response that is good, and never another.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use certreload::ffi::event::CERTRELOAD_WARNING_OCSP_UNUSABLE as UNUSABLE;
use certreload::ffi::event::certreload_event_kind::{self as Kind, Expired, Expiring, Reloaded};
use certreload::ffi::generation::{
    certreload_generation_acquire, certreload_generation_identity, certreload_generation_release,
};
use certreload::ffi::identity_getters::certreload_identity_ocsp_der;
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;
use rustls::HandshakeKind;
use support::clock::Clock;
use support::host::{Builder, Client, Host};
use support::server::{run, serve};
use support::workshop::Workshop;

const DAY: i64 = 24 * 3600;
const MINUTE: i64 = 60;

/// A leaf, the authority that issued it, and the root above that; and whoever answers for them.
const RESPONDER: &str = r#"
# certify: a new key and certificate
certify() { issue a.test issuing "$@"; cat leaf.pem issuing.pem >chain.pem; known V; }
# known STATUS [SINCE]: what is on record of the leaf
known() {
    serial=$(openssl x509 -in leaf.pem -noout -serial | cut -d= -f2)
    printf "$1\t391231235959Z\t%s\t$serial\tunknown\t/CN=a.test\n" ${2:-''} >index
}
# respond SIGNER [OPTION...]: what SIGNER says of the leaf
respond() {
    signer=$1; shift
    openssl ocsp -index index -CA issuing.pem -rsigner $signer.pem -rkey $signer.key -noverify \
        -issuer issuing.pem -cert leaf.pem -respout staple.new "$@" >/dev/null
    mv staple.new staple.der
}
"#;

/// A server with a staple that is good for a week.
struct Stage {
    shop: Workshop,
    host: Arc<Host>,
    address: SocketAddr,
    clock: Clock,
}

impl Stage {
    fn new(watch: Watch) -> Self {
        Self::with(|builder| builder.watch(watch))
    }

    fn with(options: impl Fn(Builder) -> Builder) -> Self {
        let clock = Clock::new();
        let shop = Workshop::after(&format!(
            "{RESPONDER} authority root root; authority issuing root; certify; respond issuing -ndays 7"
        ));
        let [chain, key, staple] =
            ["chain.pem", "key.pem", "staple.der"].map(|name| shop.path(name));
        let builder = Builder::new().identity_with_staple(&chain, &key, Some(&staple));
        let host = Arc::new(options(builder).debounce_ms(10, 60_000).open());
        let address = serve(host.clone());
        Self { shop, host, address, clock }
    }

    fn run(&self, script: &str) {
        self.shop.run(&format!("{RESPONDER} {script}"));
    }

    /// Runs it and has the files looked at; gives the warnings that this led to, in bits and in words.
    fn renew(&self, script: &str) -> (u32, String) {
        self.run(script);
        let before = self.host.status().generation;
        assert_eq!(self.host.reload_wait(), Outcome::Ok, "{script}");
        let newer = |seen: &&support::host::Seen| seen.generation > before;
        let all =
            self.host.recorder.wait_until("a reload", |seen| seen.iter().any(|it| newer(&it)));
        let told = all.into_iter().find(|seen| newer(&seen)).unwrap();
        assert_eq!(told.kind, Reloaded);
        (told.warnings, told.message)
    }

    fn staple(&self) -> Vec<u8> {
        fs::read(self.shop.path("staple.der")).unwrap()
    }

    fn root(&self) -> String {
        self.shop.path("root.pem").to_str().unwrap().to_owned()
    }

    /// What OpenSSL is shown that asks for a staple; it checks the certificate.
    fn openssl(&self, version: &str) -> String {
        let (place, root) = (self.address, self.root());
        let command = format!(
            "openssl s_client -connect {place} -servername a.test -CAfile {root} -verify_return_error \
             -status {version} </dev/null 2>/dev/null"
        );
        run("sh", &["-c", &command])
    }

    /// Whether it is shown one that says "good".
    fn is_stapled(&self) -> bool {
        let [older, newer] = ["-tls1_2", "-tls1_3"].map(|version| {
            let said = self.openssl(version);
            let none = said.contains("OCSP response: no response sent");
            let good = said.contains("OCSP Response Status: successful")
                && said.contains("Cert Status: good");
            assert_ne!(none, good, "{said}");
            good
        });
        assert_eq!(older, newer);
        older
    }

    /// The response that a client of gnutls is shown; it checks it.
    fn gnutls(&self, version: &str) -> Vec<u8> {
        let saved = self.shop.path("saved.der");
        let command = format!(
            "gnutls-cli --x509cafile {} --save-ocsp {} --priority NORMAL:-VERS-ALL:+VERS-{version} \
             --sni-hostname a.test --verify-hostname a.test --port {} 127.0.0.1 </dev/null",
            self.root(),
            saved.display(),
            self.address.port()
        );
        run("sh", &["-c", &command]);
        let response = fs::read(&saved).unwrap();
        fs::remove_file(saved).unwrap();
        response
    }

    /// What curl says that insists on a staple, and checks it.
    fn curl(&self, version: &str) -> String {
        let port = self.address.port();
        let command = format!(
            "curl --silent --show-error --cert-status {version} --cacert {} \
             --resolve a.test:{port}:127.0.0.1 https://a.test:{port}/ 2>&1 || :",
            self.root()
        );
        run("sh", &["-c", &command])
    }

    /// The response by introspection.
    fn looked_up(&self) -> Option<Vec<u8>> {
        let mut length = 0;
        // SAFETY: an open handle; the bytes are copied before the generation is released.
        unsafe {
            let generation = certreload_generation_acquire(self.host.handle);
            let identity = certreload_generation_identity(generation, 0);
            let bytes = certreload_identity_ocsp_der(identity, &raw mut length);
            let copy =
                (!bytes.is_null()).then(|| std::slice::from_raw_parts(bytes, length).to_vec());
            certreload_generation_release(generation);
            copy
        }
    }

    /// Waits until these are the events.
    fn told(&self, expected: &[(Kind, u64)]) {
        let recorder = &self.host.recorder;
        let all = recorder.wait_until("events", |seen| seen.len() >= expected.len());
        let all: Vec<_> = all.iter().map(|seen| (seen.kind, seen.generation)).collect();
        assert_eq!(all, expected);
    }
}

#[test]
fn a_staple_is_shown_to_every_client_that_asks_in_tls_1_2_and_1_3() {
    let stage = Stage::new(Watch::Off);
    assert!(stage.is_stapled());
    for version in ["TLS1.2", "TLS1.3"] {
        assert_eq!(stage.gnutls(version), stage.staple(), "{version}");
    }
    for version in ["--tlsv1.2 --tls-max 1.2", "--tlsv1.3"] {
        assert_eq!(stage.curl(version), "hello", "{version}");
    }
    assert_eq!(stage.looked_up(), Some(stage.staple()));
}

#[test]
fn g1_a_staple_that_is_renewed_alone_goes_live_in_one_reload_and_keeps_sessions() {
    let stage = Stage::new(Watch::Auto);
    let (client, certificate) = (Client::new(), stage.host.sha256());
    assert_eq!(client.connect(&stage.host), HandshakeKind::Full);
    let first = stage.staple();
    stage.run("respond issuing -ndays 7");
    stage.told(&[(Reloaded, 1), (Reloaded, 2)]);
    assert_ne!(stage.staple(), first);
    assert_eq!(stage.gnutls("TLS1.3"), stage.staple());
    assert_eq!(client.connect(&stage.host), HandshakeKind::Resumed);
    assert_eq!(stage.host.sha256(), certificate);
    assert_eq!(stage.host.reload_wait(), Outcome::Unchanged);
    let told = stage.host.recorder.all();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|seen| seen.warnings == 0), "{told:?}");
}

#[test]
fn g2_a_certificate_that_comes_before_its_staple_is_served_without_until_that_comes() {
    let stage = Stage::new(Watch::Off);
    let (warnings, said) = stage.renew("certify");
    assert_eq!(warnings, UNUSABLE);
    let path = stage.shop.path("staple.der");
    let expected = format!(
        "the OCSP response {} cannot be used and is left out: it is about another certificate",
        path.display()
    );
    assert!(said.contains(&expected), "{said}");
    assert_eq!(stage.host.status().warnings, UNUSABLE);
    assert!(!stage.is_stapled());
    assert!(stage.curl("--tlsv1.3").contains("No OCSP response received"));

    assert_eq!(stage.renew("respond issuing -ndays 7").0, 0);
    assert!(stage.is_stapled());
    assert_eq!(stage.curl("--tlsv1.3"), "hello");
    assert_eq!(stage.host.status().warnings, 0);
}

#[test]
fn a_response_that_clients_would_refuse_is_not_stapled_and_the_reason_is_reported() {
    let stage = Stage::new(Watch::Off);
    stage.run("cp staple.der good.der");
    let good = "cp good.der staple.der";
    let table = [
        ("known R 260102030405Z; respond issuing -ndays 7", "was revoked at 2026-01-02T03:04:05Z"),
        (": >index; respond issuing -ndays 7", "its responder does not know the certificate"),
        (
            "known V; respond root -ndays 7",
            "\"root\", whose certificate is not from the certificate's issuer",
        ),
        ("respond root -ndays 7 -resp_no_certs", "not signed by the certificate's issuer"),
        ("respond issuing -nmin 1", "it expired at 20"),
        (
            "printf '\\060\\003\\012\\001\\003' >staple.der",
            "error message of the responder, \"tryLater\"",
        ),
        ("head -c 200 good.der >staple.der", "not one whole OCSP response"),
        ("echo '<html>502 Bad Gateway</html>' >staple.der", "not one whole OCSP response"),
        ("echo '-----BEGIN OCSP RESPONSE-----' >staple.der", "it is PEM, not DER"),
        ("head -c 20000 /dev/zero >staple.der", "longer than 16380 bytes"),
        ("rm staple.der", "left out: no such file"),
        ("mkdir staple.der", "left out: is a directory"),
    ];
    stage.clock.set(2 * MINUTE);
    for (script, reason) in table {
        let (warnings, said) = stage.renew(script);
        assert_eq!(warnings, UNUSABLE, "{script}: {said}");
        assert!(said.contains(reason), "{script}: {said}");
        assert!(said.contains(stage.shop.path("staple.der").to_str().unwrap()), "{said}");
        assert!(!stage.is_stapled(), "{script}");
        assert_eq!(stage.looked_up(), None, "{script}");
    }
    assert_eq!(stage.renew(&format!("rmdir staple.der; {good}")).0, 0);
    assert!(stage.is_stapled());
}

#[test]
fn g20_a_staple_that_expires_is_left_out_at_once_and_reported() {
    let stage = Stage::new(Watch::Off);
    let staple = stage.staple();
    stage.clock.set(4 * DAY);
    assert_eq!(stage.host.status().health, Health::Ok);
    assert_eq!(stage.host.reload_wait(), Outcome::Unchanged);

    // The last third of its week.
    stage.clock.set(5 * DAY);
    stage.told(&[(Reloaded, 1), (Expiring, 1)]);
    assert_eq!(stage.host.status().health, Health::Expiring);
    let said = stage.host.recorder.of(Expiring).remove(0).message;
    assert!(said.contains("the OCSP response for a.test expires in "), "{said}");

    stage.clock.set(7 * DAY - MINUTE);
    assert!(stage.is_stapled());
    stage.clock.set(7 * DAY + MINUTE);
    assert!(!stage.is_stapled(), "no event has to be waited for");
    assert_eq!(stage.looked_up(), None);
    stage.told(&[(Reloaded, 1), (Expiring, 1), (Expired, 1)]);
    assert_eq!(stage.host.status().health, Health::Expiring, "the certificate is good");
    assert_eq!(stage.host.status().generation, 1);
    let expired = stage.host.recorder.of(Expired).remove(0);
    assert!(expired.message.contains("the OCSP response for a.test expired at"), "{expired:?}");
    assert_eq!(expired.warnings, UNUSABLE);

    // The clock was wrong.
    stage.clock.set(0);
    assert!(stage.is_stapled());
    assert_eq!(stage.looked_up(), Some(staple));
    stage.clock.set(-60 * MINUTE);
    assert!(!stage.is_stapled(), "before its thisUpdate");
}

#[test]
fn g20_who_wants_no_warning_of_certificates_gets_none_of_staples() {
    let stage = Stage::with(|builder| builder.watch(Watch::Off).expiry_warning(0));
    stage.clock.set(6 * DAY);
    assert_eq!(stage.host.reload_wait(), Outcome::Unchanged);
    assert_eq!(stage.host.status().health, Health::Ok);
    stage.clock.set(8 * DAY);
    stage.told(&[(Reloaded, 1), (Expired, 1)]);
}
