/*
 * Options fail closed (G22): the options remember a certreload_options_* function that fails, and
 * certreload_open() and certreload_check() return its result and message instead of opening, until
 * certreload_options_clear_error(). Every function that changes options is in the tables below,
 * with every kind of failure that it has.
 */

#define _GNU_SOURCE
#include "gate.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX "certreload_options_"

static const char *chain, *key;

/* 256 bytes: one more than an ALPN protocol or a handle's name has, two labels too long for DNS. */
static char too_long[257];
static const char *many[65];
static const char *const empty_protocol[] = {"h2", ""}, *const null_protocol[] = {"h2", NULL};
static const char *const long_protocol[] = {too_long};

static const certreload_identity_bytes wrong_size = {8, "pem", 3, "pem", 3, NULL, 0};
static const certreload_identity_bytes no_chain = {sizeof no_chain, NULL, 3, "pem", 3, NULL, 0};
static const certreload_identity_bytes no_key = {sizeof no_key, "pem", 3, NULL, 3, NULL, 0};
static const certreload_identity_bytes large_chain = {
    sizeof large_chain, "pem", CERTRELOAD_MAX_FILE_SIZE + 1, "pem", 3, NULL, 0};
static const certreload_identity_bytes large_key = {sizeof large_key, "pem", 3, "pem",
                                                    SIZE_MAX,         NULL,  0};
static const certreload_identity_bytes large_ocsp = {sizeof large_ocsp,      "pem",   3, "pem", 3,
                                                     (const uint8_t *)"der", SIZE_MAX};

/* X(id, function, result, part of the message, arguments after the options...) */
#define BAD_CALLS(X)                                                                               \
    X(1, add_identity, NULL_PARAMETER, "chain_path is NULL", NULL, key, NULL)                      \
    X(2, add_identity, NULL_PARAMETER, "key_path is NULL", chain, NULL, NULL)                      \
    X(3, add_identity, INVALID_PARAMETER, "chain_path is empty", "", key, NULL)                    \
    X(4, add_identity, INVALID_PARAMETER, "key_path is empty", chain, "", NULL)                    \
    X(5, add_identity, INVALID_PARAMETER, "ocsp_path is empty", chain, key, "")                    \
    X(6, add_identity_memory, NULL_PARAMETER, "bytes is NULL", NULL)                               \
    X(7, add_identity_memory, INVALID_PARAMETER, "bytes->size is 8", &wrong_size)                  \
    X(8, add_identity_memory, NULL_PARAMETER, "bytes->chain_pem is NULL", &no_chain)               \
    X(9, add_identity_memory, NULL_PARAMETER, "bytes->key_pem is NULL", &no_key)                   \
    X(10, add_identity_memory, FILE_TOO_LARGE, "bytes->chain_pem: is larger", &large_chain)        \
    X(11, add_identity_memory, FILE_TOO_LARGE, "bytes->key_pem: is larger", &large_key)            \
    X(12, add_identity_memory, FILE_TOO_LARGE, "bytes->ocsp_der: is larger", &large_ocsp)          \
    X(13, add_client_identity, NULL_PARAMETER, "chain_path is NULL", NULL, key)                    \
    X(14, add_client_identity, NULL_PARAMETER, "key_path is NULL", chain, NULL)                    \
    X(15, add_client_identity, INVALID_PARAMETER, "chain_path is empty", "", key)                  \
    X(16, add_client_identity, INVALID_PARAMETER, "key_path is empty", chain, "")                  \
    X(17, add_crl, NULL_PARAMETER, "crl_path is NULL", NULL)                                       \
    X(18, add_crl, INVALID_PARAMETER, "crl_path is empty", "")                                     \
    X(19, require_name, NULL_PARAMETER, "dns_name is NULL", NULL)                                  \
    X(20, require_name, INVALID_PARAMETER, "not a DNS name", "")                                   \
    X(21, require_name, INVALID_PARAMETER, "not a DNS name", "a test")                             \
    X(22, require_name, INVALID_PARAMETER, "not a DNS name", "\xff.test")                          \
    X(23, require_name, INVALID_PARAMETER, "not a DNS name", too_long)                             \
    X(24, require_name, INVALID_PARAMETER, "IP addresses cannot be required", "127.0.0.1")         \
    X(25, set_alpn, NULL_PARAMETER, "protocols is NULL", NULL, 1)                                  \
    X(26, set_alpn, NULL_PARAMETER, "protocols[1] is NULL", null_protocol, 2)                      \
    X(27, set_alpn, INVALID_PARAMETER, "protocols[1] has 0 bytes", empty_protocol, 2)              \
    X(28, set_alpn, INVALID_PARAMETER, "protocols[0] has 256 bytes", long_protocol, 1)             \
    X(29, set_alpn, INVALID_PARAMETER, "65 ALPN protocols", many, 65)                              \
    X(30, set_alpn, INVALID_PARAMETER, "ALPN protocols are more than 64", many, SIZE_MAX)          \
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
    X(41, set_crl_rules, INVALID_PARAMETER, "8 are no CERTRELOAD_CRL_* rules", 8)                  \
    X(42, set_resumption, INVALID_PARAMETER, "3 is no certreload_resumption", 3)                   \
    X(43, set_ticket_keys, NULL_PARAMETER, "path is NULL", NULL)                                   \
    X(44, set_ticket_keys, INVALID_PARAMETER, "path is empty", "")                                 \
    X(45, set_key_password_file, INVALID_PARAMETER, "path is empty", "")                           \
    X(46, set_runtime, INVALID_PARAMETER, "2 is no certreload_runtime", 2)                         \
    X(47, set_watch, INVALID_PARAMETER, "3 is no certreload_watch", 3)                             \
    X(48, set_poll_interval, INVALID_PARAMETER, "this is 9", 9)                                    \
    X(49, set_poll_interval, INVALID_PARAMETER, "this is 86400001", 86400001)                      \
    X(50, set_settle, INVALID_PARAMETER, "quiet_ms (2) is at most timeout_ms (1)", 2, 1)           \
    X(51, set_settle, INVALID_PARAMETER, "that at most 3600000", 0, 3600001)

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
    const certreload_identity_bytes bytes = {sizeof bytes, "pem", 3, "pem", 3, NULL, 0};
    fill_with_identities(options);
    return certreload_options_add_identity_memory(options, &bytes);
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
    return certreload_options_set_expiry_warning(options, UINT32_MAX);
}

