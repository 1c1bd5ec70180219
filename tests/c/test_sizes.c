/*
 * Counts and sizes that no memory can have, for every parameter and field that is one: a code and a
 * message that names it, nothing read, nothing written, no crash (G12). Such numbers come from a
 * read that returned -1, or from a multiplication that overflowed.
 */

#include "support.h"

#include <stdint.h>
#include <string.h>

static const char *chain, *key;
static certreload_options *options;
static certreload_handle *handle;

static const size_t absurd[] = {
    SIZE_MAX,
    SIZE_MAX - 1,
    SIZE_MAX / 2 + 1,
    SIZE_MAX / sizeof(void *) + 1,
    SIZE_MAX / sizeof(void *),
    PTRDIFF_MAX / sizeof(void *) + 1,
    (size_t)1 << 62,
};
enum { ABSURD = sizeof absurd / sizeof absurd[0] };

/* The call is refused, and this thread's last error names the parameter. */
#define CHECK_REFUSED(call, code, parameter)                                                       \
    do {                                                                                           \
        CHECK_RESULT(certreload_options_set_poll_interval_ms(options, 0), INVALID_PARAMETER);      \
        CHECK_RESULT(call, code);                                                                  \
        CHECK_CONTAINS(certreload_last_error(), parameter);                                        \
    } while (0)

static void metrics_refuse(void) {
    test_begin(__func__);
    char buffer[8] = "before";
    size_t needed = 1;
    for (size_t i = 0; i < ABSURD; i++) {
        const size_t count = absurd[i];
        /* An array that is read, or room for it that is allocated, would end the process. */
        certreload_handle *none[1] = {(certreload_handle *)(uintptr_t)8};
        CHECK_REFUSED(certreload_write_metrics_page(none, count, buffer, sizeof buffer, &needed),
                      INVALID_PARAMETER, "count is ");
        CHECK_REFUSED(certreload_write_metrics_page(NULL, count, buffer, sizeof buffer, &needed),
                      INVALID_PARAMETER, "count is ");
        if (count <= PTRDIFF_MAX)
            continue;
        CHECK_REFUSED(certreload_write_metrics(handle, buffer, count, &needed), INVALID_PARAMETER,
                      "size is ");
        CHECK_REFUSED(certreload_write_metrics_page(&handle, 1, buffer, count, &needed),
                      INVALID_PARAMETER, "size is ");
    }
    certreload_handle *none[1] = {NULL};
    CHECK_REFUSED(certreload_write_metrics_page(none, CERTRELOAD_MAX_PAGE_HANDLES + 1, buffer,
                                                sizeof buffer, &needed),
                  INVALID_PARAMETER, "count is 100001");
    CHECK_REFUSED(certreload_write_metrics(handle, buffer, (size_t)PTRDIFF_MAX + 1, &needed),
                  INVALID_PARAMETER, "size is ");
    CHECK_STR(buffer, "before");
    CHECK_INT(needed, 1);
}

static void alpn_refuses(void) {
    test_begin(__func__);
    certreload_options *own = certreload_options_new();
    static const char *protocols[65];
    for (size_t i = 0; i < ABSURD; i++)
        CHECK_REFUSED(certreload_options_set_alpn(own, protocols, absurd[i]), INVALID_PARAMETER,
                      "count is ");
    CHECK_REFUSED(certreload_options_set_alpn(own, protocols, 65), INVALID_PARAMETER,
                  "count is 65");
    certreload_options_free(own);
}

static void bytes_refuse(void) {
    test_begin(__func__);
    certreload_options *own = certreload_options_new();
    const uint8_t byte = 0;
    for (size_t i = 0; i <= ABSURD; i++) {
        const size_t size = i < ABSURD ? absurd[i] : CERTRELOAD_MAX_FILE_SIZE + 1;
        for (int part = 0; part < 3; part++) {
            certreload_identity_bytes bytes = {.chain_pem = "x",
                                               .chain_pem_size = part == 0 ? size : 1,
                                               .key_pem = "x",
                                               .key_pem_size = part == 1 ? size : 1,
                                               .ocsp_der = &byte,
                                               .ocsp_der_size = part == 2 ? size : 1};
            CHECK_REFUSED(certreload_options_add_identity_memory(own, &bytes, sizeof bytes),
                          FILE_TOO_LARGE, "bytes->");
            CHECK_REFUSED(certreload_push_identity(handle, 0, &bytes, sizeof bytes), FILE_TOO_LARGE,
                          "bytes->");
        }
        certreload_identity_bytes bytes = {.chain_pem = "x", .key_pem = "x"};
        const size_t bytes_size = i < ABSURD ? absurd[i] : 65537;
        CHECK_REFUSED(certreload_options_add_identity_memory(own, &bytes, bytes_size),
                      INVALID_PARAMETER, "bytes_size is ");
        CHECK_REFUSED(certreload_push_identity(handle, 0, &bytes, bytes_size), INVALID_PARAMETER,
                      "bytes_size is ");
    }
    certreload_options_free(own);
}

