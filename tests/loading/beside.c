/*
 * One process with certreload, OpenSSL, GnuTLS and a second rustls-ffi: each serves, and each is a
 * client of each. What differs from program to program is the order of linking, and with it whose
 * the names of rustls-ffi are; NAMES_LEAD_TO says what is to come of it, and WARNS_OF which file
 * the library warns of.
 */

#define _GNU_SOURCE
#include "foreign_peers.h"
#include "second_rustls.h"
#include "support.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char *chain, *key, *roots;
static certreload_handle *handle;
/* The functions that belong to the objects of certreload, and those that the names lead to. */
static rustls_functions inside, named;

static void find_the_functions(void) {
    named = second_rustls();
#ifdef CERTRELOAD_IS_STATIC
    inside = named; /* the program has one copy, whatever else it was linked with */
#else
    void *library = dlopen("libcertreload.so.0", RTLD_NOW | RTLD_NOLOAD);
    CHECK(library != NULL);
    rustls_functions_of(library, &inside);
    dlclose(library);
#endif
}

static const char *file_of(void *function, size_t size) {
    void *address = NULL;
    Dl_info found;
    CHECK(size == sizeof address);
    memcpy(&address, function, sizeof address);
    CHECK(dladdr(address, &found) != 0);
    const char *slash = strrchr(found.dli_fname, '/');
    return slash != NULL ? slash + 1 : found.dli_fname;
}

#define FILE_OF(function) file_of(&(function), sizeof(function))

static void the_names_lead_where_they_should(void) {
    test_begin(__func__);
    CHECK_CONTAINS(FILE_OF(named.rustls_connection_read_tls), NAMES_LEAD_TO);
    CHECK_CONTAINS(FILE_OF(named.rustls_server_connection_new), NAMES_LEAD_TO);
#ifndef CERTRELOAD_IS_STATIC
    CHECK_CONTAINS(FILE_OF(inside.rustls_connection_read_tls), "libcertreload.so");
#endif
}

/* Warnings of another copy: how many, and the last one. */
static struct {
    int count;
    char text[1024];
} warned;

static void on_log(void *userdata, certreload_log_level level, const char *message) {
    (void)userdata;
    if (strstr(message, "defines functions of rustls-ffi") == NULL)
        return;
    CHECK_INT(level, CERTRELOAD_LOG_LEVEL_WARN);
    warned.count++;
    snprintf(warned.text, sizeof warned.text, "%s", message);
}

/* WARNS_OF names the file with another visible copy; "" is none. */
static void another_visible_copy_is_warned_of_once(void) {
    test_begin(__func__);
    certreload_handle *again = NULL;
    CHECK_OK(certreload_open_files(chain, key, &again));
    certreload_close(again);
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, 0));
    CHECK_INT(warned.count, WARNS_OF[0] != '\0');
    CHECK_CONTAINS(warned.text, WARNS_OF);
}

static peer certreload_server(int fd) {
    rustls_connection *connection = NULL;
    CHECK_OK(certreload_server_connection_new(handle, &connection));
    return rustls_peer(&inside, connection, fd);
}

/* A client of the same copy. */
static peer certreload_client(int fd) {
    const rustls_client_config *config = rustls_client_trusting(&inside, roots);
    peer client = rustls_client_peer(&inside, config, "one.test", fd);
    inside.rustls_client_config_free(config);
    return client;
}

static peer named_server(int fd) {
    const rustls_server_config *config = rustls_server_with(&named, chain, key);
    rustls_connection *connection = NULL;
    CHECK_INT(named.rustls_server_connection_new(config, &connection), RUSTLS_RESULT_OK);
    named.rustls_server_config_free(config);
    return rustls_peer(&named, connection, fd);
}

static peer named_client(int fd) {
    const rustls_client_config *config = rustls_client_trusting(&named, roots);
    peer client = rustls_client_peer(&named, config, "one.test", fd);
    named.rustls_client_config_free(config);
    return client;
}

static peer server_by_openssl(int fd) {
    return openssl_server(chain, key, fd);
}
static peer client_by_openssl(int fd) {
    return openssl_client(roots, "one.test", fd);
}
static peer server_by_gnutls(int fd) {
    return gnutls_server_peer(chain, key, fd);
}
static peer client_by_gnutls(int fd) {
    return gnutls_client_peer(roots, "one.test", fd);
}

static void each_serves_each(void) {
    test_begin(__func__);
    peer (*const servers[])(int) = {certreload_server, server_by_openssl, server_by_gnutls,
                                    named_server};
    peer (*const clients[])(int) = {certreload_client, client_by_openssl, client_by_gnutls,
                                    named_client};
#ifdef NAMES_ARE_TRAPS
    enum { LIBRARIES = 3 };
#else
    enum { LIBRARIES = 4 };
#endif
    for (size_t server = 0; server < LIBRARIES; server++)
        for (size_t client = 0; client < LIBRARIES; client++) {
            int fds[2];
            peer_sockets(fds);
            talk(servers[server](fds[0]), clients[client](fds[1]));
        }
}

static void renewals_go_live(void) {
    test_begin(__func__);
    renew_pair(chain, key, "one.test");
    certreload_result result = certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER);
    CHECK(result == CERTRELOAD_RESULT_OK || result == CERTRELOAD_RESULT_UNCHANGED);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chain));
    each_serves_each();
}

int main(void) {
    chain = scratch("one.chain");
    key = scratch("one.key");
    roots = root_certificate();
    make_pair(chain, key, "one.test");
    CHECK_OK(certreload_set_log_callback(on_log, NULL, NULL, CERTRELOAD_LOG_LEVEL_WARN));
    CHECK_OK(certreload_open_files(chain, key, &handle));
    another_visible_copy_is_warned_of_once();
    find_the_functions();
    the_names_lead_where_they_should();
    each_serves_each();
    renewals_go_live();
    certreload_close(handle);
    return 0;
}
