/*
 * Sessions in a family of processes (G11): a parent and a child that was forked from it resume each
 * other's, and a child that took the handle up goes by the files on its own. What one of them ends
 * does not end for the other. All clients are the parent's, and speak TLS 1.3.
 */

#define _GNU_SOURCE
#include "children.h"
#include "mutual.h"

#include <sys/socket.h>

static const char *chain, *key;
enum { CONNECTIONS = 6 };
enum { ACCEPT = 'a', TAKE_UP = 't', RELOAD = 'r', INVALIDATE = 'i' };
typedef enum { REFUSED, FULL, RESUMED } outcome;

/* A forked child, which does with the handle that it inherited what it is told. */
typedef struct {
    certreload_handle *handle;
    pid_t process;
    int orders[2], connections[CONNECTIONS][2]; /* the parent's end, and the child's */
    int used;
} server_child;

static void accept_one(certreload_handle *handle, int fd) {
    rustls_connection *connection = NULL;
    CHECK_OK(certreload_server_connection_new(handle, &connection));
    rustls_result result = RUSTLS_RESULT_OK;
    while (result == RUSTLS_RESULT_OK && rustls_connection_is_handshaking(connection))
        result = tls_turn(connection, fd);
    size_t written = 0;
    if (result == RUSTLS_RESULT_OK)
        CHECK_INT(rustls_connection_write(connection, (const uint8_t *)"!", 1, &written),
                  RUSTLS_RESULT_OK);
    while (rustls_connection_wants_write(connection))
        CHECK_INT(rustls_connection_write_tls(connection, tls_write_socket, &fd, &written), 0);
    rustls_connection_free(connection);
    close(fd);
}

static void obey(void *argument) {
    server_child *self = argument;
    close(self->orders[0]);
    int32_t answer = 0;
    for (char order; read(self->orders[1], &order, 1) == 1;) {
        if (order == ACCEPT)
            accept_one(self->handle, self->connections[self->used++][1]);
        else if (order == TAKE_UP)
            answer = (int32_t)certreload_after_fork(self->handle);
        else if (order == RELOAD)
            answer = (int32_t)certreload_reload_wait(self->handle, CERTRELOAD_WAIT_FOREVER);
        else
            answer = (int32_t)certreload_invalidate_sessions(self->handle);
        CHECK_INT(write(self->orders[1], &answer, sizeof answer), sizeof answer);
    }
    certreload_close(self->handle);
}

static server_child child_new(certreload_handle *handle) {
    server_child child = {.handle = handle};
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, child.orders), 0);
    for (int i = 0; i < CONNECTIONS; i++)
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, child.connections[i]), 0);
    child.process = child_start(obey, &child);
    close(child.orders[1]);
    for (int i = 0; i < CONNECTIONS; i++)
        close(child.connections[i][1]);
    return child;
}

static void child_end(server_child *child) {
    close(child->orders[0]);
    for (int i = 0; i < CONNECTIONS; i++)
        close(child->connections[i][0]);
    child_join(child->process);
}

static certreload_result answer_of(const server_child *child) {
    int32_t answer = -1;
    CHECK_INT(recv(child->orders[0], &answer, sizeof answer, MSG_WAITALL), sizeof answer);
    return (certreload_result)answer;
}

static certreload_result order(const server_child *child, char what) {
    CHECK_INT(write(child->orders[0], &what, 1), 1);
    return answer_of(child);
}

static outcome outcome_of(const rustls_connection *connection) {
    int kind = rustls_connection_handshake_kind(connection);
    return kind == RUSTLS_HANDSHAKE_KIND_RESUMED ? RESUMED : FULL;
}

static outcome there(certreload_handle *client, server_child *child) {
    CHECK(child->used < CONNECTIONS);
    int fd = child->connections[child->used++][0];
    CHECK_INT(write(child->orders[0], &(char){ACCEPT}, 1), 1);
    rustls_connection *connection = NULL;
    CHECK_OK(certreload_client_connection_new(client, "one.test", &connection));
    rustls_result result = RUSTLS_RESULT_OK;
    uint8_t byte = 0;
    size_t length = 0;
    /* Each turn waits for something to read; far fewer are enough, and at the end there is none. */
    for (int turn = 0; turn < 100 && length == 0 && result == RUSTLS_RESULT_OK; turn++) {
        result = tls_turn(connection, fd);
        rustls_connection_read(connection, &byte, 1, &length);
    }
    outcome outcome = byte == '!' ? outcome_of(connection) : REFUSED;
    rustls_connection_free(connection);
    CHECK_OK(answer_of(child));
    return outcome;
}

