/*
 * NULL for every pointer parameter of every function, one at a time with the others valid: a code
 * that says so and a message that names the parameter, nothing written, no crash (G12). Where NULL
 * has a meaning, it has that meaning.
 *
 * check_symbols.sh sees to it that no function is left out here.
 */

#include "support.h"
#include "tls.h"

#include <string.h>

static const char *chain, *key;
static certreload_options *options, *spoiled;
static certreload_handle *handle;

/* The call is refused, and this thread's last error names the parameter. */
#define CHECK_REFUSED(call, parameter)                                                             \
    do {                                                                                           \
        forget_last_error();                                                                       \
        CHECK_RESULT(call, NULL_PARAMETER);                                                        \
        CHECK_CONTAINS(certreload_last_error(), parameter " is NULL");                             \
    } while (0)

/* The same where the return value is no code: it is NULL or 0. */
#define CHECK_NOTHING(call, parameter)                                                             \
    do {                                                                                           \
        forget_last_error();                                                                       \
        CHECK(!(call));                                                                            \
        CHECK_CONTAINS(certreload_last_error(), parameter " is NULL");                             \
    } while (0)

/* Leaves another failure as the last one, so that a stale message is not taken for a new one. */
static void forget_last_error(void) {
    CHECK_RESULT(certreload_options_set_poll_interval_ms(spoiled, 0), INVALID_PARAMETER);
}

