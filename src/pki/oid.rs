//! Object identifiers, in the form that DER gives them: the content of an `OBJECT IDENTIFIER`, without tag and length.

// Algorithms of public keys.

/// rsaEncryption, 1.2.840.113549.1.1.1 (RFC 8017).
pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
/// id-RSASSA-PSS, 1.2.840.113549.1.1.10 (RFC 8017).
pub(super) const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
/// id-dsa, 1.2.840.10040.4.1 (RFC 3279).
pub(super) const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1];
/// id-ecPublicKey, 1.2.840.10045.2.1 (RFC 5480).
pub(super) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
/// id-X25519, 1.3.101.110 (RFC 8410).
pub(super) const X25519: &[u8] = &[0x2b, 0x65, 110];
/// id-X448, 1.3.101.111 (RFC 8410).
pub(super) const X448: &[u8] = &[0x2b, 0x65, 111];
/// id-Ed448, 1.3.101.113 (RFC 8410).
pub(super) const ED448: &[u8] = &[0x2b, 0x65, 113];

// Signatures with hashes for which forgeries are known.

/// md5WithRSAEncryption, 1.2.840.113549.1.1.4 (RFC 3279).
pub(super) const MD5_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4];
/// sha1WithRSAEncryption, 1.2.840.113549.1.1.5 (RFC 3279).
pub(super) const SHA1_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5];
/// sha1WithRSASignature, 1.3.14.3.2.29: an older number for the same.
pub(super) const SHA1_WITH_RSA_OIW: &[u8] = &[0x2b, 0x0e, 3, 2, 29];
/// ecdsa-with-SHA1, 1.2.840.10045.4.1 (RFC 3279).
pub(super) const ECDSA_WITH_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1];

// Elliptic curves.

/// secp192r1, 1.2.840.10045.3.1.1 (RFC 5480).
pub(super) const P192: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1];
/// secp224r1, 1.3.132.0.33 (RFC 5480).
pub(super) const P224: &[u8] = &[0x2b, 0x81, 4, 0, 33];
/// secp256r1, 1.2.840.10045.3.1.7 (RFC 5480).
pub(super) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// secp384r1, 1.3.132.0.34 (RFC 5480).
pub(super) const P384: &[u8] = &[0x2b, 0x81, 4, 0, 34];
/// secp521r1, 1.3.132.0.35 (RFC 5480).
pub(super) const P521: &[u8] = &[0x2b, 0x81, 4, 0, 35];
/// secp256k1, 1.3.132.0.10 (SEC 2).
pub(super) const SECP256K1: &[u8] = &[0x2b, 0x81, 4, 0, 10];
/// The arc of the Brainpool curves, 1.3.36.3.3.2.8.1.1 (RFC 5639): one more number names the curve.
pub(super) const BRAINPOOL: &[u8] = &[0x2b, 0x24, 3, 3, 2, 8, 1, 1];

// Hashes.

/// id-sha1, 1.3.14.3.2.26 (RFC 3279).
pub(super) const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 26];
/// id-sha256, 2.16.840.1.101.3.4.2.1 (RFC 5754).
pub(super) const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
/// id-sha384, 2.16.840.1.101.3.4.2.2 (RFC 5754).
pub(super) const SHA384: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
/// id-sha512, 2.16.840.1.101.3.4.2.3 (RFC 5754).
pub(super) const SHA512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];

// Extensions of certificates and CRLs (RFC 5280), and what they refer to.

/// cRLNumber, 2.5.29.20 (RFC 5280 section 5.2.3).
pub(super) const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
/// deltaCRLIndicator, 2.5.29.27 (RFC 5280 section 5.2.4).
pub(super) const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 0x1d, 27];
/// issuingDistributionPoint, 2.5.29.28 (RFC 5280 section 5.2.5).
pub(super) const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
/// authorityKeyIdentifier, 2.5.29.35 (RFC 5280 section 5.2.1).
pub(super) const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 35];
/// Server Gated Crypto of Netscape, 2.16.840.1.113730.4.1: an extended key usage of servers, from before serverAuth.
pub(super) const NETSCAPE_GATED_CRYPTO: &[u8] = &[0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 4, 1];
/// Server Gated Crypto of Microsoft, 1.3.6.1.4.1.311.10.3.3: likewise.
pub(super) const MICROSOFT_GATED_CRYPTO: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 10, 3, 3];
/// id-pe-tlsfeature, 1.3.6.1.5.5.7.1.24 (RFC 7633).
pub(super) const TLS_FEATURE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 24];
/// id-ad-caIssuers, 1.3.6.1.5.5.7.48.2 (RFC 5280 section 4.2.2.1).
pub(super) const CA_ISSUERS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 2];
/// id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1 (RFC 6960 section 4.2.1).
pub(super) const OCSP_BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 1];
