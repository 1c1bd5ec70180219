//! Tests files of ticket keys: their formats, errors and dates, and the keys derived from them.

use super::*;
use crate::pki::hash::hexadecimal;

const NOW: i64 = 1_800_000_000;

fn file(bytes: &[u8]) -> TicketFile<'_> {
    let path = Path::new("keys");
    TicketFile { path, bytes, is_readable_by_others: false, modified: NOW - 100 }
}

fn keys(bytes: &[u8]) -> Result<TicketKeys, Cause> {
    TicketKeys::new(&file(bytes), NOW, None).map_err(|error| error.cause)
}

/// Bytes that look random, and differ for each `seed`.
fn secret(seed: u8, length: u8) -> Vec<u8> {
    (0..length).map(|at| seed.wrapping_mul(101) ^ at.wrapping_mul(89) ^ 0x80).collect()
}

fn base64(bytes: &[u8]) -> String {
    base64ct::Base64::encode(bytes, &mut [0; 128]).unwrap().to_owned()
}

fn names(keys: &TicketKeys) -> Vec<[u8; 16]> {
    keys.keys().iter().map(|key| key.name).collect()
}

#[test]
fn keys_in_binary_and_text_formats_are_read_alike() {
    for length in [48, 80] {
        let (one, two) = (secret(1, length), secret(2, length));
        let (first, second) = (base64(&one), base64(&two));
        let whole = keys(&[&one[..], &two[..]].concat()).unwrap();
        assert_eq!(whole.keys().len(), 2);
        let table = [
            ("lines", format!("{first}\n{second}\n")),
            ("no newline at the end", format!("{first}\n{second}")),
            ("CRLF", format!("{first}\r\n{second}\r\n")),
            ("a byte order mark", format!("\u{feff}{first}\n{second}\n")),
            ("blank lines and comments", format!("# sécret\n\n {first} \n\t\n#\n{second}\n\n")),
            ("no padding", format!("{first}\n{second}\n").replace('=', "")),
        ];
        for (form, text) in table {
            let read = keys(text.as_bytes()).unwrap_or_else(|cause| panic!("{form}: {cause}"));
            assert_eq!(names(&read), names(&whole), "{length} {form}");
            assert_eq!(read.encrypting().name, whole.keys()[0].name);
        }
    }
    let both = format!("{}\n{}", base64(&secret(1, 48)), base64(&secret(2, 80)));
    assert_eq!(keys(both.as_bytes()).unwrap().keys().len(), 2);
}

#[test]
fn key_of_80_bytes_may_be_broken_into_two_lines_as_by_openssl() {
    let (long, short) = (secret(1, 80), secret(2, 48));
    let (whole, other) = (base64(&long), base64(&short));
    let (head, tail) = whole.split_at(64);
    let text = format!("{other}\n{head}\n{tail}\n");
    let expected = keys(format!("{other}\n{whole}\n").as_bytes()).unwrap();
    assert_eq!(names(&keys(text.as_bytes()).unwrap()), names(&expected));
    let cause = keys(format!("{tail}\n{other}\n").as_bytes()).unwrap_err().to_string();
    assert!(cause.contains("the key in line 1 has 32"), "{cause}");
}

