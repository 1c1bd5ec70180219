//! Cases of OCSP responses, and whether the client of OpenSSL accepts them.

use std::fs;
use std::path::Path;

use rcgen::{KeyPair, SigningKey};

use crate::case::write_bytes;
use crate::der::{self, BIT_STRING, GENERALIZED_TIME, OCTET_STRING, sequence, tlv};
use crate::support::workshop::Workshop;
use crate::trust::Stapled;

/// `respond NAME SIGNER CERTIFICATE OPTION...` makes NAME.der; `judge` writes the names of the accepted ones.
const SCRIPT: &str = r#"
authority root root; authority other other
certify_responder() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout $1.key -subj /CN=$1 -out $1.csr
    echo "$2" >responder.ext
    openssl x509 -req -in $1.csr -CA $3.pem -CAkey $3.key -CAcreateserial -days 20 -extfile responder.ext -out $1.pem
}
certify_responder delegate extendedKeyUsage=OCSPSigning root
certify_responder unfit keyUsage=digitalSignature root
certify_responder stranger extendedKeyUsage=OCSPSigning other
issue b.test root; cp leaf.pem b.pem
issue a.test root; cat leaf.pem root.pem >chain.pem
known() {
    serial=$(openssl x509 -in ${2:-leaf}.pem -noout -serial | cut -d= -f2)
    case $1 in
        V) printf "V\t391231235959Z\t\t$serial\tunknown\t/CN=a.test\n" ;;
        R) printf "R\t391231235959Z\t260101000000Z,keyCompromise\t$serial\tunknown\t/CN=a.test\n" ;;
    esac >index
}
respond() {
    name=$1 signer=$2 of=$3; shift 3
    openssl ocsp -index index -CA root.pem -rsigner $signer.pem -rkey $signer.key -noverify \
        -issuer root.pem -cert $of.pem -respout "$name.der" "$@" >/dev/null
}
known V
respond good root leaf -ndays 7
respond 'good, delegated' delegate leaf -ndays 7
respond 'good, without certificates' root leaf -ndays 7 -resp_no_certs
respond 'good, delegated, without certificates' delegate leaf -ndays 7 -resp_no_certs
respond 'good, by key' root leaf -ndays 7 -resp_key_id
respond 'good, SHA-384' root leaf -ndays 7 -rmd sha384
respond 'good, signed with SHA-1' root leaf -ndays 7 -rmd sha1
respond 'good, without nextUpdate' root leaf
respond 'good, by an unfit responder' unfit leaf -ndays 7
respond 'good, by a responder of another authority' stranger leaf -ndays 7
respond 'good, by another authority' other leaf -ndays 7
respond 'good, with a nonce' root leaf -ndays 7 -nonce
openssl ocsp -index index -CA root.pem -rsigner root.pem -rkey root.key -noverify -issuer root.pem -sha256 \
    -cert leaf.pem -respout 'good, named with SHA-256.der' -ndays 7 >/dev/null
known V b
respond 'of another certificate' root b -ndays 7
respond unknown root leaf -ndays 7
known R
respond revoked root leaf -ndays 7
respond 'revoked, delegated' delegate leaf -ndays 7
head -c 100 good.der >'cut off.der'
{ cat good.der; printf '\0\0'; } >'bytes behind it.der'
{ head -c 60 good.der; printf 'x'; tail -c +62 good.der; } >damaged.der
printf '\060\003\012\001\003' >'try later.der'
openssl base64 -in good.der >'base64.der'
{ echo '-----BEGIN OCSP RESPONSE-----'; openssl base64 -in good.der; echo '-----END OCSP RESPONSE-----'; } >PEM.der
echo text >text.der
: >empty.der
cp leaf.pem 'a certificate.der'
"#;

const JUDGE: &str = r#"
for response in *.der; do
    for hash in sha1 sha256; do
        if openssl ocsp -respin "$response" -issuer root.pem -$hash -cert leaf.pem -CAfile root.pem -no_nonce \
                >says 2>&1 && grep -q '^leaf.pem: good' says && ! grep -q '^WARNING: Status times invalid' says; then
            echo "$response"
        fi
    done
done
"#;

pub fn make(directory: &Path, chain: &Path, key: &Path) -> Vec<Stapled> {
    let workshop = Workshop::after("true");
    workshop.run(SCRIPT);
    let good = fs::read(workshop.path("good.der")).unwrap();
    let root = fs::read_to_string(workshop.path("root.key")).unwrap();
    let root = KeyPair::from_pem(&root).unwrap();
    for (name, this_update, next_update) in [
        ("good, expired.der", b"20260101000000Z", b"20260108000000Z"),
        ("good, not yet valid.der", b"20480101000000Z", b"20480108000000Z"),
    ] {
        let dated = with_dates(&good, [this_update, this_update, next_update], &root);
        fs::write(workshop.path(name), dated).unwrap();
    }
    let accepted = workshop.run(JUDGE);
    for (name, path) in [("chain.pem", chain), ("key.pem", key)] {
        write_bytes(path, &fs::read(workshop.path(name)).unwrap());
    }
    let entries = fs::read_dir(workshop.path("")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> =
        names.filter(|name| name.split('.').next_back() == Some("der")).collect();
    names.sort();
    let staples = names.iter().map(|name| {
        let path = directory.join(name);
        write_bytes(&path, &fs::read(workshop.path(name)).unwrap());
        let accepts = accepted.lines().any(|line| line == name);
        Stapled { name: format!("OCSP: {}", name.trim_end_matches(".der")), path, accepts }
    });
    staples.collect()
}

/// The response with other dates (producedAt, thisUpdate, nextUpdate), signed again.
fn with_dates(response: &[u8], dates: [&[u8; 15]; 3], key: &KeyPair) -> Vec<u8> {
    let (_, response, _) = der::first(response).unwrap();
    let (_, _, bytes) = der::first(response).unwrap();
    let (_, bytes, _) = der::first(bytes).unwrap();
    let (_, bytes, _) = der::first(bytes).unwrap();
    let (_, kind, basic) = der::first(bytes).unwrap();
    let (_, basic, _) = der::first(basic).unwrap();
    let (_, basic, _) = der::first(basic).unwrap();
    let (_, data, rest) = der::first(basic).unwrap();
    let (_, algorithm, rest) = der::first(rest).unwrap();
    let (_, _, certificates) = der::first(rest).unwrap();
    let mut data = tlv(0x30, data);
    let mut dates = dates.into_iter();
    for at in 0..data.len() - 16 {
        if data[at..].starts_with(&[GENERALIZED_TIME, 15]) {
            data[at + 2..at + 17].copy_from_slice(dates.next().unwrap());
        }
    }
    let signature = tlv(BIT_STRING, &[vec![0], key.sign(&data).unwrap()].concat());
    let basic = sequence(&[&data, &tlv(0x30, algorithm), &signature, certificates]);
    let bytes = sequence(&[&tlv(0x06, kind), &tlv(OCTET_STRING, &basic)]);
    sequence(&[&[0x0a, 1, 0], &tlv(0xa0, &bytes)])
}
