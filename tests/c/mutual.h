/* Handshakes between two handles, one in each role, and authorities that come and go. */

#ifndef CERTRELOAD_TEST_MUTUAL_H
#define CERTRELOAD_TEST_MUTUAL_H

#include "support.h"
#include "tls.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Makes another authority: NAME.pem and NAME.key in the scratch directory. */
static inline void make_authority(const char *name) {
    root_certificate(); /* and ca.cnf with it */
    shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config ca.cnf"
          " -days 3650 -subj '/CN=%s' -keyout %s.key -out %s.pem"
          " -addext basicConstraints=critical,CA:TRUE",
          name, name, name);
}

/* A new pair LEAF.chain and LEAF.key of that authority, renamed into place. Extensions are further
 * arguments of openssl req, such as "-addext extendedKeyUsage=serverAuth", or "". */
static inline void issue(const char *authority, const char *leaf, const char *extensions) {
    shell("umask 077; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
          " -config ca.cnf -days 30 -subj '/CN=%s' -CA %s.pem -CAkey %s.key -keyout issued.key"
          " -out issued.chain -addext 'subjectAltName=DNS:one.test,IP:127.0.0.1' %s;"
          " mv issued.chain %s.chain; mv issued.key %s.key",
          leaf, authority, authority, extensions, leaf, leaf);
}

/* Makes a file of roots out of those of authorities: "old new", or "old". */
static inline void trust_in(const char *file, const char *authorities) {
    shell("for one in %s; do cat $one.pem; done >fresh.pem; mv fresh.pem %s", authorities, file);
}

/* The list of whom an authority has revoked, LIST in the scratch directory, with one leaf more on
 * it; or as it is, where that is "". */
static inline void write_crl(const char *authority, const char *leaf, const char *list) {
    shell("[ -e %s.number ] || { echo 01 >%s.number; touch %s.index; };"
          " printf '[ca]\ndefault_ca=x\n[x]\ndatabase=%s.index\ncrlnumber=%s.number\n"
          "default_md=sha256\ndefault_crl_days=30\n' >crl.cnf;"
          " by='-config crl.cnf -cert %s.pem -keyfile %s.key';"
          " [ -z '%s' ] || openssl ca $by -revoke %s.chain; openssl ca $by -gencrl -out fresh.crl;"
          " mv fresh.crl %s",
          authority, authority, authority, authority, authority, authority, authority, leaf, leaf,
          list);
}

/* Options that only requests make look at files, and open at once. */
static inline certreload_options *mutual_options(void) {
    certreload_options *options = certreload_options_new();
    CHECK(options != NULL);
    CHECK_OK(certreload_options_set_watch(options, CERTRELOAD_WATCH_OFF));
    CHECK_OK(certreload_options_set_debounce_ms(options, 0));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 0));
    return options;
}

static inline certreload_handle *open_and_free(certreload_options *options) {
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    return handle;
}

/* Two ends of a connection, and what became of each. */
typedef struct {
    rustls_connection *server, *client;
    int fds[2]; /* in that order */
    rustls_result server_result, client_result;
} meeting;

/* As many turns as a handshake has and tickets take. */
static inline void go_on(meeting *meeting) {
    for (int turn = 0; turn < 10; turn++) {
        rustls_result client = tls_turn(meeting->client, meeting->fds[1]);
        rustls_result server = tls_turn(meeting->server, meeting->fds[0]);
        if (meeting->client_result == RUSTLS_RESULT_OK)
            meeting->client_result = client;
        if (meeting->server_result == RUSTLS_RESULT_OK)
            meeting->server_result = server;
    }
}

static inline meeting meet_as(certreload_handle *server, certreload_handle *client,
                              const char *server_name) {
    meeting meeting = {NULL, NULL, {-1, -1}, RUSTLS_RESULT_OK, RUSTLS_RESULT_OK};
    socket_pair(meeting.fds);
    CHECK_OK(certreload_server_connection_new(server, &meeting.server));
    CHECK_OK(certreload_client_connection_new(client, server_name, &meeting.client));
    go_on(&meeting);
    return meeting;
}

static inline meeting meet(certreload_handle *server, certreload_handle *client) {
    return meet_as(server, client, "one.test");
}

static inline void part(meeting *meeting) {
    rustls_connection_free(meeting->server);
    rustls_connection_free(meeting->client);
    close(meeting->fds[0]);
    close(meeting->fds[1]);
}

/* Bytes go from the client to the server, whatever has been reloaded. */
static inline void check_talk(meeting *meeting) {
    CHECK_INT(meeting->client_result, RUSTLS_RESULT_OK);
    CHECK_INT(meeting->server_result, RUSTLS_RESULT_OK);
    size_t count = 0;
    uint8_t heard[8];
    CHECK_INT(rustls_connection_write(meeting->client, (const uint8_t *)"hello", 5, &count),
              RUSTLS_RESULT_OK);
    go_on(meeting);
    CHECK_INT(rustls_connection_read(meeting->server, heard, sizeof heard, &count),
              RUSTLS_RESULT_OK);
    CHECK(count == 5 && memcmp(heard, "hello", 5) == 0);
}

/* The fingerprint of whom rustls-ffi has at the other end of a connection; "" where it is nobody.
 * Lives until exit. */
static inline const char *peer_of(const rustls_connection *connection) {
    const rustls_certificate *leaf = rustls_connection_get_peer_certificate(connection, 0);
    if (leaf == NULL)
        return "";
    const uint8_t *der = NULL;
    size_t length = 0;
    CHECK_INT(rustls_certificate_get_der(leaf, &der, &length), RUSTLS_RESULT_OK);
    FILE *file = fopen(scratch("peer.der"), "wb");
    CHECK(file != NULL && fwrite(der, 1, length, file) == length && fclose(file) == 0);
    shell("openssl x509 -inform DER -in peer.der -out peer.pem");
    return fingerprint_of(scratch("peer.pem"));
}

#endif
