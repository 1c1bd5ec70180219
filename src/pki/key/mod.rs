//! Loads the private key of a file: finds it, decrypts it if necessary, and passes it to the provider.
//!
//! Every buffer that holds key bytes is wiped when it is dropped (G18). The provider wipes the buffer that it receives,
//! because the key types of rustls do so, and later the key that it builds.

mod encoding;
mod encrypted;
mod foreign;
mod password;
mod pkcs8;
mod unsupported;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

use super::pem::{Section, sections};
use super::wrong_format;
use crate::error::{Cause, Error};
use crate::options::TlsStack;
use crate::sys::without_fork;
use encrypted::{EncryptedKey, REMEDY};
use foreign::ForeignKey;
pub(crate) use password::{GivenPassword, Password};
pub(super) use unsupported::{kind_of_public_key, of_certificate};

/// Asks for the password of an encrypted key. Returns it, `None` if there is none, or why it cannot be read.
pub(crate) type AskPassword<'a> = &'a dyn Fn() -> Result<Option<GivenPassword<'a>>, Error>;

/// The most private keys in a file.
const MAX_KEYS: usize = 8;

/// A private key, for rustls and in the format for other TLS stacks.
#[derive(Clone)]
pub(crate) struct LoadedKey {
    pub(crate) signing: Arc<dyn SigningKey>,
    /// PKCS#8, if the format of the file is known.
    pub(crate) der: KeyDer,
}

/// A private key in PKCS#8, or in the format of its file. It is wiped with its last user, and is never printed (G18).
#[derive(Clone)]
pub(crate) struct KeyDer(Arc<Zeroizing<Vec<u8>>>);

impl KeyDer {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns whether the key is of the same kind as this public key (`SubjectPublicKeyInfo`), and on the same curve.
    pub(crate) fn may_be_of(&self, public_key: &[u8]) -> bool {
        pkcs8::is_of_kind(&self.0, public_key)
    }
}

impl fmt::Debug for KeyDer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDer")
    }
}

/// Which keys are accepted.
#[derive(Clone, Copy)]
pub(crate) struct KeyRules<'a> {
    pub(crate) provider: &'a CryptoProvider,
    /// Without a TLS stack in this library, keys that the provider does not know are left to the adapters.
    pub(crate) tls: TlsStack,
}

/// The private keys of a file; usually there is one.
pub(crate) struct LoadedKeys {
    pub(crate) keys: Vec<LoadedKey>,
    /// The number of keys in the file, those that could not be loaded included.
    pub(crate) count: usize,
    /// Why the first of those that could not be loaded could not.
    pub(crate) failure: Option<Error>,
}

/// Loads the private keys in `bytes`. Certificates and other PEM sections are ignored.
pub(crate) fn load(
    path: &Path,
    bytes: &[u8],
    rules: KeyRules<'_>,
    ask: AskPassword<'_>,
) -> Result<LoadedKeys, Error> {
    let sections = find(bytes).map_err(|cause| Error::at(path, cause))?;
    let mut password = AskedOnce { ask, password: None };
    let mut loaded = LoadedKeys { keys: Vec::new(), count: sections.len(), failure: None };
    for section in &sections {
        match load_section(path, section, rules, &mut password) {
            Ok(key) => loaded.keys.push(key),
            Err(error) => {
                loaded.failure.get_or_insert(error);
            }
        }
    }
    match loaded.failure {
        Some(error) if loaded.keys.is_empty() => Err(error),
        _ => Ok(loaded),
    }
}

/// The password of the keys in one file, asked for when it is first needed.
struct AskedOnce<'a> {
    ask: AskPassword<'a>,
    password: Option<Result<Option<GivenPassword<'a>>, Error>>,
}

impl<'a> AskedOnce<'a> {
    fn get(&mut self) -> Result<Option<&GivenPassword<'a>>, Error> {
        match self.password.get_or_insert_with(self.ask) {
            Ok(password) => Ok(password.as_ref()),
            Err(error) => Err(error.clone()),
        }
    }
}

