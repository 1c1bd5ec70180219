/*
 * Bad input. At open: open fails with a code of its own, and a message with path and reason. Later:
 * the same code and message, and the old one goes on serving (G3, G12, G17).
 */

#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A good pair, and material to spoil it with: made once. */
static const char *good_chain, *good_key, *other_key;

static void make_material(void) {
    good_chain = scratch("good.chain");
    good_key = scratch("good.key");
    other_key = scratch("other.key");
    make_pair(good_chain, good_key, "one.test");
    make_pair(scratch("other.chain"), other_key, "one.test");
    make_pair_valid(scratch("expired.chain"), scratch("expired.key"), "one.test", -10, -1);
    make_pair_valid(scratch("future.chain"), scratch("future.key"), "one.test", 2, 90);
}

/* Each of these spoils one of the two files of a good pair. */

static void missing(const char *path) {
    CHECK(unlink(path) == 0);
}

static void empty(const char *path) {
    CHECK(truncate(path, 0) == 0);
}

/* The content is good but for its size: what stands before the first PEM section is ignored. */
static void too_large(const char *path) {
    shell("head -c %d /dev/zero | tr '\\0' '\\n' >large; cat '%s' >>large; mv large '%s'",
          CERTRELOAD_MAX_FILE_SIZE, path, path);
}

static void fifo(const char *path) {
    CHECK(unlink(path) == 0 && mkfifo(path, 0600) == 0);
}

static void directory(const char *path) {
    CHECK(unlink(path) == 0 && mkdir(path, 0700) == 0);
}

static void endless_device(const char *path) {
    CHECK(unlink(path) == 0 && symlink("/dev/zero", path) == 0);
}

static void unreadable(const char *path) {
    CHECK(chmod(path, 0) == 0);
}

static void loop_of_links(const char *path) {
    CHECK(unlink(path) == 0 && symlink(path, path) == 0);
}

static void prose(const char *path) {
    shell("echo 'renewal is due on Monday' >'%s'", path);
}

static void der_certificate(const char *path) {
    shell("openssl x509 -in good.chain -outform DER -out '%s'", path);
}

static void der_key(const char *path) {
    shell("openssl pkey -in good.key -outform DER -out '%s'", path);
}

static void without_its_last_line(const char *path) {
    shell("sed -i '$d' '%s'", path);
}

static void cut_in_the_middle(const char *path) {
    shell("truncate -s 150 '%s'", path);
}

static void not_base64(const char *path) {
    shell("sed -i '2s/./*/' '%s'", path);
}

static void not_a_certificate(const char *path) {
    shell("{ echo '-----BEGIN CERTIFICATE-----'; echo AQIDBAUGBwgJ;"
          " echo '-----END CERTIFICATE-----'; } >'%s'",
          path);
}

static void too_many_certificates(const char *path) {
    shell("for i in $(seq %d); do cat good.chain; done >'%s'", CERTRELOAD_MAX_CERTIFICATES + 1,
          path);
}

static void the_other_file(const char *path) {
    shell("if cmp -s '%s' good.key; then cp good.chain '%s'; else cp good.key '%s'; fi", path, path,
          path);
}

static void two_keys(const char *path) {
    shell("cp other.key '%s'; openssl genpkey -algorithm ed25519 >>'%s'", path, path);
}

static void encrypted_key(const char *path) {
    shell("openssl pkcs8 -topk8 -in good.key -passout pass:x -out '%s'", path);
}

static void encrypted_key_of_old(const char *path) {
    shell("openssl ec -aes128 -in good.key -passout pass:x -out '%s'", path);
}

static void not_a_key(const char *path) {
    shell("{ echo '-----BEGIN PRIVATE KEY-----'; echo AQIDBAUGBwgJ;"
          " echo '-----END PRIVATE KEY-----'; } >'%s'",
          path);
}

static void key_of_an_unknown_kind(const char *path) {
    shell("openssl genpkey -algorithm ed448 -out '%s'", path);
}