static certreload_result any_ticket_key_lifetime(certreload_options *options) {
    return certreload_options_set_ticket_key_lifetime(options, UINT32_MAX);
}

static certreload_result no_event_callback(certreload_options *options) {
    return certreload_options_set_event_callback(options, NULL, NULL);
}

static certreload_result no_password_callback(certreload_options *options) {
    return certreload_options_set_key_password_callback(options, NULL, NULL);
}

static const struct bad_call calls_that_cannot_fail[] = {
    {PREFIX "set_expiry_warning", any_expiry_warning, CERTRELOAD_RESULT_OK, ""},
    {PREFIX "set_ticket_key_lifetime", any_ticket_key_lifetime, CERTRELOAD_RESULT_OK, ""},
    {PREFIX "set_event_callback", no_event_callback, CERTRELOAD_RESULT_OK, ""},
    {PREFIX "set_key_password_callback", no_password_callback, CERTRELOAD_RESULT_OK, ""},
};

/* Fails if the system has no roots: see platform_roots_that_do_not_exist_fail_closed(). */
static const struct bad_call calls_tested_below_another_root[] = {
    {PREFIX "set_platform_roots", certreload_options_set_platform_roots,
     CERTRELOAD_RESULT_FILE_NOT_FOUND, "/etc/ssl/certs: no such file"},
};

#define FOR_EACH(bad, table)                                                                       \
    for (const struct bad_call *bad = (table); bad < (table) + sizeof(table) / sizeof *(table);    \
         bad++)

/* Overwrites this thread's last error, so that an old message is not taken for a new one. */
static void forget_last_error(void) {
    CHECK_RESULT(certreload_reload(NULL), NULL_PARAMETER);
    CHECK_RESULT(certreload_reload_wait(NULL, 0), NULL_PARAMETER);
    CHECK_STR(certreload_last_error(), "handle is NULL");
}

static certreload_options *good_options(void) {
    return unwatched_options(chain, key, 100);
}

static void check_function_and_reason(const struct bad_call *bad, const char *reason) {
    const char *message = certreload_last_error();
    const size_t length = strlen(bad->function);
    CHECK(strncmp(message, bad->function, length) == 0);
    CHECK(strncmp(message + length, ": ", 2) == 0);
    CHECK_CONTAINS(message, reason);
}

