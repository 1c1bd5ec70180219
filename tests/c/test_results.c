/* What a program can find out about a result: whether it is an error, its name, its category; and
 * the version. */

#include "support.h"

#include <string.h>

#if CERTRELOAD_VERSION_NUMBER < 1000
#error "the version can be compared by the preprocessor"
#endif

static void outcomes_without_a_failure_are_no_errors(void) {
    test_begin(__func__);
    CHECK(!certreload_result_is_error(CERTRELOAD_RESULT_OK));
    CHECK(!certreload_result_is_error(CERTRELOAD_RESULT_UNCHANGED));
    CHECK(!certreload_result_is_error(CERTRELOAD_RESULT_NO_EVENT));
    CHECK(certreload_result_is_error(CERTRELOAD_RESULT_TIMED_OUT));
    CHECK(certreload_result_is_error(CERTRELOAD_RESULT_NULL_PARAMETER));
    CHECK(certreload_result_is_error(CERTRELOAD_RESULT_KEY_MISMATCH));
    CHECK(certreload_result_is_error((certreload_result)9999));
}

static void names_are_those_of_the_constants(void) {
    test_begin(__func__);
#define CHECK_NAME(constant) CHECK_STR(certreload_result_name(constant), #constant)
    CHECK_NAME(CERTRELOAD_RESULT_OK);
    CHECK_NAME(CERTRELOAD_RESULT_KEY_MISMATCH);
    CHECK_NAME(CERTRELOAD_RESULT_TICKET_KEYS_READABLE);
    CHECK_STR(certreload_result_name((certreload_result)99), "unknown");
    CHECK_STR(certreload_result_name(UINT32_MAX), "unknown");
}

static void categories_say_what_to_do(void) {
    static const struct {
        certreload_result result;
        certreload_category category;
        const char *word;
    } expected[] = {
        {CERTRELOAD_RESULT_OK, CERTRELOAD_CATEGORY_OK, "ok"},
        {CERTRELOAD_RESULT_UNCHANGED, CERTRELOAD_CATEGORY_OK, "ok"},
        {CERTRELOAD_RESULT_TIMED_OUT, CERTRELOAD_CATEGORY_NOT_NOW, "not-now"},
        {CERTRELOAD_RESULT_NO_EVENT, CERTRELOAD_CATEGORY_NOT_NOW, "not-now"},
        {CERTRELOAD_RESULT_NULL_PARAMETER, CERTRELOAD_CATEGORY_CALL, "call"},
        {CERTRELOAD_RESULT_FORKED, CERTRELOAD_CATEGORY_CALL, "call"},
        {CERTRELOAD_RESULT_SYSTEM, CERTRELOAD_CATEGORY_SYSTEM, "system"},
        {CERTRELOAD_RESULT_FILE_NOT_FOUND, CERTRELOAD_CATEGORY_FILE, "file"},
        {CERTRELOAD_RESULT_PEM_TRUNCATED, CERTRELOAD_CATEGORY_CONTENT, "content"},
        {CERTRELOAD_RESULT_KEY_MISMATCH, CERTRELOAD_CATEGORY_VALIDATION, "validation"},
        {(certreload_result)9999, CERTRELOAD_CATEGORY_UNKNOWN, "unknown"},
    };
    test_begin(__func__);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        CHECK_INT(certreload_result_category(expected[i].result), expected[i].category);
        CHECK_STR(certreload_category_str(expected[i].category), expected[i].word);
    }
    CHECK_STR(certreload_category_str((certreload_category)99), "unknown");
}

/* A result that a program takes for a failure has a message, and one that it does not has none. */
static void errors_have_a_message(void) {
    test_begin(__func__);
    certreload_handle *handle = NULL;
    CHECK_STR(certreload_last_error(), "");
    certreload_result result = certreload_open_files("/nowhere", "/nowhere", &handle);
    CHECK(certreload_result_is_error(result));
    CHECK_INT(certreload_result_category(result), CERTRELOAD_CATEGORY_FILE);
    CHECK_CONTAINS(certreload_last_error(), "/nowhere");
}

static void version_number_is_that_of_the_header(void) {
    test_begin(__func__);
    CHECK_INT(CERTRELOAD_VERSION_NUMBER, CERTRELOAD_VERSION_MAJOR * 1000000 +
                                             CERTRELOAD_VERSION_MINOR * 1000 +
                                             CERTRELOAD_VERSION_PATCH);
    CHECK_INT(certreload_version_number(), CERTRELOAD_VERSION_NUMBER);
}

int main(void) {
    errors_have_a_message();
    outcomes_without_a_failure_are_no_errors();
    names_are_those_of_the_constants();
    categories_say_what_to_do();
    version_number_is_that_of_the_header();
    return 0;
}
