/*
 * Every function that changes options, with every kind of failure that it has: for
 * test_options_fail_closed.c, which fails if an exported function is in none of these tables.
 */

#ifndef CERTRELOAD_TEST_BAD_CALLS_H
#define CERTRELOAD_TEST_BAD_CALLS_H

#include "support.h"

#include <stdio.h>

#define PREFIX "certreload_options_"

/* A good pair, and more arguments: the test fills them in. */
static const char *chain, *key;

/* 256 bytes: one more than an ALPN protocol or a handle's name may have, and no DNS name. */
static char too_long[257];
static const char *many[65];
static const char *const empty_protocol[] = {"h2", ""}, *const null_protocol[] = {"h2", NULL};
static const char *const long_protocol[] = {too_long};

static const certreload_identity_bytes no_chain = {NULL, 3, "pem", 3, NULL, 0};
static const certreload_identity_bytes no_key = {"pem", 3, NULL, 3, NULL, 0};
static const certreload_identity_bytes large_chain = {
    "pem", CERTRELOAD_MAX_FILE_SIZE + 1, "pem", 3, NULL, 0};
static const certreload_identity_bytes large_key = {"pem", 3, "pem", SIZE_MAX, NULL, 0};
static const certreload_identity_bytes large_ocsp = {"pem",   3, "pem", 3, (const uint8_t *)"der",
                                                     SIZE_MAX};