static void options_refuse_null(void) {
    test_begin(__func__);
    const char *const protocols[] = {"h2", NULL};
    const rustls_server_config *config = certreload_acquire_server_config(handle);

    CHECK_REFUSED(certreload_options_add_identity(NULL, chain, key, NULL), "options");
    CHECK_REFUSED(certreload_options_add_identity(options, NULL, key, NULL), "chain_path");
    CHECK_REFUSED(certreload_options_add_identity(options, chain, NULL, NULL), "key_path");
    CHECK_REFUSED(certreload_options_set_alpn(NULL, protocols, 1), "options");
    CHECK_REFUSED(certreload_options_set_alpn(options, NULL, 1), "protocols");
    CHECK_REFUSED(certreload_options_set_alpn(options, protocols, 2), "protocols[1]");
    CHECK_REFUSED(certreload_options_set_server_template(NULL, config), "options");
    CHECK_REFUSED(certreload_options_set_server_template(options, NULL), "config");
    CHECK_REFUSED(certreload_options_require_name(NULL, "a.test"), "options");
    CHECK_REFUSED(certreload_options_require_name(options, NULL), "name");
    CHECK_REFUSED(certreload_options_set_key_password_callback(NULL, NULL, NULL, NULL), "options");
    CHECK_REFUSED(certreload_options_set_key_password_file(NULL, key), "options");
    CHECK_REFUSED(certreload_options_set_watch(NULL, CERTRELOAD_WATCH_AUTO), "options");
    CHECK_REFUSED(certreload_options_set_poll_interval_ms(NULL, 1000), "options");
    CHECK_REFUSED(certreload_options_set_debounce_ms(NULL, 1), "options");
    CHECK_REFUSED(certreload_options_set_incomplete_timeout_ms(NULL, 2), "options");
    CHECK_REFUSED(certreload_options_set_expiry_warning_seconds(NULL, 1), "options");
    CHECK_REFUSED(certreload_options_set_name(NULL, "name"), "options");
    CHECK_OK(certreload_options_set_name(options, NULL));
    CHECK_REFUSED(certreload_options_set_event_callback(NULL, recorder_callback, NULL, NULL),
                  "options");
    CHECK_REFUSED(certreload_options_set_runtime(NULL, CERTRELOAD_RUNTIME_HOST), "options");
    CHECK_REFUSED(certreload_options_set_start(NULL, CERTRELOAD_START_STRICT), "options");
    CHECK_REFUSED(certreload_options_set_tls(NULL, CERTRELOAD_TLS_NONE), "options");
    CHECK_REFUSED(certreload_options_set_export_keys(NULL, true), "options");
    CHECK_REFUSED(certreload_options_set_reader_thread(NULL, true), "options");
    CHECK_REFUSED(certreload_options_set_authority_names(NULL, true), "options");
    certreload_identity_bytes bytes = {"pem", 3, "pem", 3, NULL, 0};
    CHECK_REFUSED(certreload_options_add_identity_memory(NULL, &bytes, sizeof bytes), "options");
    CHECK_REFUSED(
        certreload_options_add_identity_memory(options, NULL, sizeof(certreload_identity_bytes)),
        "bytes");
    bytes.key_pem = NULL;
    CHECK_REFUSED(certreload_options_add_identity_memory(options, &bytes, sizeof bytes),
                  "bytes->key_pem");
    bytes.chain_pem = NULL;
    CHECK_REFUSED(certreload_options_add_identity_memory(options, &bytes, sizeof bytes),
                  "bytes->chain_pem");
    CHECK_RESULT(certreload_options_add_identity_memory(options, &bytes, sizeof bytes - 1),
                 INVALID_PARAMETER);

    const rustls_client_config *client = certreload_acquire_client_config(handle);
    CHECK_REFUSED(certreload_options_set_client_auth(NULL, 0, NULL), "options");
    CHECK_REFUSED(certreload_options_set_client_auth(options, 1, NULL), "roots_path");
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_NONE, NULL));
    CHECK_REFUSED(certreload_options_set_server_roots(NULL, chain), "options");
    CHECK_REFUSED(certreload_options_set_server_roots(options, NULL), "roots_path");
    CHECK_REFUSED(certreload_options_set_platform_roots(NULL), "options");
    CHECK_REFUSED(certreload_options_add_crl(NULL, chain), "options");
    CHECK_REFUSED(certreload_options_add_crl(options, NULL), "crl_path");
    CHECK_REFUSED(certreload_options_set_crl_rules(NULL, 0), "options");
    CHECK_REFUSED(certreload_options_add_client_identity(NULL, chain, key), "options");
    CHECK_REFUSED(certreload_options_add_client_identity(options, NULL, key), "chain_path");
    CHECK_REFUSED(certreload_options_add_client_identity(options, chain, NULL), "key_path");
    CHECK_REFUSED(certreload_options_set_client_template(NULL, client), "options");
    CHECK_REFUSED(certreload_options_set_client_template(options, NULL), "config");
    CHECK_REFUSED(certreload_options_set_resumption(NULL, 0), "options");
    CHECK_REFUSED(certreload_options_set_ticket_keys(NULL, key), "options");
    CHECK_REFUSED(certreload_options_set_ticket_keys(options, NULL), "path");
    CHECK_REFUSED(certreload_options_set_ticket_key_lifetime_seconds(NULL, 1), "options");
    CHECK_REFUSED(certreload_options_set_session_context(NULL, "context", 7), "options");
    CHECK_REFUSED(certreload_options_set_session_context(options, NULL, 1), "context");
    rustls_client_config_free(client);

    CHECK_REFUSED(certreload_options_error(NULL), "options");
    CHECK_REFUSED(certreload_options_clear_error(NULL), "options");

    /* None of the refused calls added an identity. */
    CHECK_RESULT(certreload_options_error(options), NULL_PARAMETER);
    while (certreload_options_clear_error(options) != CERTRELOAD_RESULT_OK)
        ;
    CHECK_RESULT(certreload_check(options), NOTHING_TO_LOAD);
    CHECK_OK(certreload_options_set_alpn(options, NULL, 0));
    CHECK_OK(certreload_options_set_event_callback(options, NULL, NULL, NULL));
    CHECK_OK(certreload_options_set_key_password_callback(options, NULL, NULL, NULL));
    CHECK_OK(certreload_options_set_key_password_file(options, NULL));
    rustls_server_config_free(config);
}

