#include "level.h"

#include <pthread.h>
#include <string.h>

#include "failure.h"

enum { HIGHEST_LEVEL = 5, MAX_NAME = 64 };

/* Static, so that the userdata of an adapter outlives every handle, and is equal for all SSL_CTX of
 * one. */
static struct cro_level levels[HIGHEST_LEVEL + 1] = {{0, NULL, NULL}, {1, NULL, NULL},
                                                     {2, NULL, NULL}, {3, NULL, NULL},
                                                     {4, NULL, NULL}, {5, NULL, NULL}};
static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool is_making_own_context;

bool cro_is_making_own_context(void) {
    return is_making_own_context;
}

SSL_CTX *cro_own_context(const SSL_METHOD *method) {
    is_making_own_context = true;
    SSL_CTX *ctx = cro_libssl.SSL_CTX_new(method);
    is_making_own_context = false;
    return ctx;
}

static SSL_CTX *check_context(const SSL_METHOD *method, int level) {
    SSL_CTX *ctx = cro_own_context(method);
    if (ctx != NULL) {
        cro_libssl.SSL_CTX_set_security_level(ctx, level);
        cro_libssl.SSL_CTX_ctrl(ctx, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL);
    }
    return ctx;
}

/* Takes every kind of certificate: the question is whether the server side works. */
static SSL_CTX *own_client(void) {
    static char groups[] = "X25519:P-256:P-384:P-521:brainpoolP256r1:brainpoolP384r1:"
                           "brainpoolP512r1:secp256k1";
    SSL_CTX *ctx = check_context(cro_libssl.TLS_client_method(), 0);
    if (ctx != NULL) {
        cro_libssl.SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
        /* Each may fail in a build without these; then the defaults serve. */
        cro_libssl.SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
        cro_libssl.SSL_CTX_ctrl(ctx, SSL_CTRL_SET_GROUPS_LIST, 0, groups);
    }
    return ctx;
}

bool cro_level_start(struct cro_level *level) {
    pthread_mutex_lock(&start_lock);
    if (level->client == NULL) {
        level->client = own_client();
    }
    if (level->server == NULL) {
        level->server = check_context(cro_libssl.TLS_server_method(), level->level);
    }
    const bool is_complete = level->client != NULL && level->server != NULL;
    pthread_mutex_unlock(&start_lock);
    return is_complete;
}

/* "OpenSSL 3.0.17", without the date behind it. */
static void library_name(char *name, size_t size) {
    const char *full = cro_libssl.OpenSSL_version(OPENSSL_VERSION);
    const char *space = strchr(full, ' ');
    size_t length = space == NULL ? strlen(full) : (size_t)(space - full) + 1;

    length += space == NULL ? 0 : strcspn(space + 1, " ");
    length = length < size ? length : size - 1;
    memcpy(name, full, length);
    name[length] = '\0';
}

certreload_result cro_add_adapter(certreload_handle *handle, int security_level,
                                  uint32_t *slot_out) {
    char name[MAX_NAME];
    const int level = security_level < 0               ? 0
                      : security_level > HIGHEST_LEVEL ? HIGHEST_LEVEL
                                                       : security_level;
    library_name(name, sizeof name);
    const certreload_adapter adapter = {.name = name,
                                        .prepare_identity = cro_prepare_identity,
                                        .prepare_trust = cro_prepare_trust,
                                        .drop_identity = cro_drop_identity,
                                        .drop_trust = cro_drop_trust,
                                        .userdata = &levels[level]};
    const certreload_result result =
        certreload_add_adapter(handle, &adapter, sizeof adapter, slot_out);
    return result == CERTRELOAD_RESULT_OK ? result : cro_fail_as_core(result);
}
