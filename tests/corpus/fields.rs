//! Cases of certificates with one field or extension that is unusual, or not as RFC 5280 has it.

use rcgen::KeyPair;

use crate::case::Cases;
use crate::der::{
    self, BMP_STRING, COMMON_NAME, Forge, GENERALIZED_TIME, IA5_STRING, NUMERIC_STRING,
    PRINTABLE_STRING, T61_STRING, UNIVERSAL_STRING, UTC_TIME, UTF8_STRING, VISIBLE_STRING,
    alternative_names, extension, name, oid, relative_name, sequence, tlv,
};

type Edit = fn(&mut Forge);

pub fn add(cases: &mut Cases) {
    let key = KeyPair::generate().unwrap();
    let mut add = |name: &str, edit: &dyn Fn(&mut Forge)| {
        let mut forge = Forge::new(&key);
        edit(&mut forge);
        cases.add(name, der::pem("CERTIFICATE", &forge.sign(&key)), key.serialize_pem());
    };
    for (what, edit) in SHAPES {
        add(&format!("certificate: {what}"), edit);
    }
    for (what, tag, text) in STRINGS {
        add(&format!("name: {what}"), &|forge| {
            forge.subject = name(COMMON_NAME, *tag, text);
            forge.issuer = forge.subject.clone();
        });
    }
    for (what, tag, text) in TIMES {
        add(&format!("notAfter: {what}"), &|forge| forge.not_after = tlv(*tag, text));
    }
    for (what, tag, text) in STARTS {
        add(&format!("notBefore: {what}"), &|forge| forge.not_before = tlv(*tag, text));
    }
    for (what, names) in ALTERNATIVES {
        add(&format!("subjectAltName: {what}"), &|forge| {
            forge.extensions = Some(vec![alternative_names(names)]);
        });
    }
    for (what, id, value) in EXTENSIONS {
        for (criticality, is_critical) in [("", false), (", critical", true)] {
            add(&format!("extension: {what}{criticality}"), &|forge| {
                let list = forge.extensions.get_or_insert_default();
                list.push(extension(id, is_critical, value));
            });
        }
    }
}