static void handles_refuse_null(void) {
    test_begin(__func__);
    /* A value that no call can have made: it shows whether an out-parameter was touched. */
    certreload_handle *const untouched = (certreload_handle *)&chain;
    certreload_handle *opened = untouched;
    certreload_options *good = unwatched_options(chain, key, 100);

    CHECK_REFUSED(certreload_open(NULL, &opened), "options");
    CHECK_REFUSED(certreload_open(good, NULL), "handle_out");
    CHECK_REFUSED(certreload_open_files(NULL, key, &opened), "chain_path");
    CHECK_REFUSED(certreload_open_files(chain, NULL, &opened), "key_path");
    CHECK_REFUSED(certreload_open_files(chain, key, NULL), "handle_out");
    CHECK_RESULT(certreload_open_files(chain, scratch("missing"), &opened), FILE_NOT_FOUND);
    CHECK_RESULT(certreload_open(options, &opened), NOTHING_TO_LOAD);
    CHECK(opened == untouched);
    CHECK_REFUSED(certreload_check(NULL), "options");
    certreload_options_free(good);

    /* A signal handler may not touch the last error, so here there is the code alone. */
    CHECK_RESULT(certreload_reload(NULL), NULL_PARAMETER);
    CHECK_REFUSED(certreload_reload_wait(NULL, 0), "handle");
    CHECK_REFUSED(certreload_set_event_callback(NULL, recorder_callback, NULL, NULL), "handle");
    CHECK_OK(certreload_set_event_callback(handle, NULL, NULL, NULL));

    const certreload_event *const no_event = (const certreload_event *)&chain, *event = no_event;
    CHECK_REFUSED(certreload_next_event(NULL, &event), "handle");
    CHECK_REFUSED(certreload_next_event(handle, NULL), "event_out");
    CHECK(event == no_event);
    forget_last_error();
    CHECK_INT(certreload_event_fd(NULL), -1);
    CHECK_CONTAINS(certreload_last_error(), "handle is NULL");
    CHECK_REFUSED(certreload_dispatch(NULL), "handle");
    CHECK_RESULT(certreload_dispatch(handle), INVALID_PARAMETER);
    CHECK_REFUSED(certreload_after_fork(NULL), "handle");
    CHECK_OK(certreload_after_fork(handle));

    certreload_identity_bytes bytes = {"pem", 3, "pem", 3, NULL, 0};
    CHECK_REFUSED(certreload_push_identity(NULL, 0, &bytes, sizeof bytes), "handle");
    CHECK_REFUSED(certreload_push_identity(handle, 0, NULL, sizeof(certreload_identity_bytes)),
                  "bytes");
    CHECK_RESULT(certreload_push_identity(handle, 1, &bytes, sizeof bytes), INVALID_PARAMETER);
    CHECK_RESULT(certreload_push_identity(handle, 0, &bytes, sizeof bytes), NO_CERTIFICATE);
    CHECK_CONTAINS(certreload_last_error(), "memory:0/chain: ");
    size_t index = 77;
    CHECK_REFUSED(certreload_find_identity(NULL, "one.test", &index), "handle");
    CHECK_REFUSED(certreload_find_identity(handle, NULL, &index), "server_name");
    CHECK_REFUSED(certreload_find_identity(handle, "one.test", NULL), "index_out");
    CHECK_RESULT(certreload_find_identity(handle, "two.test", &index), INVALID_PARAMETER);
    CHECK_INT(index, 77);

    certreload_status status, before;
    memset(&before, 0xA5, sizeof before);
    memcpy(&status, &before, sizeof status);
    CHECK_REFUSED(certreload_get_status(NULL, &status, sizeof status), "handle");
    CHECK_REFUSED(certreload_get_status(handle, NULL, sizeof status), "status_out");
    CHECK_RESULT(certreload_get_status(handle, &status, 15), INVALID_PARAMETER);
    CHECK(memcmp(&status, &before, sizeof status) == 0);

    certreload_identity_status one, one_before;
    memset(&one_before, 0xA5, sizeof one_before);
    memcpy(&one, &one_before, sizeof one);
    CHECK_REFUSED(certreload_get_identity_status(NULL, 0, &one, sizeof one), "handle");
    CHECK_REFUSED(certreload_get_identity_status(handle, 0, NULL, sizeof one), "status_out");
    CHECK_RESULT(certreload_get_identity_status(handle, 0, &one, 15), INVALID_PARAMETER);
    CHECK_RESULT(certreload_get_identity_status(handle, 1, &one, sizeof one), INVALID_PARAMETER);
    CHECK_CONTAINS(certreload_last_error(),
                   "index 1 is out of range: the number of identities is 1");
    CHECK(memcmp(&one, &one_before, sizeof one) == 0);

    certreload_trust_status trust, trust_before;
    memset(&trust_before, 0xA5, sizeof trust_before);
    memcpy(&trust, &trust_before, sizeof trust);
    CHECK_REFUSED(certreload_get_trust_status(NULL, &trust, sizeof trust), "handle");
    CHECK_REFUSED(certreload_get_trust_status(handle, NULL, sizeof trust), "status_out");
    CHECK_RESULT(certreload_get_trust_status(handle, &trust, 15), INVALID_PARAMETER);
    CHECK(memcmp(&trust, &trust_before, sizeof trust) == 0);

    CHECK_REFUSED(certreload_invalidate_sessions(NULL), "handle");
}

