/* Attaches every new SSL_CTX, by a function that OpenSSL calls inside SSL_CTX_new(). */

#include <pthread.h>
#include <string.h>

#include "attach.h"
#include "failure.h"
#include "guard.h"
#include "level.h"

static int context_index = -1;
static pthread_once_t start_once = PTHREAD_ONCE_INIT;
static bool is_started;

/* What new SSL_CTX are attached to; guarded by the lock. */
static pthread_mutex_t new_lock = PTHREAD_MUTEX_INITIALIZER;
static struct cro_source *new_source;
static certreload_openssl_filter new_filter;
static void *new_userdata;

static void attach_if_wanted(SSL_CTX *ctx) {
    certreload_openssl_options options;

    memset(&options, 0, sizeof options);
    pthread_mutex_lock(&new_lock);
    if (new_source != NULL && (new_filter == NULL || new_filter(ctx, new_userdata) == 1)) {
        cro_attach_source(ctx, new_source, &options);
    }
    pthread_mutex_unlock(&new_lock);
}

static void on_new_context(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long argl,
                           void *argp) {
    (void)pointer, (void)data, (void)index, (void)argl, (void)argp;
    if (!cro_is_making_own_context()) {
        const struct cro_guard guard = cro_guard_begin();
        attach_if_wanted(parent);
        cro_guard_end(guard);
    }
}

/* Runs when the last reference to an SSL_CTX is released. */
static void on_freed_context(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index,
                             long argl, void *argp) {
    (void)parent, (void)data, (void)index, (void)argl, (void)argp;
    cro_attachment_release(pointer);
}

static void start_all(void) {
    context_index = cro_libssl.CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL,
                                                       on_new_context, NULL, on_freed_context);
    is_started = context_index >= 0 && cro_connections_start() && cro_sessions_start();
}

bool cro_start(void) {
    pthread_once(&start_once, start_all);
    return is_started;
}

struct cro_attachment *cro_attachment_of(const SSL_CTX *ctx) {
    return context_index < 0 || ctx == NULL ? NULL
                                            : cro_libssl.SSL_CTX_get_ex_data(ctx, context_index);
}

bool cro_keep_attachment(SSL_CTX *ctx, struct cro_attachment *attachment) {
    return cro_libssl.SSL_CTX_set_ex_data(ctx, context_index, attachment) == 1;
}

/* The level that an SSL_CTX has when it is new. */
static int default_level(void) {
    SSL_CTX *ctx = cro_own_context(cro_libssl.TLS_server_method());
    const int level = ctx == NULL ? 0 : cro_libssl.SSL_CTX_get_security_level(ctx);
    cro_libssl.SSL_CTX_free(ctx);
    return level;
}

static certreload_result make_source(certreload_handle *handle, struct cro_source **source_out) {
    certreload_result result = CERTRELOAD_RESULT_OK;

    if (!cro_start()) {
        return cro_fail(CERTRELOAD_RESULT_SYSTEM, "OpenSSL could not be started");
    }
    *source_out = cro_source_new(handle, default_level(), &result);
    return result;
}

certreload_result certreload_openssl_attach_new(certreload_handle *handle,
                                                certreload_openssl_filter filter, void *userdata) {
    struct cro_source *source = NULL, *before = NULL;
    const struct cro_guard guard = cro_guard_begin();
    const certreload_result result =
        handle == NULL ? CERTRELOAD_RESULT_OK : make_source(handle, &source);

    cro_guard_end(guard);
    if (result == CERTRELOAD_RESULT_OK) {
        pthread_mutex_lock(&new_lock);
        before = new_source;
        new_source = source;
        new_filter = filter;
        new_userdata = userdata;
        pthread_mutex_unlock(&new_lock);
        cro_source_release(before);
    }
    return result;
}
