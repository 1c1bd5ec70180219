/* A plugin that serves TLS: it is linked with the library, and its host is not. */

#include <certreload.h>
#include <rustls.h>
#include <stdatomic.h>
#include <stddef.h>

int plugin_serve(const char *chain, const char *key);

static atomic_int events;

/* Code that is gone with the plugin: after closing, nobody calls it. */
static void count(void *userdata, const certreload_event *event) {
    (void)userdata;
    (void)event;
    atomic_fetch_add(&events, 1);
}

int plugin_serve(const char *chain, const char *key) {
    certreload_options *options = certreload_options_new();
    certreload_options_add_identity(options, chain, key, NULL);
    certreload_options_set_event_callback(options, count, NULL, NULL);
    certreload_handle *handle = NULL;
    certreload_result result = certreload_open(options, &handle);
    certreload_options_free(options);
    if (result != CERTRELOAD_RESULT_OK)
        return 1;
    rustls_connection *connection = NULL;
    result = certreload_server_connection_new(handle, &connection);
    rustls_connection_free(connection);
    if (certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER) != CERTRELOAD_RESULT_UNCHANGED)
        return 2;
    certreload_close(handle);
    return result == CERTRELOAD_RESULT_OK ? 0 : 3;
}