static void metrics_refuse_null(void) {
    test_begin(__func__);
    char buffer[16] = "untouched";
    size_t needed = 77;
    CHECK_REFUSED(certreload_write_metrics(NULL, buffer, sizeof buffer, &needed), "handle");
    CHECK_REFUSED(certreload_write_metrics(handle, NULL, 1, &needed), "buffer");
    CHECK_REFUSED(certreload_write_metrics(handle, buffer, sizeof buffer, NULL), "needed_out");

    certreload_handle *const handles[] = {handle, NULL};
    CHECK_REFUSED(certreload_write_metrics_page(NULL, 1, buffer, sizeof buffer, &needed),
                  "handles");
    CHECK_REFUSED(certreload_write_metrics_page(handles, 2, buffer, sizeof buffer, &needed),
                  "handles[1]");
    CHECK_REFUSED(certreload_write_metrics_page(handles, 1, NULL, 1, &needed), "buffer");
    CHECK_REFUSED(certreload_write_metrics_page(handles, 1, buffer, sizeof buffer, NULL),
                  "needed_out");
    CHECK_INT(needed, 77);
    CHECK_STR(buffer, "untouched");
    CHECK_RESULT(certreload_write_metrics_page(NULL, 0, NULL, 0, &needed), BUFFER_TOO_SMALL);
    CHECK(needed > 1);
}

static void ignore_line(void *userdata, certreload_log_level level, const char *message) {
    (void)userdata, (void)level, (void)message;
}

static void a_log_callback_may_be_null(void) {
    test_begin(__func__);
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, 0));
    CHECK_OK(certreload_set_log_callback(ignore_line, NULL, NULL, CERTRELOAD_LOG_LEVEL_ERROR));
    CHECK_RESULT(certreload_set_log_callback(ignore_line, NULL, NULL, 6), INVALID_PARAMETER);
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, 6));
}

static void the_hot_path_refuses_null(void) {
    test_begin(__func__);
    rustls_connection *const untouched = (rustls_connection *)&chain;
    rustls_connection *connection = untouched;
    CHECK_REFUSED(certreload_server_connection_new(NULL, &connection), "handle");
    CHECK_REFUSED(certreload_server_connection_new(handle, NULL), "connection_out");
    CHECK(connection == untouched);
    CHECK_NOTHING(certreload_acquire_server_config(NULL), "handle");
    CHECK_REFUSED(certreload_client_connection_new(NULL, "one.test", &connection), "handle");
    CHECK_REFUSED(certreload_client_connection_new(handle, NULL, &connection), "server_name");
    CHECK_REFUSED(certreload_client_connection_new(handle, "one.test", NULL), "connection_out");
    CHECK(connection == untouched);
    CHECK_NOTHING(certreload_acquire_client_config(NULL), "handle");
}

static void generations_refuse_null(void) {
    test_begin(__func__);
    CHECK_NOTHING(certreload_generation_acquire(NULL), "handle");
    CHECK_NOTHING(certreload_generation_number(NULL), "generation");
    CHECK_NOTHING(certreload_generation_borrow_server_config(NULL), "generation");
    CHECK_NOTHING(certreload_generation_borrow_client_config(NULL), "generation");
    CHECK_NOTHING(certreload_generation_identity_count(NULL), "generation");
    CHECK_NOTHING(certreload_generation_identity(NULL, 0), "generation");
    CHECK_NOTHING(certreload_generation_select(NULL, "one.test"), "generation");

    const certreload_identity *found[1];
    bool is_served = true;
    uint8_t scope[CERTRELOAD_SESSION_SCOPE_SIZE];
    int64_t until = 0;
    CHECK(certreload_generation_refuses(NULL));
    CHECK_NOTHING(certreload_generation_select_all(NULL, "one.test", found, 1, &is_served),
                  "generation");
    CHECK_NOTHING(certreload_generation_client_identity(NULL), "generation");
    CHECK_NOTHING(certreload_generation_trust_store(NULL), "generation");
    CHECK_REFUSED(certreload_generation_session_scope(NULL, scope, &until), "generation");

    const certreload_generation *generation = certreload_generation_acquire(handle);
    CHECK(certreload_generation_select(generation, NULL) != NULL);
    CHECK_NOTHING(certreload_generation_select_all(generation, "one.test", NULL, 1, &is_served),
                  "identities_out");
    CHECK(!is_served);
    CHECK_NOTHING(certreload_generation_select_all(generation, "one.test", found, 1, NULL),
                  "is_served_out");
    CHECK_INT(certreload_generation_select_all(generation, NULL, NULL, 0, &is_served), 0);
    CHECK_REFUSED(certreload_generation_session_scope(generation, NULL, &until), "scope_out");
    CHECK_REFUSED(certreload_generation_session_scope(generation, scope, NULL), "resume_until_out");
    certreload_generation_release(generation);
}