fn load_section(
    path: &Path,
    section: &Section<'_>,
    rules: KeyRules<'_>,
    password: &mut AskedOnce<'_>,
) -> Result<LoadedKey, Error> {
    let here = |cause: Cause| Error::at(path, cause);
    if section.has_legacy_encryption() {
        let reason =
            format!("its encryption (Proc-Type and DEK-Info headers) is not supported; {REMEDY}");
        return Err(here(Cause::KeyUnsupported(reason)));
    }
    let der = section.decode().map_err(here)?;
    let unsupported = |reason: String| here(Cause::KeyUnsupported(reason));
    let (label, der) = match section.label {
        b"ENCRYPTED PRIVATE KEY" => {
            let key = EncryptedKey::parse(&der).map_err(|cause| {
                unsupported::of_key(section.label, &der).map_or_else(|| here(cause), unsupported)
            })?;
            let password = password.get()?.ok_or_else(|| here(Cause::KeyEncrypted(NO_PASSWORD)))?;
            let decrypted = key
                .decrypt(&password.bytes)
                .map_err(|failure| here(failure.unwrap_or_else(|| password.wrong())))?;
            (&b"PRIVATE KEY"[..], decrypted)
        }
        label => (label, der),
    };
    // The provider consumes and wipes `copy`. If it rejects the key, `der` is needed to find out why.
    let copy = match label {
        b"RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der.to_vec())),
        b"EC PRIVATE KEY" => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der.to_vec())),
        b"PRIVATE KEY" => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.to_vec())),
        label => {
            let reason = unsupported::of_key(label, &der);
            return Err(unsupported(reason.unwrap_or_else(|| unsupported::of_label(label).into())));
        }
    };
    let pkcs8 = KeyDer(Arc::new(pkcs8::to_pkcs8(&der)));
    let loaded = without_fork(|| rules.provider.key_provider.load_private_key(copy));
    match (loaded, rules.tls) {
        (Ok(signing), _) => Ok(LoadedKey { signing, der: pkcs8 }),
        (Err(_), TlsStack::None) => {
            let signing = Arc::new(ForeignKey { public_key: pkcs8::public_key_in(pkcs8.bytes()) });
            Ok(LoadedKey { signing, der: pkcs8 })
        }
        // The provider's own text may have names of its types, and names the formats that it tried (G24).
        (Err(_), TlsStack::Rustls) => {
            let unknown =
                || "it is malformed, or the cryptography provider does not know its kind".into();
            Err(unsupported(unsupported::of_key(label, &der).unwrap_or_else(unknown)))
        }
    }
}

const NO_PASSWORD: &str = "and there is no password for it; configure a password file or callback";

/// Returns whether loading the keys in `bytes` needs a password. Keys with the legacy encryption of OpenSSL do not: they
/// are rejected.
pub(crate) fn needs_password(bytes: &[u8]) -> bool {
    let is_encrypted = |section: &Section<'_>| section.label == b"ENCRYPTED PRIVATE KEY";
    find(bytes).is_ok_and(|sections| sections.iter().any(is_encrypted))
}

/// Finds the sections of the private keys, at least one.
fn find(bytes: &[u8]) -> Result<Vec<Section<'_>>, Cause> {
    let mut found = Vec::new();
    for section in sections(bytes) {
        let section = section?;
        if !section.label.ends_with(b"PRIVATE KEY") {
            continue;
        }
        if found.len() == MAX_KEYS {
            let reason = format!("there are more than {MAX_KEYS} in the file");
            return Err(Cause::KeyUnsupported(reason));
        }
        found.push(section);
    }
    if found.is_empty() {
        return Err(Cause::NoPrivateKey(wrong_format::without_key(bytes)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    fn cause(text: &str) -> Cause {
        let provider = default_provider();
        let rules = KeyRules { provider: &provider, tls: TlsStack::Rustls };
        let loaded = load("key".as_ref(), text.as_bytes(), rules, &|| Ok(None));
        loaded.err().unwrap().cause
    }

    #[test]
    fn key_among_other_sections_is_loaded() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let others = ["EC PARAMETERS", "CERTIFICATE"]
            .map(|label| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n"));
        let text = format!("{}{key}{}", others[0], others[1]);
        let ask = || panic!("asked for the password of a plain key");
        let provider = default_provider();
        let rules = KeyRules { provider: &provider, tls: TlsStack::Rustls };
        assert!(load("key".as_ref(), text.as_bytes(), rules, &ask).is_ok());
    }

    #[test]
    fn unusable_key_files_are_rejected_with_distinct_causes() {
        let many = cause(&KEY.repeat(MAX_KEYS + 1));
        assert!(many.to_string().contains("more than 8 in the file"), "{many}");
        assert_eq!(cause(&KEY.repeat(2)), cause(KEY), "none can be loaded");
        assert_eq!(
            cause(&KEY[..40]),
            Cause::PemTruncated { line: 1, end: "\"END PRIVATE KEY\"".to_owned() }
        );
        assert!(matches!(cause(&KEY.replace("AAAA", "A?AA")), Cause::PemMalformed { .. }));
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
