//! An encoder of DER, and a certificate whose fields can each be encoded as a case needs it.

use rcgen::{KeyPair, PublicKeyData, SigningKey};

pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const UTF8_STRING: u8 = 0x0c;
pub const NUMERIC_STRING: u8 = 0x12;
pub const PRINTABLE_STRING: u8 = 0x13;
pub const T61_STRING: u8 = 0x14;
pub const IA5_STRING: u8 = 0x16;
pub const UTC_TIME: u8 = 0x17;
pub const GENERALIZED_TIME: u8 = 0x18;
pub const VISIBLE_STRING: u8 = 0x1a;
pub const UNIVERSAL_STRING: u8 = 0x1c;
pub const BMP_STRING: u8 = 0x1e;

/// One element: tag, length, content.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    match content.len() {
        short @ 0..0x80 => der.push(u8::try_from(short).unwrap()),
        long => {
            let bytes = long.to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            der.push(0x80 | u8::try_from(bytes.len() - zeros).unwrap());
            der.extend(&bytes[zeros..]);
        }
    }
    der.extend(content);
    der
}

pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub fn integer(content: &[u8]) -> Vec<u8> {
    tlv(0x02, content)
}

/// An object identifier from its numbers, as in `2.5.29.17`.
pub fn oid(numbers: &str) -> Vec<u8> {
    let numbers: Vec<u32> = numbers.split('.').map(|number| number.parse().unwrap()).collect();
    let mut content = vec![u8::try_from(numbers[0] * 40 + numbers[1]).unwrap()];
    for number in &numbers[2..] {
        for place in (0..5).rev() {
            let (rest, is_last) = (number >> (7 * place), place == 0);
            if rest > 0 || is_last {
                content.push(u8::try_from(rest & 0x7f).unwrap() | if is_last { 0 } else { 0x80 });
            }
        }
    }
    tlv(0x06, &content)
}

/// One PEM section, with lines of 64 characters.
pub fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let bits = (0..3).fold(0, |bits, at| {
                bits << 8 | usize::from(group.get(at).copied().unwrap_or_default())
            });
            for at in 0..4 {
                let digit = char::from(DIGITS[bits >> (18 - 6 * at) & 0x3f]);
                text.push(if at <= group.len() { digit } else { '=' });
            }
        }
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

/// A name of one relative name with one attribute.
pub fn name(attribute: &str, tag: u8, text: &[u8]) -> Vec<u8> {
    sequence(&[&relative_name(attribute, tag, text)])
}

pub fn relative_name(attribute: &str, tag: u8, text: &[u8]) -> Vec<u8> {
    tlv(0x31, &sequence(&[&oid(attribute), &tlv(tag, text)]))
}

pub const COMMON_NAME: &str = "2.5.4.3";

pub fn extension(id: &str, is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if is_critical { &[0x01, 0x01, 0xff] } else { &[] };
    sequence(&[&oid(id), critical, &tlv(OCTET_STRING, value)])
}

/// The fields of a certificate in DER, tags and lengths included unless a field says otherwise.
pub struct Forge {
    /// The number in the version field; `None` leaves the field out (version 1).
    pub version: Option<u8>,
    /// The content of the INTEGER.
    pub serial: Vec<u8>,
    pub inner_algorithm: Vec<u8>,
    pub outer_algorithm: Vec<u8>,
    pub issuer: Vec<u8>,
    pub not_before: Vec<u8>,
    pub not_after: Vec<u8>,
    pub subject: Vec<u8>,
    pub public_key: Vec<u8>,
    /// The optional fields between the public key and the extensions.
    pub unique_ids: Vec<u8>,
    /// `None` leaves the field out.
    pub extensions: Option<Vec<Vec<u8>>>,
    /// Changes the signature, unused bits included.
    pub signature: fn(Vec<u8>) -> Vec<u8>,
    /// Changes the encoding of the finished certificate.
    pub whole: fn(Vec<u8>) -> Vec<u8>,
}

impl Forge {
    /// A usual certificate of version 3 for `a.test`, signed with its own key.
    pub fn new(key: &KeyPair) -> Self {
        let algorithm = sequence(&[&oid("1.2.840.10045.4.3.2")]);
        let subject = name(COMMON_NAME, UTF8_STRING, b"a.test");
        Self {
            version: Some(2),
            serial: vec![0x12, 0x34],
            inner_algorithm: algorithm.clone(),
            outer_algorithm: algorithm,
            issuer: subject.clone(),
            not_before: tlv(UTC_TIME, b"250101000000Z"),
            not_after: tlv(UTC_TIME, b"490101000000Z"),
            subject,
            public_key: key.subject_public_key_info(),
            unique_ids: Vec::new(),
            extensions: Some(vec![alternative_names(&tlv(0x82, b"a.test"))]),
            signature: |signature| signature,
            whole: |whole| whole,
        }
    }

    /// Signs the fields with `key`, which is on P-256.
    pub fn sign(&self, key: &KeyPair) -> Vec<u8> {
        let version = self.version.map(|version| tlv(0xa0, &integer(&[version])));
        let extensions = self.extensions.as_ref().map(|list| {
            let list: Vec<_> = list.iter().map(Vec::as_slice).collect();
            tlv(0xa3, &sequence(&list))
        });
        let fields = sequence(&[
            &version.unwrap_or_default(),
            &integer(&self.serial),
            &self.inner_algorithm,
            &self.issuer,
            &sequence(&[&self.not_before, &self.not_after]),
            &self.subject,
            &self.public_key,
            &self.unique_ids,
            &extensions.unwrap_or_default(),
        ]);
        let signature = [vec![0], key.sign(&fields).unwrap()].concat();
        let signature = tlv(BIT_STRING, &(self.signature)(signature));
        (self.whole)(sequence(&[&fields, &self.outer_algorithm, &signature]))
    }
}

/// A subjectAltName extension that contains `names`, tags and lengths included.
pub fn alternative_names(names: &[u8]) -> Vec<u8> {
    extension("2.5.29.17", false, &tlv(0x30, names))
}

/// Tag, content and rest of the first element.
pub fn first(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        short @ 0..0x80 => (usize::from(*short), rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// The bits of the public key in a certificate, without its algorithm.
pub fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let (_, certificate, _) = first(certificate)?;
    let (_, mut fields, _) = first(certificate)?;
    if fields.first() == Some(&0xa0) {
        fields = first(fields)?.2;
    }
    // Serial number, algorithm, issuer, dates, subject.
    for _ in 0..5 {
        fields = first(fields)?.2;
    }
    let (_, key, _) = first(fields)?;
    let (_, bits, _) = first(first(key)?.2)?;
    bits.get(1..)
}