static certreload_prepare prepare_nothing(void *userdata, const certreload_identity *candidate,
                                          const uint8_t *key_der, size_t key_der_size,
                                          void **prepared_out, char *why, size_t why_size) {
    (void)userdata, (void)candidate, (void)key_der, (void)key_der_size;
    (void)prepared_out, (void)why, (void)why_size;
    return CERTRELOAD_PREPARE_OK;
}

static void adapters_and_views_refuse_null(void) {
    test_begin(__func__);
    certreload_adapter adapter = {.name = "none", .prepare_identity = prepare_nothing};
    uint32_t slot = 77;
    CHECK_REFUSED(certreload_add_adapter(NULL, &adapter, sizeof adapter, &slot), "handle");
    CHECK_REFUSED(certreload_add_adapter(handle, NULL, sizeof adapter, &slot), "adapter");
    CHECK_REFUSED(certreload_add_adapter(handle, &adapter, sizeof adapter, NULL), "slot_out");
    adapter.name = NULL;
    CHECK_REFUSED(certreload_add_adapter(handle, &adapter, sizeof adapter, &slot), "adapter->name");
    adapter = (certreload_adapter){.name = "none"};
    CHECK_REFUSED(certreload_add_adapter(handle, &adapter, sizeof adapter, &slot),
                  "adapter->prepare_identity");
    CHECK_INT(slot, 77);
    CHECK_NOTHING(certreload_identity_prepared(NULL, 0), "identity");
    CHECK_NOTHING(certreload_trust_store_prepared(NULL, 0), "store");

    CHECK_NOTHING(certreload_view_new(NULL), "handle");
    CHECK_NOTHING(certreload_view_acquire(NULL), "view");
    CHECK_NOTHING(certreload_view_is_same(NULL, NULL), "view");
    certreload_view_free(NULL);
}

static void trust_stores_refuse_null(void) {
    test_begin(__func__);
    size_t length = 1;
    CHECK_NOTHING(certreload_trust_store_client_auth(NULL), "store");
    CHECK_NOTHING(certreload_trust_store_root_count(NULL, CERTRELOAD_PEERS_CLIENTS), "store");
    CHECK_NOTHING(certreload_trust_store_root_der(NULL, CERTRELOAD_PEERS_CLIENTS, 0, &length),
                  "store");
    CHECK_INT(length, 0);
    CHECK_NOTHING(certreload_trust_store_crl_count(NULL), "store");
    length = 1;
    CHECK_NOTHING(certreload_trust_store_crl_der(NULL, 0, &length), "store");
    CHECK_INT(length, 0);
    CHECK_NOTHING(certreload_trust_store_crl_rules(NULL), "store");
    CHECK_NOTHING(certreload_trust_store_sends_authority_names(NULL), "store");

    const certreload_generation *generation = certreload_generation_acquire(handle);
    const certreload_trust_store *store = certreload_generation_trust_store(generation);
    CHECK(store != NULL);
    CHECK_NOTHING(certreload_trust_store_root_der(store, CERTRELOAD_PEERS_SERVERS, 0, NULL),
                  "len_out");
    CHECK_NOTHING(certreload_trust_store_crl_der(store, 0, NULL), "len_out");
    certreload_generation_release(generation);
}