static void key_of_another(const char *path) {
    shell("cp other.key '%s'", path);
}

static void expired(const char *path) {
    shell("cp expired.chain '%s'; cp expired.key \"$(dirname '%s')/key.pem\"", path, path);
}

static void not_yet_valid(const char *path) {
    shell("cp future.chain '%s'; cp future.key \"$(dirname '%s')/key.pem\"", path, path);
}

enum file { CHAIN, KEY };

struct bad_input {
    const char *name;
    void (*spoil)(const char *path);
    enum file file;
    certreload_result expected;
};

#define BAD(spoil, file, result)                                                                   \
    { #spoil " " #file, spoil, file, CERTRELOAD_RESULT_##result }

static const struct bad_input bad_inputs[] = {
    BAD(missing, CHAIN, FILE_NOT_FOUND),
    BAD(missing, KEY, FILE_NOT_FOUND),
    BAD(empty, CHAIN, FILE_EMPTY),
    BAD(empty, KEY, FILE_EMPTY),
    BAD(too_large, CHAIN, FILE_TOO_LARGE),
    BAD(too_large, KEY, FILE_TOO_LARGE),
    BAD(fifo, CHAIN, FILE_NOT_REGULAR),
    BAD(fifo, KEY, FILE_NOT_REGULAR),
    BAD(directory, CHAIN, FILE_NOT_REGULAR),
    BAD(directory, KEY, FILE_NOT_REGULAR),
    BAD(endless_device, CHAIN, FILE_NOT_REGULAR),
    BAD(endless_device, KEY, FILE_NOT_REGULAR),
    BAD(loop_of_links, CHAIN, FILE_IO),
    BAD(prose, CHAIN, NO_CERTIFICATE),
    BAD(prose, KEY, NO_PRIVATE_KEY),
    BAD(der_certificate, CHAIN, NO_CERTIFICATE),
    BAD(der_key, KEY, NO_PRIVATE_KEY),
    BAD(the_other_file, CHAIN, NO_CERTIFICATE),
    BAD(the_other_file, KEY, NO_PRIVATE_KEY),
    BAD(without_its_last_line, CHAIN, PEM_TRUNCATED),
    BAD(without_its_last_line, KEY, PEM_TRUNCATED),
    BAD(cut_in_the_middle, CHAIN, PEM_TRUNCATED),
    BAD(cut_in_the_middle, KEY, PEM_TRUNCATED),
    BAD(not_base64, CHAIN, PEM_MALFORMED),
    BAD(not_base64, KEY, PEM_MALFORMED),
    BAD(not_a_certificate, CHAIN, CERTIFICATE_MALFORMED),
    BAD(too_many_certificates, CHAIN, TOO_MANY_CERTIFICATES),
    BAD(two_keys, KEY, SEVERAL_PRIVATE_KEYS),
    BAD(encrypted_key, KEY, KEY_ENCRYPTED),
    BAD(encrypted_key_of_old, KEY, KEY_UNSUPPORTED),
    BAD(not_a_key, KEY, KEY_UNSUPPORTED),
    BAD(key_of_an_unknown_kind, KEY, KEY_UNSUPPORTED),
    BAD(key_of_another, KEY, KEY_MISMATCH),
    BAD(expired, CHAIN, CERTIFICATE_EXPIRED),
    BAD(not_yet_valid, CHAIN, CERTIFICATE_NOT_YET_VALID),
};

/* Long enough for a request to look more than once, short enough for all of the above. */
enum { SETTLE_MS = 60 };

static void check_refused(const struct bad_input *bad) {
    test_begin(bad->name);
    shell("rm -rf live && mkdir live && cp good.chain live/chain.pem && cp good.key live/key.pem");
    const char *chain = scratch("live/chain.pem"), *key = scratch("live/key.pem");
    const char *spoiled = bad->file == CHAIN ? chain : key;
    certreload_options *options = unwatched_options(chain, key, SETTLE_MS);

    /* Later: the old one serves, whatever the files say now. */
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    bad->spoil(spoiled);
    check_result(__FILE__, __LINE__, bad->name,
                 certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), bad->expected);
    CHECK_CONTAINS(certreload_last_error(), spoiled);
    CHECK_INT(serving_generation(handle), 1);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(good_chain));
    certreload_status status = status_of(handle);
    CHECK_INT(status.health, CERTRELOAD_HEALTH_STALE);
    CHECK_INT(status.last_result, bad->expected);
    CHECK_INT(status.failures, 1);

    /* At open: the same, and nothing is opened. */
    CHECK_RESULT(certreload_reload_wait(NULL, 0), NULL_PARAMETER);
    certreload_handle *other = NULL;
    check_result(__FILE__, __LINE__, bad->name, certreload_open(options, &other), bad->expected);
    CHECK_CONTAINS(certreload_last_error(), spoiled);
    CHECK(other == NULL);
    check_result(__FILE__, __LINE__, bad->name, certreload_check(options), bad->expected);

    /* Mended: all is well, with the handle and with the options. */
    shell("rm -rf live/* && cp good.chain live/chain.pem && cp good.key live/key.pem");
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_OK);
    CHECK_OK(certreload_open(options, &other));
    certreload_close(other);
    certreload_close(handle);
    certreload_options_free(options);
}

