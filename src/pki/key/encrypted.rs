//! Decrypts PKCS#8 keys (RFC 5958 section 3) with PBES2 (RFC 8018 section 6.2).
//!
//! The file chooses how much time and memory its key derivation takes, so both are limited before any work is done
//! (G17).

use pkcs5::EncryptionScheme;
use pkcs5::pbes2::{Kdf, Parameters};
use zeroize::Zeroizing;

use crate::error::Cause;
use crate::pki::der::{INTEGER, OCTET_STRING, SEQUENCE, element, only, tagged};

/// The maximum number of PBKDF2 rounds: about a second of work, and more than is recommended (OWASP: 1.4 million for
/// SHA-1).
const MAX_ITERATIONS: u32 = 2_000_000;

/// The maximum memory for scrypt (RFC 7914): a table of 64 MiB, and room for the blocks that are mixed with it. The
/// table may be four times as large as what OpenSSL writes, and twice as large as what it opens by default.
const MAX_SCRYPT_MEMORY: u64 = 65 << 20;
/// The maximum number of blocks that scrypt mixes, which limits its time: sixteen times what OpenSSL writes.
const MAX_SCRYPT_WORK: u64 = 1 << 21;

/// The end of the messages about unsupported encryption: what the user can do.
pub(super) const REMEDY: &str = "encrypt it again with \"openssl pkcs8 -topk8 -in OLD -out NEW\"";

/// An encrypted key whose algorithms are supported and within the limits.
pub(super) struct EncryptedKey<'a> {
    parameters: Parameters,
    ciphertext: &'a [u8],
}

impl<'a> EncryptedKey<'a> {
    /// Parses an `EncryptedPrivateKeyInfo`.
    pub(super) fn parse(der: &'a [u8]) -> Result<Self, Cause> {
        let malformed = || unsupported("the encrypted key is malformed");
        let outer = only(der, SEQUENCE).ok_or_else(malformed)?;
        let (algorithm, rest) = element(outer).ok_or_else(malformed)?;
        let ciphertext = only(rest, OCTET_STRING).ok_or_else(malformed)?;
        let kind = || Cause::KeyUnsupported(format!("its encryption is not supported; {REMEDY}"));
        match EncryptionScheme::try_from(algorithm.whole).map_err(|_| kind())? {
            EncryptionScheme::Pbes2(parameters) => {
                check_limits(&parameters.kdf)?;
                Ok(Self { parameters, ciphertext })
            }
            _ => Err(kind()),
        }
    }

    /// Returns the decrypted `PrivateKeyInfo`; or, if the password is wrong, the error `None`.
    pub(super) fn decrypt(&self, password: &[u8]) -> Result<Zeroizing<Vec<u8>>, Option<Cause>> {
        let mut buffer = Zeroizing::new(self.ciphertext.to_vec());
        let length = match self.parameters.decrypt_in_place(password, &mut buffer) {
            Ok(decrypted) => decrypted.len(),
            Err(error) => return Err(failure(error)),
        };
        buffer.truncate(length);
        // With about one wrong password in 256, the decrypted bytes happen to end in a valid padding. So their
        // beginning is checked, too.
        if looks_like_a_key(&buffer) { Ok(buffer) } else { Err(None) }
    }
}

/// Returns why a key cannot be decrypted; `None` if the password is wrong.
fn failure(error: pkcs5::Error) -> Option<Cause> {
    let reason = match error {
        pkcs5::Error::DecryptFailed => return None,
        pkcs5::Error::AlgorithmParametersInvalid { oid } => {
            format!("the parameters of its encryption algorithm {oid} are invalid")
        }
        pkcs5::Error::UnsupportedAlgorithm { oid } => {
            format!("its encryption algorithm {oid} is not supported")
        }
        _ => "its encryption is not supported".to_owned(),
    };
    Some(Cause::KeyUnsupported(format!("{reason}; {REMEDY}")))
}