/* X(id, function, result, part of the message, arguments after the options...) */
#define BAD_CALLS(X)                                                                               \
    X(1, add_identity, NULL_PARAMETER, "chain_path is NULL", NULL, key, NULL)                      \
    X(2, add_identity, NULL_PARAMETER, "key_path is NULL", chain, NULL, NULL)                      \
    X(3, add_identity, INVALID_PARAMETER, "chain_path is empty", "", key, NULL)                    \
    X(4, add_identity, INVALID_PARAMETER, "key_path is empty", chain, "", NULL)                    \
    X(5, add_identity, INVALID_PARAMETER, "ocsp_path is empty", chain, key, "")                    \
    X(6, add_identity_memory, NULL_PARAMETER, "bytes is NULL", NULL, sizeof no_key)                \
    X(7, add_identity_memory, INVALID_PARAMETER, "bytes_size is 8", &no_key, 8)                    \
    X(8, add_identity_memory, NULL_PARAMETER, "bytes->chain_pem is NULL", &no_chain,               \
      sizeof no_chain)                                                                             \
    X(9, add_identity_memory, NULL_PARAMETER, "bytes->key_pem is NULL", &no_key, sizeof no_key)    \
    X(10, add_identity_memory, FILE_TOO_LARGE, "bytes->chain_pem: is larger", &large_chain,        \
      sizeof large_chain)                                                                          \
    X(11, add_identity_memory, FILE_TOO_LARGE, "bytes->key_pem: is larger", &large_key,            \
      sizeof large_key)                                                                            \
    X(12, add_identity_memory, FILE_TOO_LARGE, "bytes->ocsp_der: is larger", &large_ocsp,          \
      sizeof large_ocsp)                                                                           \
    X(13, add_client_identity, NULL_PARAMETER, "chain_path is NULL", NULL, key)                    \
    X(14, add_client_identity, NULL_PARAMETER, "key_path is NULL", chain, NULL)                    \
    X(15, add_client_identity, INVALID_PARAMETER, "chain_path is empty", "", key)                  \
    X(16, add_client_identity, INVALID_PARAMETER, "key_path is empty", chain, "")                  \
    X(17, add_crl, NULL_PARAMETER, "crl_path is NULL", NULL)                                       \
    X(18, add_crl, INVALID_PARAMETER, "crl_path is empty", "")                                     \
    X(19, require_name, NULL_PARAMETER, "name is NULL", NULL)                                      \
    X(20, require_name, INVALID_PARAMETER, "not a DNS name", "")                                   \
    X(21, require_name, INVALID_PARAMETER, "not a DNS name", "a test")                             \
    X(22, require_name, INVALID_PARAMETER, "not a DNS name", "\xff.test")                          \
    X(23, require_name, INVALID_PARAMETER, "not a DNS name", too_long)                             \
    X(24, require_name, INVALID_PARAMETER, "write the address without brackets", "[127.0.0.1]")    \
    X(25, set_alpn, NULL_PARAMETER, "protocols is NULL", NULL, 1)                                  \
    X(26, set_alpn, NULL_PARAMETER, "protocols[1] is NULL", null_protocol, 2)                      \
    X(27, set_alpn, INVALID_PARAMETER, "protocols[1] has 0 bytes", empty_protocol, 2)              \
    X(28, set_alpn, INVALID_PARAMETER, "protocols[0] has 256 bytes", long_protocol, 1)             \
    X(29, set_alpn, INVALID_PARAMETER, "count is 65: at most 64", many, 65)                        \
    X(30, set_alpn, INVALID_PARAMETER, "at most 64", many, SIZE_MAX)                               \
    X(31, set_server_template, NULL_PARAMETER, "config is NULL", NULL)                             \
    X(32, set_client_template, NULL_PARAMETER, "config is NULL", NULL)                             \
    X(33, set_name, INVALID_PARAMETER, "1 to 255 bytes, and this has 0", "")                       \
    X(34, set_name, INVALID_PARAMETER, "1 to 255 bytes, and this has 256", too_long)               \
    X(35, set_name, INVALID_PARAMETER, "a name is UTF-8", "\xff")                                  \
    X(36, set_client_auth, NULL_PARAMETER, "roots_path is NULL", 2, NULL)                          \
    X(37, set_client_auth, INVALID_PARAMETER, "roots_path is empty", 1, "")                        \
    X(38, set_client_auth, INVALID_PARAMETER, "3 is no certreload_client_auth", 3, chain)          \
    X(39, set_server_roots, NULL_PARAMETER, "roots_path is NULL", NULL)                            \
    X(40, set_server_roots, INVALID_PARAMETER, "roots_path is empty", "")                          \
    X(41, set_crl_rules, INVALID_PARAMETER, "8 is no combination of CERTRELOAD_CRL", 8)            \
    X(42, set_resumption, INVALID_PARAMETER, "3 is no certreload_resumption", 3)                   \
    X(52, set_session_context, NULL_PARAMETER, "context is NULL", NULL, 1)                         \
    X(56, set_session_context, NULL_PARAMETER, "context is NULL", NULL, 0)                         \
    X(53, set_session_context, INVALID_PARAMETER, "1 to 255 bytes", "", 0)                         \
    X(54, set_session_context, INVALID_PARAMETER, "255", too_long, 256)                            \
    X(55, set_session_context, INVALID_PARAMETER, "255", too_long, SIZE_MAX)                       \
    X(43, set_ticket_keys, NULL_PARAMETER, "path is NULL", NULL)                                   \
    X(44, set_ticket_keys, INVALID_PARAMETER, "path is empty", "")                                 \
    X(45, set_key_password_file, INVALID_PARAMETER, "path is empty", "")                           \
    X(46, set_runtime, INVALID_PARAMETER, "2 is no certreload_runtime", 2)                         \
    X(47, set_watch, INVALID_PARAMETER, "3 is no certreload_watch", 3)                             \
    X(57, set_start, INVALID_PARAMETER, "2 is no certreload_start", 2)                             \
    X(58, set_tls, INVALID_PARAMETER, "2 is no certreload_tls", 2)                                 \
    X(48, set_poll_interval_ms, INVALID_PARAMETER, "this is 9", 9)                                 \
    X(49, set_poll_interval_ms, INVALID_PARAMETER, "this is 86400001", 86400001)                   \
    X(50, set_debounce_ms, INVALID_PARAMETER, "this is 3600001", 3600001)                          \
    X(51, set_incomplete_timeout_ms, INVALID_PARAMETER, "this is 3600001", 3600001)

#define DEFINE_CALL(id, function, result, message, ...)                                            \
    static certreload_result bad_call_##id(certreload_options *options) {                          \
        return certreload_options_##function(options, __VA_ARGS__);                                \
    }
BAD_CALLS(DEFINE_CALL)

struct bad_call {
    const char *function;
    certreload_result (*call)(certreload_options *options);
    certreload_result expected;
    const char *message;
};