static void secrets_stay_out_of_messages(void) {
    test_begin(__func__);
    shell("rm -rf live && mkdir live && cp good.chain live/chain.pem && cp good.key live/key.pem");
    not_base64(scratch("live/key.pem"));
    certreload_handle *handle = NULL;
    CHECK_RESULT(certreload_open_files(scratch("live/chain.pem"), scratch("live/key.pem"), &handle),
                 PEM_MALFORMED);
    const char *secret = shell_line("sed -n '2s/^.\\(.\\{20\\}\\).*/\\1/p' good.key");
    CHECK_INT(strlen(secret), 20);
    CHECK(strstr(certreload_last_error(), secret) == NULL);
}

/* Root may read everything, so this runs in a child that is nobody. */
static void an_unreadable_file_is_refused(void) {
    test_begin(__func__);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (geteuid() == 0)
            CHECK(setgid(65534) == 0 && setuid(65534) == 0);
        scratch_renew();
        make_material();
        static const struct bad_input cases[] = {
            BAD(unreadable, CHAIN, FILE_PERMISSION),
            BAD(unreadable, KEY, FILE_PERMISSION),
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            check_refused(&cases[i]);
        exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

static void paths_need_not_be_utf8(void) {
    test_begin(__func__);
    const char *chain = scratch("\xff\xfe-chain.pem"), *key = scratch("\xc3\x28-key.pem");
    replace_file(chain, good_chain);
    replace_file(key, good_key);
    certreload_options *options = unwatched_options(chain, key, SETTLE_MS);
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));

    make_pair(scratch("fresh.chain"), scratch("fresh.key"), "one.test");
    replace_file(chain, scratch("fresh.chain"));
    replace_file(key, scratch("fresh.key"));
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(scratch("fresh.chain")));

    missing(key);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), FILE_NOT_FOUND);
    CHECK_CONTAINS(certreload_last_error(), "-key.pem");
    certreload_close(handle);
    certreload_options_free(options);
}

static void relative_paths_are_fixed_at_open(void) {
    test_begin(__func__);
    shell("rm -rf relative && mkdir relative");
    replace_file(scratch("relative/chain.pem"), good_chain);
    replace_file(scratch("relative/key.pem"), good_key);
    certreload_options *options = unwatched_options("relative/chain.pem", "relative/key.pem", 1000);
    certreload_handle *handle = NULL;
    CHECK(chdir(scratch("%s", "")) == 0);
    CHECK_OK(certreload_open(options, &handle));
    CHECK(chdir("/") == 0);

    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    renew_pair(scratch("relative/chain.pem"), scratch("relative/key.pem"), "one.test");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(scratch("relative/chain.pem")));

    missing(scratch("relative/key.pem"));
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), FILE_NOT_FOUND);
    CHECK_CONTAINS(certreload_last_error(), scratch("relative/key.pem"));
    certreload_close(handle);

    /* The options themselves are not fixed: from here they lead nowhere. */
    CHECK_RESULT(certreload_open(options, &handle), FILE_NOT_FOUND);
    certreload_options_free(options);
}

