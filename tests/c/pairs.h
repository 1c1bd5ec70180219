/* Two pairs for one name, as bytes to open with and to push in turn: renewals that touch no file.
 */

#ifndef CERTRELOAD_TEST_PAIRS_H
#define CERTRELOAD_TEST_PAIRS_H

#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_PASSWORD "swordfish"

/* By turn; plain, and with the key encrypted with PAIRS_PASSWORD. */
static certreload_identity_bytes plain_pairs[2], locked_pairs[2];

static inline const char *pairs_text(const char *path) {
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    static char texts[8][8192];
    static int count;
    CHECK(count < 8);
    char *text = texts[count++];
    CHECK(fread(text, 1, sizeof texts[0] - 1, file) > 0 && feof(file));
    CHECK_INT(fclose(file), 0);
    return text;
}

static inline certreload_identity_bytes pairs_bytes(const char *chain, const char *key) {
    certreload_identity_bytes bytes = {.chain_pem = chain, .key_pem = key};
    bytes.chain_pem_size = strlen(chain);
    bytes.key_pem_size = strlen(key);
    return bytes;
}

/* The files are turn0.chain, turn0.key, turn0.locked (the encrypted key), and so on. */
static inline void pairs_make(void) {
    for (int turn = 0; turn < 2; turn++) {
        const char *chain = scratch("turn%d.chain", turn), *key = scratch("turn%d.key", turn);
        make_pair(chain, key, "one.test");
        shell("openssl pkcs8 -topk8 -in '%s' -passout pass:" PAIRS_PASSWORD
              " -out turn%d.locked && chmod 600 turn%d.locked",
              key, turn, turn);
        const char *text = pairs_text(chain);
        plain_pairs[turn] = pairs_bytes(text, pairs_text(key));
        locked_pairs[turn] = pairs_bytes(text, pairs_text(scratch("turn%d.locked", turn)));
    }
}

/* Options with one identity in memory: the first pair. */
static inline certreload_options *pairs_options(certreload_runtime runtime) {
    certreload_options *options = certreload_options_new();
    CHECK(options != NULL);
    CHECK_OK(
        certreload_options_add_identity_memory(options, &plain_pairs[0], sizeof plain_pairs[0]));
    CHECK_OK(certreload_options_set_runtime(options, runtime));
    return options;
}

/* A handle with it, that tells the callback. */
static inline certreload_handle *pairs_open(certreload_runtime runtime,
                                            certreload_event_callback callback, void *userdata) {
    certreload_options *options = pairs_options(runtime);
    CHECK_OK(certreload_options_set_event_callback(options, callback, userdata, NULL));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    return handle;
}

#endif
