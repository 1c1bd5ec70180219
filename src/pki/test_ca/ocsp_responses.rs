//! OCSP responses of all kinds for tests, made with the openssl command.

use std::process::Command;

use rustls::crypto::aws_lc_rs::default_provider;

use crate::clock::unix_now;
use crate::error::Position;
use crate::pki::chain::Chain;
use crate::pki::{certificate, pem};

/// A shell script that makes CAs (two of them with one name), certificates, responders and OCSP responses.
const SCRIPT: &str = r#"
set -eu
exec 2>errors
n=$((0x1000))
ec() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:$2 -out $1.key; }
root() { ec $1 P-256; openssl req -x509 -key $1.key -subj /CN=$2 -days 30 -out $1.pem; }
# issue NAME ISSUER DAYS EXTENSION [SERIAL]
issue() {
    test -e $1.key || ec $1 P-256
    n=$((n + 1)); echo "$4" >ext
    openssl req -new -key $1.key -subj /CN=$1 -out csr
    openssl x509 -req -in csr -CA $2.pem -CAkey $2.key -set_serial ${5:-$n} -days $3 -extfile ext -out $1.pem
}
root ca root; root other root; root stranger stranger
issue leaf ca 20 basicConstraints=CA:FALSE
issue bad ca 20 basicConstraints=CA:FALSE
issue must ca 20 tlsfeature=status_request
issue twin other 20 basicConstraints=CA:FALSE 0x1001
issue namesake stranger 20 basicConstraints=CA:FALSE 0x1001
ec odd secp256k1; openssl genrsa -out rsa.key 2048
issue delegate ca 3 extendedKeyUsage=OCSPSigning
issue plain ca 20 extendedKeyUsage=serverAuth
issue odd ca 20 extendedKeyUsage=OCSPSigning
issue rsa other 20 extendedKeyUsage=OCSPSigning
issue foreign other 20 extendedKeyUsage=OCSPSigning
printf 'V\t391231235959Z\t\t%s\tunknown\t/CN=%s\n' 1001 leaf 1003 must >index
printf 'V\t391231235959Z\t\t%s\tunknown\t/CN=root\n' $(openssl x509 -in ca.pem -noout -serial | cut -d= -f2) >>index
printf 'R\t391231235959Z\t260102030405Z\t1002\tunknown\t/CN=bad\n' >>index
# respond OUT SIGNER ISSUER CERTIFICATE [OPTION...]
respond() {
    out=$1 signer=$2 issuer=$3 of=$4; shift 4
    openssl ocsp -index index -CA $issuer.pem -rsigner $signer.pem -rkey $signer.key -noverify \
        -issuer $issuer.pem $hash -cert $of.pem -respout $out "$@" >/dev/null
}
hash=
respond good ca ca leaf -ndays 7
respond bare ca ca leaf -ndays 7 -resp_no_certs
respond endless ca ca leaf
respond both ca ca leaf -ndays 7 -cert bad.pem
respond must-good ca ca must -ndays 7
respond revoked ca ca bad -ndays 7
respond unknown ca ca plain -ndays 7
respond twin-good other other twin -ndays 7
respond namesake-good stranger stranger namesake -ndays 7
respond delegated delegate ca leaf -ndays 7
respond by-plain plain ca leaf -ndays 7
respond by-foreign foreign ca leaf -ndays 7
respond by-odd odd ca leaf -ndays 7
respond by-rsa rsa ca leaf -ndays 7 -resp_no_certs
respond own ca ca ca -ndays 7 -resp_no_certs
respond own-by-other other ca ca -ndays 7 -resp_no_certs
respond by-other other ca leaf -ndays 7 -resp_no_certs
for h in sha1 sha256 sha384 sha512 sha224; do hash=-$h; respond $h ca ca leaf -ndays 7; done
"#;

/// The directory in which the script has run. All its keys, certificates and responses are files there.
pub(crate) struct Authorities(tempfile::TempDir);

impl Authorities {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        let done = shell.args(["-c", SCRIPT]).current_dir(directory.path()).status();
        let this = Self(directory);
        assert!(done.unwrap().success(), "{}", String::from_utf8_lossy(&this.file("errors")));
        for name in ["good", "bare"] {
            // Changes a date in a copy of the response, so that its signature is wrong.
            let mut response = this.file(name);
            let at = response.windows(3).position(|window| window == b"\x18\x0f2").unwrap();
            response[at + 5] ^= 1;
            std::fs::write(this.0.path().join(format!("damaged-{name}")), response).unwrap();
        }
        this
    }

    pub(crate) fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap_or_default()
    }

    /// Calls `use_chain` with a chain of the certificates with these names. The time of the chain is `later` seconds
    /// from now.
    pub(crate) fn with_chain<T>(
        &self,
        names: &[&str],
        later: i64,
        use_chain: impl Fn(&Chain<'_>) -> T,
    ) -> T {
        let text: Vec<_> =
            names.iter().flat_map(|name| self.file(&format!("{name}.pem"))).collect();
        let certificates = pem::certificates(&text).unwrap();
        let facts: Vec<_> = certificates
            .iter()
            .enumerate()
            .map(|(at, der)| certificate::facts(der, Position::new(at, 2)).unwrap())
            .collect();
        use_chain(&Chain {
            path: "chain".as_ref(),
            certificates: &certificates,
            facts: &facts,
            leaf: 0,
            algorithms: &default_provider().signature_verification_algorithms,
            now: unix_now() + later,
        })
    }
}