#[test]
fn malformed_files_are_rejected_with_the_reason() {
    let (short, long) = (secret(1, 48), secret(2, 80));
    let text = |text: &str| text.as_bytes().to_vec();
    let table = [
        ("cut off", long[..79].to_vec(), "79 bytes are not a multiple"),
        (
            "a second key is cut off",
            [&short[..], &long[..7]].concat(),
            "55 bytes are not a multiple",
        ),
        ("DER", [&[0x30, 94, 2, 92][..], &[0x80; 92]].concat(), "it is a file in DER"),
        (
            "an OCSP response",
            [&[0x30, 94, 10, 1, 0, 4, 89][..], &[0x80; 89]].concat(),
            "file in DER",
        ),
        ("PKCS#7", [&[0x30, 94, 6, 1, 42][..], &[4, 89], &[0x80; 89]].concat(), "file in DER"),
        (
            "DER and newlines",
            [&[0x30, 90, 2, 88][..], &[0x80; 88], b"\r\n\r\n"].concat(),
            "file in DER",
        ),
        (
            "UTF-16",
            "-----BEGIN X-----".repeat(24).bytes().flat_map(|byte| [byte, 0]).collect(),
            "UTF-16",
        ),
        ("UTF-16 with a mark", [&[0xfe, 0xff][..], &[0, b'x'].repeat(23)].concat(), "UTF-16"),
        (
            "PEM and other bytes",
            [b"-----BEGIN X-----", &[0x80; 31][..]].concat(),
            "it is a PEM file",
        ),
        ("could be both", vec![0x80; 240], "240 bytes can be 5 keys of 48 bytes or 3 of 80"),
        ("zero", vec![0; 80], "all bytes of key 1 are zero"),
        ("zero as text", text(&base64(&[0; 48])), "all bytes of key 1 are zero"),
        ("not base64", text("-----BEGIN PRIVATE KEY-----\n"), "line 1 is not base64"),
        ("bad padding", text(&format!("\n{}=A\n", base64(&short))), "line 2 is not base64"),
        ("short line", text(&base64(&short[..47])), "the key in line 1 has 47"),
        ("hexadecimal", text(&"0f".repeat(48)), "the key in line 1 has 72"),
        ("nothing but comments", text("# none yet\n\n"), "only comments and empty lines"),
        ("white space", text("\n"), "only comments and empty lines"),
    ];
    for (what, bytes, words) in table {
        let cause = keys(&bytes).unwrap_err();
        assert!(matches!(cause, Cause::TicketKeysMalformed(_)), "{what}: {cause}");
        assert!(cause.to_string().contains(words), "{what}: {cause}");
    }
    assert_eq!(keys(b"").unwrap_err(), Cause::Empty);
}

#[test]
fn g17_more_keys_than_the_limit_are_rejected() {
    let secrets: Vec<_> = (0..=64).map(|seed| secret(seed, 48)).collect();
    let lines: Vec<_> = secrets.iter().map(|secret| base64(secret)).collect();
    assert_eq!(keys(&secrets[..64].concat()).unwrap().keys().len(), MAX_KEYS);
    assert_eq!(keys(lines[..64].join("\n").as_bytes()).unwrap().keys().len(), MAX_KEYS);
    for bytes in [secrets[..].concat()[48..].repeat(2)[..48 * 66].to_vec(), lines.join("\n").into()]
    {
        let cause = keys(&bytes).unwrap_err().to_string();
        assert!(cause.contains("more than 64"), "{cause}");
    }
}

#[test]
fn repeated_key_is_rejected() {
    let (one, two) = (secret(1, 48), secret(2, 48));
    let repeated = Err(Cause::TicketKeyRepeated { first: 2, second: 3 });
    let bytes = [&one[..], &two[..], &two[..]].concat();
    assert_eq!(keys(&bytes).map(|_| ()), repeated);
    let lines = [&one, &two, &two].map(|key| base64(key)).join("\n");
    assert_eq!(keys(lines.as_bytes()).map(|_| ()), repeated);
}

#[test]
fn world_readable_keys_are_rejected() {
    let bytes = secret(1, 48);
    let open = TicketFile { is_readable_by_others: true, ..file(&bytes) };
    let error = TicketKeys::new(&open, NOW, None).unwrap_err();
    assert_eq!(error.cause, Cause::TicketKeysReadable);
    assert_eq!(error.path.as_deref(), Some(Path::new("keys")));
}

#[test]
fn age_of_a_key_without_a_date_is_that_of_its_file_when_first_read() {
    let (one, two) = (secret(1, 48), secret(2, 48));
    let at = |bytes: &[u8], modified, now, before: Option<&TicketKeys>| {
        TicketKeys::new(&TicketFile { modified, ..file(bytes) }, now, before).unwrap()
    };
    let since = |keys: &TicketKeys| keys.keys().iter().map(|key| key.since).collect::<Vec<_>>();
    let first = at(&one, NOW - 100, NOW, None);
    assert_eq!(since(&first), [NOW - 100]);
    let both = at(&[&two[..], &one[..]].concat(), NOW + 50, NOW + 60, Some(&first));
    assert_eq!(since(&both), [NOW + 50, NOW - 100]);
    let touched = at(&one, NOW + 70, NOW + 80, Some(&both));
    assert_eq!(since(&touched), [NOW - 100], "writing the file again does not change the age");
    for unknown in [i64::MIN, 0, 1, 315_532_800, EARLIEST_MTIME - 1, NOW + 500] {
        assert_eq!(since(&at(&one, unknown, NOW, None)), [NOW], "an mtime of {unknown}");
    }
    assert_eq!(since(&at(&one, EARLIEST_MTIME, NOW, None)), [EARLIEST_MTIME]);
}

