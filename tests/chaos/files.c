/* The files of the chaos, and all kinds of writers that change them. One thread at a time. */

#define _GNU_SOURCE
#include "chaos.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* NAME/live is a symbolic link to NAME/0 or NAME/1. */
static char live[NAMES][512], chains[NAMES][512], keys[NAMES][512];
static unsigned side[NAMES];

const char *files_chain(unsigned name) {
    return chains[name];
}

const char *files_key(unsigned name) {
    return keys[name];
}

static void path_of(char path[512], unsigned name, const char *below) {
    CHECK(snprintf(path, 512, "%.*s%s", (int)(strlen(live[name]) - strlen("live")), live[name],
                   below) < 512);
}

static void write_all(const char *path, const char *bytes, size_t size, mode_t mode) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    CHECK(file >= 0);
    /* In two pieces, sometimes with time between them. */
    size_t half = chance(4) == 0 ? size / 2 : size;
    CHECK(write(file, bytes, half) == (ssize_t)half);
    if (half < size) {
        nap(20000);
        CHECK(write(file, bytes + half, size - half) == (ssize_t)(size - half));
    }
    CHECK(close(file) == 0);
}

static void write_in_place(unsigned name, const pair *chain, const pair *key) {
    write_all(chains[name], chain->chain, chain->chain_size, 0644);
    if (chance(3) == 0)
        nap(30000);
    write_all(keys[name], key->key, key->key_size, 0600);
}

static void rename_over(unsigned name, const pair *chain, const pair *key) {
    char new_chain[512], new_key[512];
    path_of(new_chain, name, "live/.chain.new");
    path_of(new_key, name, "live/.key.new");
    write_all(new_chain, chain->chain, chain->chain_size, 0644);
    write_all(new_key, key->key, key->key_size, 0600);
    CHECK(rename(new_key, keys[name]) == 0);
    if (chance(3) == 0)
        nap(30000);
    CHECK(rename(new_chain, chains[name]) == 0);
}

static void swap_link(unsigned name, const pair *chain, const pair *key) {
    char path[512], link[512];
    unsigned other = 1 - side[name];
    path_of(path, name, other ? "1/chain.pem" : "0/chain.pem");
    write_all(path, chain->chain, chain->chain_size, 0644);
    path_of(path, name, other ? "1/key.pem" : "0/key.pem");
    write_all(path, key->key, key->key_size, 0600);
    path_of(link, name, "live.new");
    CHECK(symlink(other ? "1" : "0", link) == 0);
    CHECK(rename(link, live[name]) == 0);
    side[name] = other;
}

static void delete_and_write(unsigned name, const pair *chain, const pair *key) {
    CHECK(unlink(chains[name]) == 0 && unlink(keys[name]) == 0);
    nap(40000);
    write_in_place(name, chain, key);
}

static void put(unsigned name, const pair *chain, const pair *key) {
    static void (*const writers[])(unsigned, const pair *, const pair *) = {
        write_in_place, rename_over, swap_link, delete_and_write};
    writers[chance(4)](name, chain, key);
}

void files_make(void) {
    for (unsigned name = 0; name < NAMES; name++) {
        snprintf(live[name], sizeof live[name], "%s", scratch("%s/live", pool_name(name)));
        shell("mkdir '%s' '%s/0' '%s/1' && ln -s 0 '%s/live'", pool_name(name), pool_name(name),
              pool_name(name), pool_name(name));
        path_of(chains[name], name, "live/chain.pem");
        path_of(keys[name], name, "live/key.pem");
        write_in_place(name, &good[name][0], &good[name][0]);
    }
}

/* Something that must never be served. */
static void spoil(unsigned name) {
    static const pair garbage = {
        .chain = "-----BEGIN CERT", .chain_size = 15, .key = "", .key_size = 0};
    unsigned version = chance(VERSIONS), other = (version + 1 + chance(VERSIONS - 1)) % VERSIONS;
    switch (chance(4)) {
    case 0:
        put(name, &good[name][version], &good[name][other]);
        break;
    case 1:
        put(name, &expired[name], &expired[name]);
        break;
    case 2:
        put(name, &garbage, &good[name][version]);
        break;
    default:
        put(name, &good[name][version], &garbage);
        break;
    }
}

void files_change(void) {
    unsigned name = chance(NAMES);
    const pair *next = &good[name][chance(VERSIONS)];
    switch (chance(8)) {
    case 0:
        CHECK(chmod(keys[name], chance(2) ? 0600 : 0644) == 0);
        break;
    case 1:
        CHECK(utimensat(AT_FDCWD, chains[name], NULL, 0) == 0);
        break;
    case 2:
        spoil(name);
        /* For long enough to be told of as failed, or only for long enough to be pending. */
        nap(chance(2) ? 400000 : 50000);
        put(name, next, next);
        break;
    default:
        put(name, next, next);
        break;
    }
}

void files_settle(unsigned versions[NAMES]) {
    for (unsigned name = 0; name < NAMES; name++) {
        versions[name] = chance(VERSIONS);
        const pair *last = &good[name][versions[name]];
        put(name, last, last);
    }
}