static void one_file_may_hold_chain_and_key(void) {
    test_begin(__func__);
    shell("cat good.key good.chain >both.pem");
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open_files(scratch("both.pem"), scratch("both.pem"), &handle));
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(good_chain));
    certreload_close(handle);
}

static void a_key_that_all_may_read_is_warned_about(void) {
    test_begin(__func__);
    static recorder events = RECORDER_INITIALIZER;
    const char *key = scratch("readable.key");
    replace_file(key, good_key);
    CHECK(chmod(key, 0644) == 0);
    certreload_options *options = unwatched_options(good_chain, key, SETTLE_MS);
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events, NULL));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    const recorded_event *event = recorder_next(&events);
    CHECK_INT(event->warnings, CERTRELOAD_WARNING_KEY_READABLE);
    CHECK_CONTAINS(event->message, "may read");
    CHECK_INT(status_of(handle).warnings, CERTRELOAD_WARNING_KEY_READABLE);
    certreload_close(handle);
}

static void only_so_many_names_can_be_required(void) {
    test_begin(__func__);
    certreload_options *options = certreload_options_new();
    char name[32];
    for (int i = 0; i < CERTRELOAD_MAX_REQUIRED_NAMES; i++) {
        snprintf(name, sizeof name, "n%d.test", i);
        CHECK_OK(certreload_options_require_name(options, name));
    }
    CHECK_RESULT(certreload_options_require_name(options, "one.test"), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_clear_error(options), INVALID_PARAMETER);
    CHECK_OK(certreload_options_require_name(options, "N0.test")); /* is required already */
    CHECK_OK(certreload_options_add_identity(options, good_chain, good_key, NULL));
    CHECK_RESULT(certreload_check(options), NAME_MISSING);
    CHECK_CONTAINS(certreload_last_error(), "n0.test");
    certreload_options_free(options);
}

static void parameters_have_ranges(void) {
    test_begin(__func__);
    char longest[257];
    memset(longest, 'a', 256);
    longest[256] = '\0';
    const char *const empty_name[] = {"h2", ""}, *const long_name[] = {longest};
    const char *const longest_name[] = {longest + 1};
    const char *many[65];
    for (size_t i = 0; i < 65; i++)
        many[i] = "h2";

    certreload_options *options = certreload_options_new();
    CHECK_RESULT(certreload_check(options), NOTHING_TO_LOAD);
    CHECK_RESULT(certreload_options_add_identity(options, "", good_key, NULL), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_add_identity(options, good_chain, "", NULL), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_add_identity(options, good_chain, good_key, ""),
                 INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_alpn(options, empty_name, 2), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_alpn(options, long_name, 1), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_alpn(options, many, 65), INVALID_PARAMETER);
    CHECK_OK(certreload_options_set_alpn(options, many, 64));
    CHECK_OK(certreload_options_set_alpn(options, longest_name, 1));
    CHECK_RESULT(certreload_options_set_watch(options, (certreload_watch)3), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_poll_interval_ms(options, 9), INVALID_PARAMETER);
    CHECK_OK(certreload_options_set_poll_interval_ms(options, 10));
    CHECK_OK(certreload_options_set_poll_interval_ms(options, 86400000));
    CHECK_RESULT(certreload_options_set_poll_interval_ms(options, 86400001), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_require_name(options, ""), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_require_name(options, "a test"), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_require_name(options, longest), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_key_password_file(options, ""), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_client_auth(options, (certreload_client_auth)3, "roots"),
                 INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED, ""),
                 INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_server_roots(options, ""), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_add_crl(options, ""), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_crl_rules(options, 8), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_add_client_identity(options, good_chain, ""),
                 INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_resumption(options, (certreload_resumption)3),
                 INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_ticket_keys(options, ""), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_session_context(options, "", 0), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_session_context(options, longest, 256), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_session_context(options, longest, SIZE_MAX),
                 INVALID_PARAMETER);
    CHECK_OK(certreload_options_set_session_context(options, longest, 255));
    CHECK_RESULT(certreload_options_set_debounce_ms(options, 3600001), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_incomplete_timeout_ms(options, 3600001), INVALID_PARAMETER);
    CHECK_OK(certreload_options_set_debounce_ms(options, 3600000));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 3600000));

    /* Nothing of what was refused is in the options. */
    CHECK_RESULT(certreload_check(options), INVALID_PARAMETER);
    while (certreload_options_clear_error(options) != CERTRELOAD_RESULT_OK)
        ;
    CHECK_RESULT(certreload_check(options), NOTHING_TO_LOAD);
    CHECK_OK(certreload_options_add_identity(options, good_chain, good_key, NULL));
    CHECK_OK(certreload_check(options));
    certreload_options_free(options);
}