/* Fails once; then every way to use the options reports that failure, and none opens a handle. */
static certreload_options *fail_and_check_that_nothing_opens(const struct bad_call *bad) {
    certreload_options *options = good_options();
    certreload_handle *const untouched = (certreload_handle *)&chain;
    certreload_handle *handle = untouched;
    CHECK_OK(certreload_options_error(options));
    check_result(__FILE__, __LINE__, bad->message, bad->call(options), bad->expected);
    check_function_and_reason(bad, bad->message);
    char message[1024];
    snprintf(message, sizeof message, "%s", certreload_last_error());

    /* Neither a success nor another failure replaces the first failure. */
    CHECK_OK(certreload_options_set_poll_interval(options, 1000));
    CHECK_RESULT(certreload_options_set_expiry_warning(NULL, 1), NULL_PARAMETER);
    CHECK_RESULT(certreload_options_set_settle(options, 9, 8), INVALID_PARAMETER);
    for (int i = 0; i < 2; i++) {
        forget_last_error();
        CHECK_INT(certreload_open(options, &handle), bad->expected);
        CHECK_STR(certreload_last_error(), message);
        forget_last_error();
        CHECK_INT(certreload_check(options), bad->expected);
        CHECK_STR(certreload_last_error(), message);
        forget_last_error();
        CHECK_INT(certreload_options_error(options), bad->expected);
        CHECK_STR(certreload_last_error(), message);
    }
    CHECK(handle == untouched);

    forget_last_error();
    CHECK_INT(certreload_options_clear_error(options), bad->expected);
    CHECK_STR(certreload_last_error(), message);
    CHECK_OK(certreload_options_error(options));
    CHECK_OK(certreload_options_clear_error(options));
    return options;
}

static void failed_call_is_returned_by_open_and_check_until_it_is_cleared(void) {
    test_begin(__func__);
    const int threads_before = threads();
    FOR_EACH(bad, bad_calls) {
        test_begin(bad->message);
        certreload_options *options = fail_and_check_that_nothing_opens(bad);
        if (bad == bad_calls)
            CHECK_INT(threads(), threads_before); /* so far, no call has started a thread */
        /* The failed call has changed nothing. */
        certreload_handle *handle = NULL;
        CHECK_OK(certreload_check(options));
        CHECK_OK(certreload_open(options, &handle));
        const certreload_generation *generation = certreload_acquire(handle);
        CHECK_INT(certreload_generation_identity_count(generation), 1);
        certreload_release(generation);
        certreload_close(handle);
        certreload_options_free(options);
    }
    FOR_EACH(bad, calls_on_full_options) {
        test_begin(bad->message);
        certreload_options_free(fail_and_check_that_nothing_opens(bad));
    }
}

static void call_that_cannot_fail_is_not_remembered(void) {
    test_begin(__func__);
    FOR_EACH(call, calls_that_cannot_fail) {
        certreload_options *options = good_options();
        CHECK_OK(call->call(options));
        CHECK_OK(certreload_options_error(options));
        CHECK_OK(certreload_check(options));
        certreload_options_free(options);
    }
}

static void null_options_are_refused_at_once_and_at_open(void) {
    test_begin(__func__);
    certreload_handle *handle = NULL;
    FOR_EACH(bad, bad_calls) {
        CHECK_RESULT(bad->call(NULL), NULL_PARAMETER);
        check_function_and_reason(bad, "options is NULL");
    }
    FOR_EACH(bad, calls_that_cannot_fail) {
        CHECK_RESULT(bad->call(NULL), NULL_PARAMETER);
        check_function_and_reason(bad, "options is NULL");
    }
    CHECK_RESULT(certreload_options_set_platform_roots(NULL), NULL_PARAMETER);
    CHECK_RESULT(certreload_options_error(NULL), NULL_PARAMETER);
    CHECK_RESULT(certreload_options_clear_error(NULL), NULL_PARAMETER);
    CHECK_RESULT(certreload_open(NULL, &handle), NULL_PARAMETER);
    CHECK_RESULT(certreload_check(NULL), NULL_PARAMETER);
    CHECK(handle == NULL);
}