/// Fields as a whole.
const SHAPES: &[(&str, Edit)] = &[
    ("version 1", |forge| (forge.version, forge.extensions) = (None, None)),
    ("version 1, spelled out", |forge| (forge.version, forge.extensions) = (Some(0), None)),
    ("version 1 with extensions", |forge| forge.version = None),
    ("version 2", |forge| (forge.version, forge.extensions) = (Some(1), None)),
    ("version 2 with unique identifiers", |forge| {
        (forge.version, forge.extensions) = (Some(1), None);
        forge.unique_ids = [tlv(0x81, &[0, 1]), tlv(0x82, &[0, 2])].concat();
    }),
    ("version 3 with unique identifiers", |forge| {
        forge.unique_ids = [tlv(0x81, &[0, 1]), tlv(0x82, &[0, 2])].concat();
    }),
    ("version 3 without extensions", |forge| forge.extensions = None),
    ("version 3 with an empty list of extensions", |forge| forge.extensions = Some(Vec::new())),
    ("version 4", |forge| forge.version = Some(3)),
    ("serial 0", |forge| forge.serial = vec![0]),
    ("serial 1", |forge| forge.serial = vec![1]),
    ("serial negative", |forge| forge.serial = vec![0xff, 0x01]),
    ("serial of 20 bytes", |forge| forge.serial = vec![0x7f; 20]),
    ("serial of 21 bytes", |forge| forge.serial = [vec![0], vec![0xff; 20]].concat()),
    ("serial of 40 bytes", |forge| forge.serial = vec![0x55; 40]),
    ("serial with a needless zero", |forge| forge.serial = vec![0, 1]),
    ("serial without bytes", |forge| forge.serial = Vec::new()),
    ("issuer empty", |forge| forge.issuer = sequence(&[])),
    ("subject empty", |forge| forge.subject = sequence(&[])),
    ("subject empty, no subjectAltName", |forge| {
        (forge.subject, forge.extensions) = (sequence(&[]), Some(Vec::new()));
    }),
    ("common name alone", |forge| {
        let constraints = extension("2.5.29.19", false, &sequence(&[]));
        forge.extensions = Some(vec![constraints]);
    }),
    ("subject with an empty relative name", |forge| forge.subject = sequence(&[&tlv(0x31, &[])])),
    ("subject with two common names", |forge| {
        let part = |text| relative_name(COMMON_NAME, UTF8_STRING, text);
        forge.subject = sequence(&[&part(b"a.test"), &part(b"b.test")]);
    }),
    ("subject with a relative name of two attributes", |forge| {
        let part = |id, text| sequence(&[&oid(id), &tlv(UTF8_STRING, text)]);
        let both = [part(COMMON_NAME, b"a.test"), part("2.5.4.10", b"Example")].concat();
        forge.subject = sequence(&[&tlv(0x31, &both)]);
    }),
    ("subject with an unknown attribute", |forge| {
        forge.subject = name("1.3.6.1.4.1.99999.1", UTF8_STRING, b"a.test");
    }),
    ("subject with an e-mail address", |forge| {
        forge.subject = name("1.2.840.113549.1.9.1", IA5_STRING, b"a@a.test");
    }),
    ("subject with an attribute that is no string", |forge| {
        forge.subject = sequence(&[&tlv(0x31, &sequence(&[&oid(COMMON_NAME), &tlv(0x30, &[])]))]);
    }),
    ("ended before it began", |forge| forge.not_before = tlv(UTC_TIME, b"490201000000Z")),
    ("dates of another type", |forge| forge.not_before = tlv(UTF8_STRING, b"250101000000Z")),
    ("signature algorithms differ", |forge| {
        forge.outer_algorithm = sequence(&[&oid("1.2.840.10045.4.3.3")]);
    }),
    ("signature algorithm unknown", |forge| {
        forge.inner_algorithm = sequence(&[&oid("1.3.6.1.4.1.99999.2")]);
        forge.outer_algorithm = forge.inner_algorithm.clone();
    }),
    ("signature algorithm with NULL parameters", |forge| {
        forge.inner_algorithm = sequence(&[&oid("1.2.840.10045.4.3.2"), &[5, 0]]);
        forge.outer_algorithm = forge.inner_algorithm.clone();
    }),
    ("signature wrong", |forge| {
        forge.signature = |mut signature| {
            *signature.last_mut().unwrap() ^= 1;
            signature
        };
    }),
    ("signature wrong, key identifiers", |forge| {
        let identifiers = [
            extension("2.5.29.14", false, &tlv(0x04, &[9; 20])),
            extension("2.5.29.35", false, &sequence(&[&tlv(0x80, &[9; 20])])),
        ];
        forge.extensions.get_or_insert_default().extend(identifiers);
        forge.signature = |mut signature| {
            *signature.last_mut().unwrap() ^= 1;
            signature
        };
    }),
    ("signature empty", |forge| forge.signature = |_| vec![0]),
    ("signature without a byte for unused bits", |forge| forge.signature = |_| Vec::new()),
    ("signature with unused bits", |forge| {
        forge.signature = |mut signature| {
            signature[0] = 3;
            *signature.last_mut().unwrap() &= 0xf8;
            signature
        };
    }),
    ("public key of an unknown algorithm", |forge| {
        let algorithm = sequence(&[&oid("1.3.6.1.4.1.99999.3")]);
        forge.public_key = sequence(&[&algorithm, &tlv(0x03, &[0, 1, 2, 3])]);
    }),
    ("one extension twice", |forge| {
        let list = forge.extensions.get_or_insert_default();
        list.push(list[0].clone());
    }),
    ("critical spelled out as FALSE", |forge| {
        let value = tlv(0x04, &sequence(&[&tlv(0x82, b"a.test")]));
        forge.extensions = Some(vec![sequence(&[&oid("2.5.29.17"), &[1, 1, 0], &value])]);
    }),
    ("critical as 1", |forge| {
        let value = tlv(0x04, &sequence(&[&tlv(0x82, b"a.test")]));
        forge.extensions = Some(vec![sequence(&[&oid("2.5.29.17"), &[1, 1, 1], &value])]);
    }),
    ("bytes behind it", |forge| forge.whole = |whole| [whole, vec![0, 0]].concat()),
    ("cut off", |forge| forge.whole = |whole| whole[..whole.len() - 9].to_vec()),
    ("length longer than needed", |forge| {
        forge.whole = |whole| {
            let (tag, content, _) = der::first(&whole).unwrap();
            let length = u32::try_from(content.len()).unwrap().to_be_bytes();
            [&[tag, 0x84], &length[..], content].concat()
        };
    }),
    ("length not given", |forge| {
        forge.whole = |whole| {
            let (tag, content, _) = der::first(&whole).unwrap();
            [&[tag, 0x80], content, &[0, 0]].concat()
        };
    }),
    ("another tag", |forge| {
        forge.whole = |mut whole| {
            whole[0] = 0x31;
            whole
        };
    }),
];