#[test]
fn age_of_a_key_with_a_date_is_that_date() {
    let lines = [secret(1, 48), secret(2, 48), secret(3, 80)].map(|key| base64(&key));
    let [one, two, three] = &lines;
    let since = |text: &str| -> Result<Vec<i64>, String> {
        let keys = keys(text.as_bytes()).map_err(|cause| cause.to_string())?;
        Ok(keys.keys().iter().map(|key| key.since).collect::<Vec<_>>())
    };
    let date = "# certreload-created: 2026-11-30T06:00:00Z";
    let dated = 1_796_018_400;
    let (head, tail) = three.split_at(64);
    let without = NOW - 100;
    let table = [
        (format!("{date}\n{one}\n{two}\n"), vec![dated, without]),
        (
            format!("{one}\n#certreload-created:2026-11-30T06:00:00Z \n\n# of today\n{two}"),
            vec![without, dated],
        ),
        (format!("{date}\n{head}\n{tail}\n"), vec![dated]),
        (format!("# certreload-created: 2100-01-01T00:00:00Z\n{one}"), vec![NOW]),
        (format!("# certreload-created: 1999-01-01T00:00:00Z\n{one}"), vec![915_148_800]),
        (format!("# created 2026-11-30T06:00:00Z\n{one}\n{date}"), vec![without]),
    ];
    for (text, expected) in table {
        assert_eq!(since(&text), Ok(expected), "{text}");
    }
    for bad in ["", "today", "2026-11-30", "2026-11-30T06:00:00+01:00", "2026-02-30T06:00:00Z"] {
        let cause = since(&format!("\n# certreload-created: {bad}\n{one}")).unwrap_err();
        assert!(
            cause.contains("date in line 2 is not in the form \"# certreload-created: "),
            "{cause}"
        );
    }

    let now = TicketKeys::new(&file(one.as_bytes()), NOW, None).unwrap();
    let text = format!("{date}\n{one}");
    let then = TicketKeys::new(&file(text.as_bytes()), NOW, Some(&now)).unwrap();
    assert_eq!(then.encrypting().since, dated, "a date that is added later replaces the age");
}

#[test]
fn g18_no_message_and_no_debug_output_quotes_the_file() {
    let line = base64(&secret(1, 80));
    for text in [line.clone() + "!", line[..60].to_owned(), format!("{line}\n{line}\n")] {
        let message = keys(text.as_bytes()).unwrap_err().to_string();
        assert!(
            !line
                .as_bytes()
                .windows(6)
                .any(|piece| message.as_bytes().windows(6).any(|w| w == piece)),
            "{message}"
        );
    }
    let keys = keys(line.as_bytes()).unwrap();
    assert_eq!(format!("{keys:?} {:?}", keys.encrypting()), "TicketKeys(1) TicketKey");
}

#[test]
fn derived_key_depends_on_every_byte_and_reveals_none() {
    let secret: Vec<u8> = (100..180).collect();
    let key = TicketKey::derived_from(&secret).unwrap();
    assert_eq!(TicketKey::derived_from(&secret).unwrap().name, key.name);
    assert!(!secret.windows(4).any(|piece| key.name.windows(4).any(|window| window == piece)));
    for at in 0..secret.len() {
        let mut other = secret.clone();
        other[at] ^= 1;
        let other = TicketKey::derived_from(&other).unwrap();
        assert!(other.name != key.name && *other.secret != *key.secret, "byte {at}");
    }
}

#[test]
fn derivation_is_the_same_in_every_release() {
    // The expected values were computed with another implementation of HMAC-SHA-256 (RFC 5869). The servers of a fleet
    // are upgraded one by one and share tickets, so the values must never change.
    let key = TicketKey::derived_from(&[0x5a; 48]).unwrap();
    assert_eq!(hexadecimal(&key.name), "ed5c1fd7091f226e36ea7d4fc1143d8f");
    assert_eq!(
        hexadecimal(&key.secret),
        "508c55483bb77da8f04193dea1ff254ab18105f92d263bd771927e515a91d8b6"
    );
}