static outcome here(certreload_handle *client, certreload_handle *server) {
    meeting met = meet(server, client);
    outcome outcome = met.server_result == RUSTLS_RESULT_OK ? outcome_of(met.server) : REFUSED;
    part(&met);
    return outcome;
}

/* A client that has no sessions yet, and a certificate where one is named. */
static certreload_handle *client_new(const char *identity) {
    certreload_options *options = mutual_options();
    CHECK_OK(certreload_options_set_server_roots(options, scratch("servers.pem")));
    if (identity != NULL)
        CHECK_OK(certreload_options_add_client_identity(options, scratch("%s.chain", identity),
                                                        scratch("%s.key", identity)));
    return open_and_free(options);
}

static void parent_and_child_resume_each_others_sessions_until_one_ends_its_own(void) {
    test_begin(__func__);
    certreload_handle *server = open_and_free(unwatched_options(chain, key, 0));
    certreload_handle *first = client_new(NULL), *second = client_new(NULL);
    CHECK_INT(here(first, server), FULL);
    server_child child = child_new(server);
    CHECK_INT(there(first, &child), RESUMED);
    CHECK_INT(there(second, &child), FULL);
    CHECK_INT(here(second, server), RESUMED);

    CHECK_OK(order(&child, INVALIDATE));
    CHECK_INT(there(second, &child), FULL);
    certreload_close(second);
    second = client_new(NULL);
    CHECK_INT(there(second, &child), FULL);
    CHECK_INT(here(second, server), FULL); /* the child has keys of its own now */
    CHECK_INT(here(first, server), RESUMED);
    child_end(&child);
    certreload_close(first);
    certreload_close(second);
    certreload_close(server);
}

static void a_child_that_took_the_handle_up_follows_trust_and_ticket_keys_by_itself(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old new");
    shell("umask 077; openssl rand 80 >one.keys; openssl rand 80 >two.keys; cp one.keys keys");
    certreload_options *options = unwatched_options(chain, key, 0);
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                                scratch("roots.pem")));
    CHECK_OK(certreload_options_set_ticket_keys(options, scratch("keys")));
    certreload_handle *server = open_and_free(options);
    certreload_handle *old = client_new("olds"), *new = client_new("news");
    CHECK_INT(here(old, server), FULL);
    CHECK_INT(here(new, server), FULL);
    server_child child = child_new(server);
    CHECK_OK(order(&child, TAKE_UP));
    CHECK_INT(there(old, &child), RESUMED);

    shell("umask 077; cp two.keys next.keys; mv next.keys keys");
    CHECK_OK(order(&child, RELOAD));
    CHECK_INT(there(new, &child), FULL);
    CHECK_INT(there(new, &child), RESUMED);
    CHECK_INT(here(old, server), RESUMED);

    trust_in("roots.pem", "new");
    CHECK_OK(order(&child, RELOAD));
    CHECK_INT(there(old, &child), REFUSED);
    CHECK_INT(there(new, &child), FULL);
    CHECK_INT(here(old, server), RESUMED); /* the parent was not asked to look */
    CHECK_OK(certreload_reload_wait(server, CERTRELOAD_WAIT_FOREVER));
    CHECK_INT(here(old, server), REFUSED);
    child_end(&child);
    certreload_close(old);
    certreload_close(new);
    certreload_close(server);
}

int main(void) {
    alarm(4 * PATIENCE_SECONDS);
    chain = scratch("server.chain"), key = scratch("server.key");
    make_authority("servers"), issue("servers", "server", "");
    make_authority("old"), issue("old", "olds", "-addext extendedKeyUsage=clientAuth");
    make_authority("new"), issue("new", "news", "-addext extendedKeyUsage=clientAuth");
    parent_and_child_resume_each_others_sessions_until_one_ends_its_own();
    a_child_that_took_the_handle_up_follows_trust_and_ticket_keys_by_itself();
    return 0;
}