/// The common name in each type of string.
const STRINGS: &[(&str, u8, &[u8])] = &[
    ("UTF8String", UTF8_STRING, "ä.test".as_bytes()),
    ("UTF8String that is not UTF-8", UTF8_STRING, b"\xe4.test"),
    ("UTF8String with a NUL", UTF8_STRING, b"a.test\0b"),
    ("UTF8String, empty", UTF8_STRING, b""),
    ("UTF8String of 300 bytes", UTF8_STRING, &[b'a'; 300]),
    ("PrintableString", PRINTABLE_STRING, b"a test"),
    ("PrintableString with an asterisk", PRINTABLE_STRING, b"*.a.test"),
    ("PrintableString with UTF-8", PRINTABLE_STRING, "ä.test".as_bytes()),
    ("NumericString", NUMERIC_STRING, b"123"),
    ("NumericString with letters", NUMERIC_STRING, b"abc"),
    ("IA5String", IA5_STRING, b"a.test"),
    ("IA5String with UTF-8", IA5_STRING, "ä.test".as_bytes()),
    ("VisibleString", VISIBLE_STRING, b"a.test"),
    ("T61String", T61_STRING, b"\xe4.test"),
    ("BMPString", BMP_STRING, b"\0a\0.\0t"),
    ("BMPString of an odd length", BMP_STRING, b"\0a\0"),
    ("UniversalString", UNIVERSAL_STRING, b"\0\0\0a"),
    ("UniversalString of an odd length", UNIVERSAL_STRING, b"\0\0a"),
];

const TIMES: &[(&str, u8, &[u8])] = &[
    ("UTCTime 2049", UTC_TIME, b"491231235959Z"),
    ("GeneralizedTime before 2050", GENERALIZED_TIME, b"20490101000000Z"),
    ("GeneralizedTime 2050", GENERALIZED_TIME, b"20500101000000Z"),
    ("9999-12-31", GENERALIZED_TIME, b"99991231235959Z"),
    ("past", UTC_TIME, b"250601000000Z"),
    ("1999", UTC_TIME, b"991231235959Z"),
    ("UTCTime without seconds", UTC_TIME, b"4901010000Z"),
    ("UTCTime with an offset", UTC_TIME, b"490101000000+0100"),
    ("UTCTime without Z", UTC_TIME, b"490101000000"),
    ("GeneralizedTime with fractions", GENERALIZED_TIME, b"20490101000000.5Z"),
    ("GeneralizedTime with an offset", GENERALIZED_TIME, b"20490101000000+0100"),
    ("GeneralizedTime without seconds", GENERALIZED_TIME, b"204901010000Z"),
    ("GeneralizedTime without Z", GENERALIZED_TIME, b"20490101000000"),
    ("month 13", UTC_TIME, b"491301000000Z"),
    ("30 February", UTC_TIME, b"480230000000Z"),
    ("second 60", UTC_TIME, b"480630235960Z"),
    ("hour 24", UTC_TIME, b"480630240000Z"),
    ("letters", UTC_TIME, b"49010100000aZ"),
];

const STARTS: &[(&str, u8, &[u8])] = &[
    ("1970", UTC_TIME, b"700101000000Z"),
    ("1950", UTC_TIME, b"500101000000Z"),
    ("1949", GENERALIZED_TIME, b"19491231000000Z"),
    ("year 1", GENERALIZED_TIME, b"00010101000000Z"),
    ("year 0", GENERALIZED_TIME, b"00000101000000Z"),
    ("future", UTC_TIME, b"480101000000Z"),
    ("GeneralizedTime before 2050", GENERALIZED_TIME, b"20250101000000Z"),
];