/* Two setters, in any order: only the open sees both times. */
static void quiet_time_above_the_incomplete_timeout_is_refused_at_open(void) {
    test_begin(__func__);
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, good_chain, good_key, NULL));
    CHECK_OK(certreload_options_set_debounce_ms(options, 6000));
    CHECK_RESULT(certreload_check(options), INVALID_PARAMETER);
    CHECK_CONTAINS(certreload_last_error(), "quiet time of 6000 ms");
    CHECK_CONTAINS(certreload_last_error(), "timeout of 5000 ms");
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 6000));
    CHECK_OK(certreload_check(options));
    certreload_options_free(options);
}

/* What would have no effect is refused, for it may be about who is let in. */
static void options_of_a_role_that_the_handle_has_not_are_refused(void) {
    test_begin(__func__);
    certreload_options *lists = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(lists, good_chain, good_key, NULL));
    CHECK_OK(certreload_options_add_crl(lists, good_chain));
    CHECK_RESULT(certreload_check(lists), INVALID_PARAMETER);
    CHECK_CONTAINS(certreload_last_error(), "revocation lists, and no roots");
    certreload_options_free(lists);

    certreload_options *asks = certreload_options_new();
    CHECK_OK(certreload_options_set_server_roots(asks, good_chain));
    CHECK_OK(certreload_check(asks));
    CHECK_OK(certreload_options_set_client_auth(asks, CERTRELOAD_CLIENT_AUTH_OPTIONAL, good_chain));
    CHECK_RESULT(certreload_check(asks), INVALID_PARAMETER);
    CHECK_CONTAINS(certreload_last_error(), "no identity to serve");
    certreload_options_free(asks);

    certreload_options *calls = certreload_options_new();
    CHECK_OK(certreload_options_add_client_identity(calls, good_chain, good_key));
    CHECK_RESULT(certreload_check(calls), INVALID_PARAMETER);
    CHECK_CONTAINS(certreload_last_error(), "no roots to check servers with");
    certreload_options_free(calls);
}

int main(void) {
    an_unreadable_file_is_refused();

    make_material();
    for (size_t i = 0; i < sizeof bad_inputs / sizeof *bad_inputs; i++)
        check_refused(&bad_inputs[i]);
    secrets_stay_out_of_messages();
    paths_need_not_be_utf8();
    relative_paths_are_fixed_at_open();
    one_file_may_hold_chain_and_key();
    a_key_that_all_may_read_is_warned_about();
    only_so_many_names_can_be_required();
    parameters_have_ranges();
    quiet_time_above_the_incomplete_timeout_is_refused_at_open();
    options_of_a_role_that_the_handle_has_not_are_refused();
    return 0;
}