static void status_sizes_refuse(void) {
    test_begin(__func__);
    certreload_status status;
    certreload_identity_status identity;
    certreload_trust_status trust;
    for (size_t i = 0; i <= ABSURD; i++) {
        const size_t size = i < ABSURD ? absurd[i] : 65537;
        CHECK_REFUSED(certreload_get_status(handle, &status, size), INVALID_PARAMETER,
                      "status_size is ");
        CHECK_REFUSED(certreload_get_identity_status(handle, 0, &identity, size), INVALID_PARAMETER,
                      "status_size is ");
        CHECK_REFUSED(certreload_get_trust_status(handle, &trust, size), INVALID_PARAMETER,
                      "status_size is ");
    }
    /* A program that was compiled with a later header has more room than this library fills. */
    static union {
        certreload_status status;
        char room[65536];
    } later;
    CHECK_OK(certreload_get_status(handle, &later.status, sizeof later));
    CHECK_INT(later.status.size, sizeof(certreload_status));
}

static void indexes_refuse(void) {
    test_begin(__func__);
    const certreload_generation *generation = certreload_generation_acquire(handle);
    const certreload_identity *first = certreload_generation_identity(generation, 0);
    certreload_identity_status identity;
    certreload_identity_bytes bytes = {
        .chain_pem = "x", .chain_pem_size = 1, .key_pem = "x", .key_pem_size = 1};
    size_t length = 1;
    for (size_t i = 0; i <= ABSURD; i++) {
        const size_t index = i < ABSURD ? absurd[i] : 1;
        CHECK(certreload_generation_identity(generation, index) == NULL);
        CHECK(certreload_identity_certificate_der(first, index, &length) == NULL);
        CHECK(certreload_identity_name(first, index) == NULL);
        CHECK_REFUSED(certreload_get_identity_status(handle, index, &identity, sizeof identity),
                      INVALID_PARAMETER, "out of range");
        CHECK_REFUSED(certreload_push_identity(handle, index, &bytes, sizeof bytes),
                      INVALID_PARAMETER, "out of range");
    }
    certreload_generation_release(generation);
}

/* At the largest value nothing overflows: the option refuses it, or the handle works with it. */
static void the_longest_times_are_refused_or_work(void) {
    test_begin(__func__);
    CHECK_RESULT(certreload_options_set_poll_interval_ms(options, UINT32_MAX), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_debounce_ms(options, UINT32_MAX), INVALID_PARAMETER);
    CHECK_RESULT(certreload_options_set_incomplete_timeout_ms(options, UINT32_MAX),
                 INVALID_PARAMETER);
    certreload_options *own = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(own, chain, key, NULL));
    CHECK_OK(certreload_options_set_poll_interval_ms(own, 86400000));
    CHECK_OK(certreload_options_set_expiry_warning_seconds(own, UINT32_MAX));
    certreload_handle *patient = NULL;
    CHECK_OK(certreload_open(own, &patient));
    certreload_options_free(own);
    CHECK_RESULT(certreload_reload_wait(patient, UINT32_MAX), UNCHANGED);
    certreload_close(patient);
}

int main(void) {
    chain = scratch("one.chain");
    key = scratch("one.key");
    make_pair(chain, key, "one.test");
    options = certreload_options_new();
    certreload_options *both_roles = certreload_options_new();
    CHECK(options != NULL && both_roles != NULL);
    CHECK_OK(certreload_options_add_identity(both_roles, chain, key, NULL));
    CHECK_OK(certreload_options_set_server_roots(both_roles, chain));
    CHECK_OK(certreload_open(both_roles, &handle));
    certreload_options_free(both_roles);

    metrics_refuse();
    alpn_refuses();
    bytes_refuse();
    status_sizes_refuse();
    indexes_refuse();
    the_longest_times_are_refused_or_work();

    certreload_close(handle);
    certreload_options_free(options);
    return 0;
}