fn check_limits(kdf: &Kdf) -> Result<(), Cause> {
    match kdf {
        Kdf::Pbkdf2(parameters) if parameters.iteration_count > MAX_ITERATIONS => {
            Err(Cause::KeyUnsupported(format!(
                "its encryption takes {} rounds, more than the limit of {MAX_ITERATIONS}; {REMEDY}",
                parameters.iteration_count
            )))
        }
        Kdf::Scrypt(parameters) => {
            let blocks = parameters.cost_parameter.saturating_mul(parameters.block_size.into());
            // scrypt keeps a table of N blocks and the p blocks that it mixes, each of 128 * r bytes (RFC 7914 section
            // 5).
            let mixed = u64::from(parameters.block_size) * u64::from(parameters.parallelization);
            let memory = blocks.saturating_add(mixed).saturating_mul(128);
            let work = blocks.saturating_mul(parameters.parallelization.into());
            if memory > MAX_SCRYPT_MEMORY || work > MAX_SCRYPT_WORK {
                return Err(unsupported("its encryption (scrypt) takes too much memory or work"));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Returns whether `der` begins like `PrivateKeyInfo ::= SEQUENCE { version INTEGER, algorithm SEQUENCE, … }`.
fn looks_like_a_key(der: &[u8]) -> bool {
    only(der, SEQUENCE)
        .and_then(|key| tagged(key, INTEGER))
        .is_some_and(|(_, rest)| tagged(rest, SEQUENCE).is_some())
}

fn unsupported(reason: &str) -> Cause {
    Cause::KeyUnsupported(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use pkcs5::der::Encode;
    use pkcs5::pbes2;
    use pkcs5::scrypt::Params;

    use super::*;

    /// The beginning of a `PrivateKeyInfo`: as much as `looks_like_a_key` checks.
    const KEY: [u8; 7] = [0x30, 0x05, 0x02, 0x01, 0x00, 0x30, 0x00];

    fn sequence(content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82, length[0], length[1]], content].concat()
    }

    /// Returns an `EncryptedPrivateKeyInfo`. `ciphertext` may be anything if the limits alone are tested: they are
    /// checked first.
    fn wrapped(parameters: Parameters, ciphertext: &[u8]) -> Vec<u8> {
        let mut room = [0; 256];
        let algorithm =
            EncryptionScheme::Pbes2(parameters).encode_to_slice(&mut room).unwrap().to_vec();
        let text = [&[0x04, u8::try_from(ciphertext.len()).unwrap()], ciphertext].concat();
        sequence(&[algorithm, text].concat())
    }

    /// Returns [`KEY`] encrypted with the password "secret".
    fn key_in(parameters: Parameters) -> Vec<u8> {
        let mut room = [0; 16];
        room[..KEY.len()].copy_from_slice(&KEY);
        let text = parameters.encrypt_in_place("secret", &mut room, KEY.len()).unwrap().to_vec();
        wrapped(parameters, &text)
    }

    fn pbkdf2(rounds: u32) -> Parameters {
        Parameters::generate_pbkdf2_sha256_aes256cbc(rounds, b"saltsalt", [7; 16]).unwrap()
    }

    fn scrypt(log_n: u8, r: u32, p: u32) -> Parameters {
        let cost = Params::new(log_n, r, p).unwrap();
        Parameters::generate_scrypt_aes256cbc(cost, b"saltsalt", [7; 16]).unwrap()
    }

    #[test]
    fn key_is_decrypted_with_its_password_only() {
        for parameters in [pbkdf2(1), pbkdf2(2048), scrypt(14, 8, 1)] {
            let der = key_in(parameters);
            let key = EncryptedKey::parse(&der).unwrap();
            assert_eq!(key.decrypt(b"secret").unwrap().as_slice(), KEY);
            assert_eq!(key.decrypt(b"Secret").unwrap_err(), None);
            assert_eq!(key.decrypt(b"").unwrap_err(), None);
        }
    }

    #[test]
    fn wrong_password_with_a_valid_padding_is_still_rejected() {
        let der = key_in(pbkdf2(1));
        let key = EncryptedKey::parse(&der).unwrap();
        for attempt in 0..3000 {
            let decrypted = key.decrypt(format!("{attempt}").as_bytes());
            assert_eq!(decrypted.unwrap_err(), None);
        }
    }

    #[test]
    fn g17_key_derivation_beyond_the_limits_is_rejected_without_work() {
        let table = [
            (pbkdf2(MAX_ITERATIONS), true),
            (pbkdf2(MAX_ITERATIONS + 1), false),
            (scrypt(16, 8, 1), true),
            (scrypt(17, 8, 1), false),
            (scrypt(14, 8, 16), true),
            (scrypt(14, 8, 17), false),
            (scrypt(1, 8, 60_000), true),
            (scrypt(20, 8, 1), false),
            // With a large p, nearly all memory is that of the p blocks, which exist at the same time.
            (scrypt(1, 16, 32_000), true),
            (scrypt(1, 16, 33_500), false),
            (scrypt(1, 16, 65_535), false),
        ];
        let begun = Instant::now();
        for (parameters, accepted) in table {
            let der = wrapped(parameters.clone(), &[0; 16]);
            assert_eq!(EncryptedKey::parse(&der).is_ok(), accepted, "{parameters:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "no key was derived");
    }

    #[test]
    fn malformed_or_unknown_encryption_is_unsupported_with_a_remedy() {
        let good = wrapped(pbkdf2(1), &[0; 16]);
        for end in 0..good.len() {
            assert!(matches!(EncryptedKey::parse(&good[..end]), Err(Cause::KeyUnsupported(_))));
        }
        let scheme = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(1, b"saltsalt", [7; 16]);
        let mut unknown = wrapped(scheme.unwrap(), &[0; 16]);
        let oid = unknown.windows(3).position(|window| window == [1, 5, 13]).unwrap();
        unknown[oid + 2] = 99;
        let Err(cause) = EncryptedKey::parse(&unknown) else { panic!("accepted") };
        assert!(cause.to_string().contains("openssl pkcs8 -topk8"), "{cause}");
        // A ciphertext that is not a whole number of blocks is reported as a wrong password.
        let odd = wrapped(pbkdf2(1), &[0; 15]);
        let decrypted = EncryptedKey::parse(&odd).unwrap().decrypt(b"secret");
        assert_eq!(decrypted.unwrap_err(), None);
    }
}