static void identities_refuse_null(void) {
    test_begin(__func__);
    CHECK_NOTHING(certreload_identity_name_count(NULL), "identity");
    CHECK_NOTHING(certreload_identity_name(NULL, 0), "identity");
    CHECK_NOTHING(certreload_identity_not_before(NULL), "identity");
    CHECK_NOTHING(certreload_identity_not_after(NULL), "identity");
    CHECK_NOTHING(certreload_identity_expiring_from(NULL), "identity");
    CHECK_NOTHING(certreload_identity_serial(NULL), "identity");
    CHECK_NOTHING(certreload_identity_sha256(NULL), "identity");
    CHECK_NOTHING(certreload_identity_certificate_count(NULL), "identity");

    /* The length is 0 wherever the bytes are NULL, so that nobody reads on. */
    size_t length = 1;
    CHECK_NOTHING(certreload_identity_certificate_der(NULL, 0, &length), "identity");
    CHECK_INT(length, 0);
    CHECK_NOTHING(certreload_identity_index(NULL), "identity");
    CHECK_NOTHING(certreload_identity_chain_path(NULL), "identity");
    CHECK_NOTHING(certreload_identity_key_path(NULL), "identity");
    length = 1;
    CHECK_NOTHING(certreload_identity_key_der(NULL, &length), "identity");
    CHECK_INT(length, 0);
    length = 1;
    CHECK_NOTHING(certreload_identity_ocsp_der(NULL, &length), "identity");
    CHECK_INT(length, 0);

    const certreload_generation *generation = certreload_generation_acquire(handle);
    const certreload_identity *identity = certreload_generation_identity(generation, 0);
    CHECK_NOTHING(certreload_identity_certificate_der(identity, 0, NULL), "len_out");
    CHECK_NOTHING(certreload_identity_ocsp_der(identity, NULL), "len_out");
    CHECK_NOTHING(certreload_identity_key_der(identity, NULL), "len_out");
    certreload_generation_release(generation);
}

static void null_may_be_freed_closed_and_released(void) {
    test_begin(__func__);
    for (int twice = 0; twice < 2; twice++) {
        certreload_options_free(NULL);
        certreload_close(NULL);
        certreload_generation_release(NULL);
    }
}

static void before_any_failure_the_last_error_is_empty(void) {
    test_begin(__func__);
    CHECK_STR(certreload_last_error(), "");
    CHECK(certreload_version() != NULL);
    CHECK(certreload_version_number() != 0);
    CHECK(certreload_result_str(UINT32_MAX) != NULL);
    CHECK(certreload_result_name(UINT32_MAX) != NULL);
    CHECK_INT(certreload_result_category(UINT32_MAX), CERTRELOAD_CATEGORY_UNKNOWN);
    CHECK(certreload_result_is_error(UINT32_MAX));
    CHECK(certreload_category_str(UINT32_MAX) != NULL);
    CHECK(certreload_event_kind_str(UINT32_MAX) != NULL);
    CHECK(certreload_trigger_str(UINT32_MAX) != NULL);
    CHECK(certreload_warning_str(UINT32_MAX) != NULL);
    CHECK(certreload_health_str(UINT32_MAX) != NULL);
    CHECK(certreload_watch_state_str(UINT32_MAX) != NULL);
    CHECK(certreload_log_level_str(UINT32_MAX) != NULL);
}

int main(void) {
    before_any_failure_the_last_error_is_empty();

    chain = scratch("one.chain");
    key = scratch("one.key");
    make_pair(chain, key, "one.test");
    options = certreload_options_new(), spoiled = certreload_options_new();
    CHECK(options != NULL && spoiled != NULL);
    certreload_options *both_roles = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(both_roles, chain, key, NULL));
    CHECK_OK(certreload_options_set_server_roots(both_roles, chain));
    CHECK_OK(certreload_open(both_roles, &handle));
    certreload_options_free(both_roles);

    options_refuse_null();
    handles_refuse_null();
    metrics_refuse_null();
    a_log_callback_may_be_null();
    the_hot_path_refuses_null();
    generations_refuse_null();
    identities_refuse_null();
    adapters_and_views_refuse_null();
    trust_stores_refuse_null();
    null_may_be_freed_closed_and_released();

    certreload_close(handle);
    certreload_options_free(options);
    certreload_options_free(spoiled);
    return 0;
}