/// The contents of subjectAltName, without its tag and length.
const ALTERNATIVES: &[(&str, &[u8])] = &[
    ("DNS wildcard", b"\x82\x08*.a.test"),
    ("DNS with upper case", b"\x82\x06A.Test"),
    ("DNS with an underscore", b"\x82\x08_a_.test"),
    ("DNS with a dot at its end", b"\x82\x07a.test."),
    ("DNS, empty", b"\x82\x00"),
    ("DNS that is not ASCII", b"\x82\x07\xc3\xa4.test"),
    ("DNS with a NUL", b"\x82\x08a.test\0b"),
    ("DNS with blanks", b"\x82\x08 a.test "),
    ("DNS that is an address", b"\x82\x09127.0.0.1"),
    ("IPv4", b"\x87\x04\x7f\x00\x00\x01"),
    ("IPv6", b"\x87\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"),
    ("IP of 5 bytes", b"\x87\x05\x7f\x00\x00\x01\x01"),
    ("URI", b"\x86\x08spiffe:a"),
    ("URI that is not ASCII", b"\x86\x04\xc3\xa4:a"),
    ("e-mail", b"\x81\x08a@a.test"),
    ("other name", b"\xa0\x0b\x06\x03\x2a\x03\x04\xa0\x04\x0c\x02ab"),
    ("directory name", b"\xa4\x0f\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02ab"),
    ("registered id", b"\x88\x03\x2a\x03\x04"),
    ("X.400 address", b"\xa3\x02\x05\x00"),
    ("EDI party name", b"\xa5\x06\xa1\x04\x0c\x02ab"),
    ("unknown kind", b"\x8a\x02ab"),
    ("no name", b""),
    ("cut off", b"\x82\x20a.test"),
    ("a kind that is not as its tag says", b"\x02\x01\x01"),
    ("DNS twice", b"\x82\x06a.test\x82\x06a.test"),
];

