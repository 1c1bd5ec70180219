//! The option that requires names: a change that would lose one of them is refused.

use std::ffi::c_char;
use std::net::IpAddr;

use rustls::pki_types::DnsName;

use super::options_object::certreload_options;
use super::options_object::setter;
use crate::error::Error;
use crate::ffi::cast;
use crate::ffi::result::certreload_result;
use crate::pki::NameKind;

/// The most names that certreload_options_require_name() accepts.
pub const CERTRELOAD_MAX_REQUIRED_NAMES: usize = 1000;

/// The longest URI that can be required: the limit of a SPIFFE ID (SPIFFE-ID section 2.3).
const MAX_URI: usize = 2048;

/// Requires that some identity has a name: exactly, or, of a DNS name, by a wildcard for its first label.
///
/// A handle does not open without the name (NAME_MISSING). Later, a change that would remove the name is refused, and
/// the last good version keeps serving. Changes of other identities are accepted (G15).
///
/// @param options  must not be NULL; changed
/// @param name     must not be NULL; copied. A DNS name as in a certificate: ASCII (A-labels), at most 253 bytes, no
///                 dot at its end, in upper or lower case. A first label "*" requires that wildcard itself. Or an IP
///                 address, without brackets. Or a URI such as "spiffe://example.org/web": ASCII, at most 2048 bytes,
///                 with the same bytes as in the certificate
/// @return         OK, also if the name is required already; NULL_PARAMETER; INVALID_PARAMETER if it is none of the
///                 three, or if CERTRELOAD_MAX_REQUIRED_NAMES are required already
/// Ownership:      strings are copied
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_require_name(
    options: *mut certreload_options,
    name: *const c_char,
) -> certreload_result {
    setter(
        "certreload_options_require_name",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            // SAFETY: the caller passes a C string, or NULL.
            let name = unsafe { cast::bytes(name, "name")? };
            let name = required_name(name).map_err(Error::invalid)?;
            let required = &mut options.options.required_names;
            if !required.contains(&name) {
                if required.len() >= CERTRELOAD_MAX_REQUIRED_NAMES {
                    return Err(Error::invalid(
                        "CERTRELOAD_MAX_REQUIRED_NAMES are required already",
                    ));
                }
                required.push(name);
            }
            Ok(())
        },
    )
}

/// Returns a required name as identities have it, or why it cannot be required.
fn required_name(bytes: &[u8]) -> Result<String, String> {
    let name = str::from_utf8(bytes).ok().and_then(|name| match NameKind::of(name) {
        NameKind::Dns => dns_name_in_lower_case(name),
        NameKind::Ip => name.parse::<IpAddr>().ok().map(|address| address.to_string()),
        NameKind::Uri => is_uri(name).then(|| name.to_owned()),
    });
    name.ok_or_else(|| {
        let given: String = String::from_utf8_lossy(bytes).chars().take(300).collect();
        let inner = given.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        let hint = match inner.and_then(|inner| inner.parse::<IpAddr>().ok()) {
            Some(_) => "; write the address without brackets",
            None => "",
        };
        format!("not a DNS name, an IP address or a URI: \"{given}\"{hint}")
    })
}

/// Returns a DNS name in lower case; `None` if it is invalid. "*." may begin it.
fn dns_name_in_lower_case(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let base = name.strip_prefix("*.").unwrap_or(&name);
    let is_name = DnsName::try_from(base).is_ok() && !base.ends_with('.') && name.len() <= 253;
    is_name.then_some(name)
}

/// Returns whether the text is a URI by its scheme and its characters (RFC 3986 sections 2 and 3.1). A host with a port is
/// taken for a mistake.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(is_of_scheme)
        && !rest.bytes().all(|byte| byte.is_ascii_digit())
        && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
        && text.len() <= MAX_URI
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_name_is_a_dns_name_or_a_wildcard() {
        for name in
            ["a.test", "A.TEST", "localhost", "*.a.test", "xn--bcher-kva.example", "a_b.test"]
        {
            assert_eq!(required_name(name.as_bytes()), Ok(name.to_ascii_lowercase()), "{name}");
        }
        let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        assert_eq!(longest.len(), 253);
        assert!(required_name(longest.as_bytes()).is_ok());
        for name in
            ["", ".", "a.test.", "*", "*.", "a.*.test", "*.*.test", "a b.test", "bücher.test"]
        {
            assert!(required_name(name.as_bytes()).is_err(), "{name}");
        }
        for name in ["-a.test", "a..test", &format!("{longest}c")] {
            assert!(required_name(name.as_bytes()).is_err(), "{name}");
        }
        assert!(required_name(b"\xff.test").is_err());
        let why_not = |name: &str| required_name(name.as_bytes()).unwrap_err();
        assert_eq!(why_not("a..test"), "not a DNS name, an IP address or a URI: \"a..test\"");
    }

    #[test]
    fn required_name_is_an_ip_address_in_its_usual_notation() {
        let cases = [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ];
        for (given, expected) in cases {
            assert_eq!(required_name(given.as_bytes()).as_deref(), Ok(expected));
        }
        let why_not = required_name(b"[::1]").unwrap_err();
        assert!(why_not.ends_with("\"[::1]\"; write the address without brackets"), "{why_not}");
        for name in ["*.192.0.2.1", "192.0.2.1:443", "192.0.2.300"] {
            assert!(required_name(name.as_bytes()).is_err(), "{name}");
        }
    }

    #[test]
    fn required_name_is_a_uri_with_a_scheme() {
        for name in ["spiffe://example.org/ns/A/sa/web", "urn:uuid:1", "https://[::1]/%7e?a=b#c"] {
            assert_eq!(required_name(name.as_bytes()).as_deref(), Ok(name));
        }
        let long = format!("spiffe://example.org/{}", "a".repeat(MAX_URI));
        for name in
            ["spiffe:", "://a", "1a://b", "a://b c", "a://\u{fc}", "a://b\n", "a.test:443", &long]
        {
            assert!(required_name(name.as_bytes()).is_err(), "{name}");
        }
    }
}
