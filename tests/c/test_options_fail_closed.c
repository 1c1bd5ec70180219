/*
 * Options fail closed (G22): the options remember a certreload_options_* function that fails, and
 * certreload_open() and certreload_check() return its result and message instead of opening, until
 * certreload_options_clear_error(). Every function that changes options is in the tables of
 * bad_calls.h, with every kind of failure that it has.
 */

#define _GNU_SOURCE
#include "bad_calls.h"
#include "gate.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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
    CHECK_OK(certreload_options_set_poll_interval_ms(options, 1000));
    CHECK_RESULT(certreload_options_set_expiry_warning_seconds(NULL, 1), NULL_PARAMETER);
    CHECK_RESULT(certreload_options_set_debounce_ms(options, 3600001), INVALID_PARAMETER);
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

    /* The latest failure is forgotten first: what the host has not looked at stays remembered. */
    CHECK_RESULT(certreload_options_clear_error(options), INVALID_PARAMETER);
    CHECK_CONTAINS(certreload_last_error(), PREFIX "set_debounce_ms: ");
    forget_last_error();
    CHECK_INT(certreload_options_error(options), bad->expected);
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
        const certreload_generation *generation = certreload_generation_acquire(handle);
        CHECK_INT(certreload_generation_identity_count(generation), 1);
        certreload_generation_release(generation);
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