/// Extensions besides subjectAltName: what, identifier, value.
const EXTENSIONS: &[(&str, &str, &[u8])] = &[
    ("unknown", "1.3.6.1.4.1.99999.4", b"\x05\x00"),
    ("unknown, not DER", "1.3.6.1.4.1.99999.4", b"\xff\xff\xff"),
    ("unknown, empty", "1.3.6.1.4.1.99999.4", b""),
    ("basicConstraints CA:FALSE", "2.5.29.19", b"\x30\x00"),
    ("basicConstraints CA:FALSE, spelled out", "2.5.29.19", b"\x30\x03\x01\x01\x00"),
    ("basicConstraints CA:TRUE", "2.5.29.19", b"\x30\x03\x01\x01\xff"),
    ("basicConstraints with a path length", "2.5.29.19", b"\x30\x06\x01\x01\xff\x02\x01\x00"),
    ("basicConstraints, negative path length", "2.5.29.19", b"\x30\x06\x01\x01\xff\x02\x01\xff"),
    ("basicConstraints, path length without CA", "2.5.29.19", b"\x30\x03\x02\x01\x00"),
    ("basicConstraints, damaged", "2.5.29.19", b"\x31\x00"),
    ("keyUsage digitalSignature", "2.5.29.15", b"\x03\x02\x07\x80"),
    ("keyUsage keyEncipherment", "2.5.29.15", b"\x03\x02\x05\x20"),
    ("keyUsage keyAgreement", "2.5.29.15", b"\x03\x02\x03\x08"),
    ("keyUsage keyCertSign", "2.5.29.15", b"\x03\x02\x02\x04"),
    ("keyUsage decipherOnly", "2.5.29.15", b"\x03\x03\x07\x80\x80"),
    ("keyUsage without bits", "2.5.29.15", b"\x03\x01\x00"),
    ("keyUsage with needless bits", "2.5.29.15", b"\x03\x02\x00\x80"),
    ("keyUsage, damaged", "2.5.29.15", b"\x04\x01\x00"),
    (
        "extendedKeyUsage serverAuth",
        "2.5.29.37",
        b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01",
    ),
    (
        "extendedKeyUsage clientAuth",
        "2.5.29.37",
        b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02",
    ),
    ("extendedKeyUsage any", "2.5.29.37", b"\x30\x06\x06\x04\x55\x1d\x25\x00"),
    (
        "extendedKeyUsage codeSigning",
        "2.5.29.37",
        b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x03",
    ),
    (
        "extendedKeyUsage of Netscape",
        "2.5.29.37",
        b"\x30\x0b\x06\x09\x60\x86\x48\x01\x86\xf8\x42\x04\x01",
    ),
    (
        "extendedKeyUsage of Microsoft",
        "2.5.29.37",
        b"\x30\x0c\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x0a\x03\x03",
    ),
    ("extendedKeyUsage without usages", "2.5.29.37", b"\x30\x00"),
    ("extendedKeyUsage, damaged", "2.5.29.37", b"\x30\x0a\x06\x08\x2b"),
    ("certificatePolicies", "2.5.29.32", b"\x30\x06\x30\x04\x06\x02\x2a\x03"),
    ("certificatePolicies, damaged", "2.5.29.32", b"\x30\x06\x30"),
    ("policyConstraints", "2.5.29.36", b"\x30\x03\x80\x01\x00"),
    ("policyMappings", "2.5.29.33", b"\x30\x0a\x30\x08\x06\x02\x2a\x03\x06\x02\x2a\x04"),
    ("inhibitAnyPolicy", "2.5.29.54", b"\x02\x01\x00"),
    ("nameConstraints", "2.5.29.30", b"\x30\x0c\xa0\x0a\x30\x08\x82\x06b.test"),
    ("nameConstraints, damaged", "2.5.29.30", b"\x30\x0c\xa0"),
    ("subjectKeyIdentifier", "2.5.29.14", b"\x04\x02ab"),
    ("subjectKeyIdentifier, empty", "2.5.29.14", b"\x04\x00"),
    ("subjectKeyIdentifier, damaged", "2.5.29.14", b"\x04\x20ab"),
    ("authorityKeyIdentifier", "2.5.29.35", b"\x30\x04\x80\x02ab"),
    ("authorityKeyIdentifier, empty", "2.5.29.35", b"\x30\x00"),
    ("authorityKeyIdentifier, damaged", "2.5.29.35", b"\x80\x02ab"),
    (
        "authorityInfoAccess",
        "1.3.6.1.5.5.7.1.1",
        b"\x30\x10\x30\x0e\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x02a:",
    ),
    ("authorityInfoAccess, damaged", "1.3.6.1.5.5.7.1.1", b"\x30\x10\x30"),
    ("crlDistributionPoints", "2.5.29.31", b"\x30\x0a\x30\x08\xa0\x06\xa0\x04\x86\x02a:"),
    ("crlDistributionPoints, damaged", "2.5.29.31", b"\x30\x0a\x30"),
    ("issuerAltName", "2.5.29.18", b"\x30\x04\x86\x02a:"),
    ("issuerAltName, damaged", "2.5.29.18", b"\x30\x04\x86"),
    ("subjectDirectoryAttributes", "2.5.29.9", b"\x30\x00"),
    ("must staple", "1.3.6.1.5.5.7.1.24", b"\x30\x03\x02\x01\x05"),
    ("must staple, damaged", "1.3.6.1.5.5.7.1.24", b"\x30\x03\x02"),
    ("CT poison", "1.3.6.1.4.1.11129.2.4.3", b"\x05\x00"),
    ("CT timestamps, damaged", "1.3.6.1.4.1.11129.2.4.2", b"\x04\x02\x00\xff"),
    ("CT timestamps, not DER", "1.3.6.1.4.1.11129.2.4.2", b"\xff\xff"),
    ("Netscape certificate type, server", "2.16.840.1.113730.1.1", b"\x03\x02\x06\x40"),
    ("Netscape certificate type, client", "2.16.840.1.113730.1.1", b"\x03\x02\x07\x80"),
    ("Netscape comment", "2.16.840.1.113730.1.13", b"\x16\x02ab"),
    ("privateKeyUsagePeriod", "2.5.29.16", b"\x30\x00"),
];
