//! The private key in a file: found, opened where it is encrypted, and loaded into the provider.
//!
//! Every buffer that holds the key on the way is wiped when it is dropped (G18); the provider wipes
//! what it is handed (rustls does), and what it makes of it.

mod diagnosis;
mod encrypted;

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

use super::pem::{Section, sections};
use super::sniff;
use crate::error::{Cause, Error};
use crate::sys::without_fork;
use encrypted::{EncryptedKey, REMEDY};

/// What a key is encrypted with.
pub(crate) type Password = Zeroizing<Vec<u8>>;

/// Gives the password, or none, or says why it cannot be had; asked only for an encrypted key.
pub(crate) type AskPassword<'a> = &'a dyn Fn() -> Result<Option<Password>, Error>;

/// Loads the one private key in `bytes`; certificates and other sections are passed over.
pub(crate) fn load(
    path: &Path,
    bytes: &[u8],
    provider: &CryptoProvider,
    ask: AskPassword<'_>,
) -> Result<Arc<dyn SigningKey>, Error> {
    let here = |cause: Cause| Error::at(path, cause);
    let section = find(bytes).map_err(here)?;
    if section.is_encrypted_of_old() {
        let why =
            format!("it is encrypted in the traditional PEM way, which is not supported: {REMEDY}");
        return Err(here(Cause::KeyUnsupported(why)));
    }
    let der = section.decode().map_err(here)?;
    let der = match section.label {
        b"ENCRYPTED PRIVATE KEY" => {
            let key = EncryptedKey::parse(&der).map_err(here)?;
            let password = ask()?.ok_or(here(Cause::KeyEncrypted("and no password is given")))?;
            key.open(&password).map_err(here)?
        }
        _ => der,
    };
    let refused = |why: String| here(Cause::KeyUnsupported(why));
    // A copy of its own, for it is wiped by whom it is given to.
    let handed_over = match section.label {
        b"RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der.to_vec())),
        b"EC PRIVATE KEY" => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der.to_vec())),
        b"PRIVATE KEY" | b"ENCRYPTED PRIVATE KEY" => {
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.to_vec()))
        }
        label => return Err(refused(diagnosis::of_label(label).to_owned())),
    };
    without_fork(|| provider.key_provider.load_private_key(handed_over)).map_err(|error| {
        refused(diagnosis::of_key(section.label, &der).unwrap_or_else(|| error.to_string()))
    })
}

/// Whether there is an encrypted key of PKCS#8 in `bytes`: one that takes a password.
pub(crate) fn takes_password(bytes: &[u8]) -> bool {
    find(bytes).is_ok_and(|section| section.label == b"ENCRYPTED PRIVATE KEY")
}

fn find(bytes: &[u8]) -> Result<Section<'_>, Cause> {
    let mut found = None;
    for section in sections(bytes) {
        let section = section?;
        if section.label.ends_with(b"PRIVATE KEY") && found.replace(section).is_some() {
            return Err(Cause::SeveralPrivateKeys);
        }
    }
    found.ok_or_else(|| Cause::NoPrivateKey(sniff::without_key(bytes)))
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    fn cause(text: &str) -> Cause {
        let loaded = load("key".as_ref(), text.as_bytes(), &default_provider(), &|| Ok(None));
        loaded.unwrap_err().cause
    }

    #[test]
    fn a_key_is_found_among_other_sections() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let others = ["EC PARAMETERS", "CERTIFICATE"]
            .map(|label| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n"));
        let text = format!("{}{key}{}", others[0], others[1]);
        let ask = || panic!("it is not encrypted");
        assert!(load("key".as_ref(), text.as_bytes(), &default_provider(), &ask).is_ok());
    }

    #[test]
    fn what_is_wrong_with_a_key_file_is_told_apart() {
        assert_eq!(cause(&KEY.repeat(2)), Cause::SeveralPrivateKeys);
        assert_eq!(cause(&KEY[..40]), Cause::PemTruncated("\"END PRIVATE KEY\"".to_owned()));
        assert!(matches!(cause(&KEY.replace("AAAA", "A?AA")), Cause::PemMalformed(_)));
        assert!(matches!(cause("0\u{1}"), Cause::NoPrivateKey(_)));
        assert!(matches!(cause(KEY), Cause::KeyUnsupported(_)));
        let openssh = cause(&KEY.replace("PRIVATE", "OPENSSH PRIVATE"));
        assert!(openssh.to_string().contains("ssh-keygen"), "{openssh}");
        let old = KEY.replace("AAAA", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA");
        let old = cause(&old.replace("PRIVATE", "RSA PRIVATE"));
        assert!(matches!(old, Cause::KeyUnsupported(_)), "{old}");
        assert!(old.to_string().contains("openssl pkcs8 -topk8"), "{old}");
    }
}