#define CALL_ENTRY(id, function, result, message, ...)                                             \
    {PREFIX #function, bad_call_##id, CERTRELOAD_RESULT_##result, message},
static const struct bad_call bad_calls[] = {BAD_CALLS(CALL_ENTRY)};

/* Options that are full: the last call fails. */

static certreload_result one_name_too_many(certreload_options *options) {
    char name[32];
    for (int i = 0; i < CERTRELOAD_MAX_REQUIRED_NAMES; i++) {
        snprintf(name, sizeof name, "n%d.test", i);
        CHECK_OK(certreload_options_require_name(options, name));
    }
    return certreload_options_require_name(options, "one.test");
}

static certreload_result one_crl_path_too_many(certreload_options *options) {
    for (int i = 0; i < CERTRELOAD_MAX_CRL_PATHS; i++)
        CHECK_OK(certreload_options_add_crl(options, "crls"));
    return certreload_options_add_crl(options, "crls");
}

static void fill_with_identities(certreload_options *options) {
    for (int i = 1; i < CERTRELOAD_MAX_IDENTITIES; i++) /* one is there */
        CHECK_OK(certreload_options_add_identity(options, "c", "k", NULL));
}

static certreload_result one_identity_too_many(certreload_options *options) {
    fill_with_identities(options);
    return certreload_options_add_identity(options, "c", "k", NULL);
}

static certreload_result one_client_identity_too_many(certreload_options *options) {
    fill_with_identities(options);
    return certreload_options_add_client_identity(options, "c", "k");
}

static certreload_result one_memory_identity_too_many(certreload_options *options) {
    const certreload_identity_bytes bytes = {"pem", 3, "pem", 3, NULL, 0};
    fill_with_identities(options);
    return certreload_options_add_identity_memory(options, &bytes, sizeof bytes);
}

static const struct bad_call calls_on_full_options[] = {
    {PREFIX "require_name", one_name_too_many, CERTRELOAD_RESULT_INVALID_PARAMETER,
     "CERTRELOAD_MAX_REQUIRED_NAMES"},
    {PREFIX "add_crl", one_crl_path_too_many, CERTRELOAD_RESULT_INVALID_PARAMETER,
     "CERTRELOAD_MAX_CRL_PATHS"},
    {PREFIX "add_identity", one_identity_too_many, CERTRELOAD_RESULT_INVALID_PARAMETER,
     "CERTRELOAD_MAX_IDENTITIES"},
    {PREFIX "add_client_identity", one_client_identity_too_many,
     CERTRELOAD_RESULT_INVALID_PARAMETER, "CERTRELOAD_MAX_IDENTITIES"},
    {PREFIX "add_identity_memory", one_memory_identity_too_many,
     CERTRELOAD_RESULT_INVALID_PARAMETER, "CERTRELOAD_MAX_IDENTITIES"},
};

/* These can fail only if options is NULL. */

static certreload_result any_expiry_warning(certreload_options *options) {
    return certreload_options_set_expiry_warning_seconds(options, UINT32_MAX);
}

static certreload_result any_ticket_key_lifetime(certreload_options *options) {
    return certreload_options_set_ticket_key_lifetime_seconds(options, UINT32_MAX);
}

static certreload_result no_event_callback(certreload_options *options) {
    return certreload_options_set_event_callback(options, NULL, NULL, NULL);
}

static certreload_result no_password_callback(certreload_options *options) {
    return certreload_options_set_key_password_callback(options, NULL, NULL, NULL);
}

static certreload_result reader_thread(certreload_options *options) {
    return certreload_options_set_reader_thread(options, true);
}

static certreload_result authority_names(certreload_options *options) {
    return certreload_options_set_authority_names(options, true);
}

static certreload_result export_keys(certreload_options *options) {
    return certreload_options_set_export_keys(options, false);
}

static const struct bad_call calls_that_cannot_fail[] = {
    {PREFIX "set_expiry_warning_seconds", any_expiry_warning, CERTRELOAD_RESULT_OK, ""},
    {PREFIX "set_ticket_key_lifetime_seconds", any_ticket_key_lifetime, CERTRELOAD_RESULT_OK, ""},
    {PREFIX "set_event_callback", no_event_callback, CERTRELOAD_RESULT_OK, ""},
    {PREFIX "set_key_password_callback", no_password_callback, CERTRELOAD_RESULT_OK, ""},
    {PREFIX "set_reader_thread", reader_thread, CERTRELOAD_RESULT_OK, ""},
    {PREFIX "set_authority_names", authority_names, CERTRELOAD_RESULT_OK, ""},
    {PREFIX "set_export_keys", export_keys, CERTRELOAD_RESULT_OK, ""},
};

/* Fails if the system has no roots: see platform_roots_that_do_not_exist_fail_closed(). */
static const struct bad_call calls_tested_below_another_root[] = {
    {PREFIX "set_platform_roots", certreload_options_set_platform_roots,
     CERTRELOAD_RESULT_FILE_NOT_FOUND, "/etc/ssl/certs: no such file"},
};

#endif
