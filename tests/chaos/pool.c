/* Certificates for the chaos, made once: what may be served is one of them. */

#define _GNU_SOURCE
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

pair good[NAMES][VERSIONS], expired[NAMES];

const char *pool_name(unsigned name) {
    static const char *const names[NAMES] = {"a.test", "b.test", "c.test",
                                             "d.test", "e.test", "f.test"};
    return names[name];
}

static char *read_all(const char *path, size_t *size) {
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    char *bytes = malloc(65536);
    CHECK(bytes != NULL);
    *size = fread(bytes, 1, 65536, file);
    CHECK(*size > 0 && *size < 65536 && fclose(file) == 0);
    return bytes;
}

static void make(pair *new, unsigned name, int from, int until) {
    const char *chain = scratch("pool.chain"), *key = scratch("pool.key");
    make_pair_valid(chain, key, pool_name(name), from, until);
    new->chain = read_all(chain, &new->chain_size);
    new->key = read_all(key, &new->key_size);
    snprintf(new->sha256, sizeof new->sha256, "%s", fingerprint_of(chain));
    shell("openssl x509 -in '%s' -outform DER -out pool.der", chain);
    new->der = (uint8_t *)read_all(scratch("pool.der"), &new->der_size);
}

void pool_make(void) {
    for (unsigned name = 0; name < NAMES; name++) {
        for (unsigned version = 0; version < VERSIONS; version++)
            make(&good[name][version], name, 0, 80 + (int)version);
        make(&expired[name], name, -20, -10);
    }
}

static void unmake(pair *old) {
    free(old->chain);
    free(old->key);
    free(old->der);
}

void pool_free(void) {
    for (unsigned name = 0; name < NAMES; name++) {
        for (unsigned version = 0; version < VERSIONS; version++)
            unmake(&good[name][version]);
        unmake(&expired[name]);
    }
}

bool pool_has(unsigned name, const char *sha256) {
    for (unsigned version = 0; version < VERSIONS; version++)
        if (strcmp(good[name][version].sha256, sha256) == 0)
            return true;
    return false;
}

bool pool_has_der(unsigned name, const uint8_t *der, size_t size) {
    for (unsigned version = 0; version < VERSIONS; version++) {
        const pair *known = &good[name][version];
        if (known->der_size == size && memcmp(known->der, der, size) == 0)
            return true;
    }
    return false;
}

certreload_identity_bytes pool_bytes(const pair *chain, const pair *key) {
    certreload_identity_bytes bytes = {.chain_pem = chain->chain,
                                       .chain_pem_size = chain->chain_size,
                                       .key_pem = key->key,
                                       .key_pem_size = key->key_size};
    return bytes;
}
