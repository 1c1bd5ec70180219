//! Keys and certificates made with the openssl command line, in every form that it knows.

use std::path::PathBuf;
use std::process::Command;

use certreload::ffi::options::watch::certreload_watch as Watch;

use super::host::{Builder, Host};

/// A directory in which shell commands leave `chain.pem` and `key.pem`, with functions for what each
/// of them would spell out.
pub struct Workshop(tempfile::TempDir);

const FUNCTIONS: &str = r#"
set -eu
exec 2>errors
umask 077
pkcs8() { openssl genpkey -out key.pem "$@"; }
ec() { pkcs8 -algorithm EC -pkeyopt ec_paramgen_curve:"$1"; }
rsa() { pkcs8 -algorithm RSA -pkeyopt rsa_keygen_bits:"$1"; }
certify() {
    openssl req -x509 -key key.pem -days 30 -subj /CN=a.test -addext subjectAltName=DNS:a.test \
        -addext basicConstraints=critical,CA:FALSE -out chain.pem "$@"
    cp chain.pem original.pem
}
rewrite() { for f in chain.pem key.pem; do "$@" <$f >$f.new; mv $f.new $f; done; }
# authority NAME ISSUER: NAME.pem and NAME.key; issue NAME ISSUER EXTENSION...
authority() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout $1.key -subj /CN=$1 -out $1.csr
    echo basicConstraints=critical,CA:TRUE >$1.ext
    if [ $1 = $2 ]; then by="-signkey $1.key"; else by="-CA $2.pem -CAkey $2.key -CAcreateserial"; fi
    openssl x509 -req -in $1.csr $by -days 30 -extfile $1.ext -out $1.pem
}
issue() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout key.pem -subj /CN=$1 -out leaf.csr
    echo subjectAltName=DNS:$1 >leaf.ext
    by=$2; shift 2; for e in "$@"; do echo "$e" >>leaf.ext; done
    openssl x509 -req -in leaf.csr -CA $by.pem -CAkey $by.key -CAcreateserial -days 20 \
        -extfile leaf.ext -out leaf.pem
}
"#;

impl Workshop {
    pub fn after(script: &str) -> Self {
        let workshop = Self(tempfile::tempdir().unwrap());
        workshop.run(script);
        workshop
    }

    pub fn run(&self, script: &str) -> String {
        let output = Command::new("sh")
            .args(["-c", &format!("{FUNCTIONS}\n{script}")])
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let errors = std::fs::read_to_string(self.path("errors")).unwrap_or_default();
        assert!(output.status.success(), "{script}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn options(&self) -> Builder {
        let builder = Builder::new().watch(Watch::Off).debounce_ms(0, 0);
        builder.identity(&self.path("chain.pem"), &self.path("key.pem"))
    }

    /// The fingerprint of the first certificate in a file, as OpenSSL has it.
    pub fn fingerprint(&self, name: &str) -> String {
        self.run(&format!(
            "openssl x509 -in {name} -noout -fingerprint -sha256 | cut -d= -f2 | tr -d : | tr A-F a-f"
        ))
    }
}

/// What the host was warned of when it opened, in bits and in words.
pub fn warnings_at_open(host: &Host) -> (u32, String) {
    let seen = host.recorder.wait_until("the first event", |seen| !seen.is_empty());
    (seen[0].warnings, seen[0].message.clone())
}