/* README's example of mutual TLS, which ignores every result, with a variable that is not set. */
static void readme_example_without_a_ca_path_opens_nothing(void) {
    test_begin(__func__);
    CHECK(unsetenv("CERTRELOAD_NO_SUCH_CA") == 0);
    certreload_handle *service = NULL;
    certreload_options *options = certreload_options_new();
    certreload_options_add_identity(options, chain, key, NULL);
    certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                       getenv("CERTRELOAD_NO_SUCH_CA"));
    certreload_options_set_server_roots(options, root_certificate());
    certreload_result result = certreload_open(options, &service);
    certreload_options_free(options);
    CHECK_RESULT(result, NULL_PARAMETER);
    CHECK_STR(certreload_last_error(), PREFIX "set_client_auth: roots_path is NULL");
    CHECK(service == NULL);
}

/* What files hold is not remembered: open fails for it, and may be tried again. */
static void failed_open_is_not_remembered(void) {
    test_begin(__func__);
    certreload_handle *handle = NULL;
    certreload_options *options =
        unwatched_options(scratch("late.chain"), scratch("late.key"), 100);
    CHECK_RESULT(certreload_open(options, &handle), FILE_NOT_FOUND);
    CHECK_OK(certreload_options_error(options));
    replace_file(scratch("late.chain"), chain);
    replace_file(scratch("late.key"), key);
    CHECK_OK(certreload_open(options, &handle));
    certreload_close(handle);
    certreload_options_free(options);
}

static void platform_roots_that_do_not_exist_fail_closed(void) {
    test_begin(__func__);
    if (geteuid() != 0) {
        puts("NOT TESTED: only root can change its root directory to one without roots");
        return;
    }
    CHECK(mkdir(scratch("empty"), 0700) == 0);
    CHECK(unsetenv("SSL_CERT_FILE") == 0 && unsetenv("SSL_CERT_DIR") == 0);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(chroot(scratch("empty")) == 0 && chdir("/") == 0);
        FOR_EACH(bad, calls_tested_below_another_root)
        certreload_options_free(fail_and_check_that_nothing_opens(bad));
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

#define LISTS(table, function) lists(table, sizeof(table) / sizeof *(table), function)

static bool lists(const struct bad_call *table, size_t count, const char *function) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].function, function) == 0)
            return true;
    return false;
}

static void every_exported_function_that_changes_options_is_in_a_table(void) {
    test_begin(__func__);
    const char *directory = getenv("CERTRELOAD_TESTS_DIR");
    if (directory == NULL) {
        puts("NOT TESTED: CERTRELOAD_TESTS_DIR does not say where symbols.txt is");
        return;
    }
    static const char *const others[] = {PREFIX "new", PREFIX "free", PREFIX "error",
                                         PREFIX "clear_error"};
    char symbol[512];
    snprintf(symbol, sizeof symbol, "%s/symbols.txt", directory);
    FILE *symbols = fopen(symbol, "r");
    CHECK(symbols != NULL);
    int found = 0, missing = 0;
    while (fgets(symbol, sizeof symbol, symbols) != NULL) {
        symbol[strcspn(symbol, "\n")] = '\0';
        bool changes_options = strncmp(symbol, PREFIX, strlen(PREFIX)) == 0;
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            changes_options = changes_options && strcmp(symbol, others[i]) != 0;
        if (!changes_options)
            continue;
        found++;
        if (!LISTS(bad_calls, symbol) && !LISTS(calls_that_cannot_fail, symbol) &&
            !LISTS(calls_tested_below_another_root, symbol)) {
            printf("no test has a call of %s that fails\n", symbol);
            missing++;
        }
    }
    fclose(symbols);
    CHECK(found >= 24);
    CHECK_INT(missing, 0);
}

int main(void) {
    memset(too_long, 'a', sizeof too_long - 1);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        many[i] = "h2";
    chain = scratch("one.chain");
    key = scratch("one.key");
    make_pair(chain, key, "one.test");

    failed_call_is_returned_by_open_and_check_until_it_is_cleared();
    call_that_cannot_fail_is_not_remembered();
    null_options_are_refused_at_once_and_at_open();
    readme_example_without_a_ca_path_opens_nothing();
    failed_open_is_not_remembered();
    platform_roots_that_do_not_exist_fail_closed();
    every_exported_function_that_changes_options_is_in_a_table();
    return 0;
}
