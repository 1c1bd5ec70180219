/*
 * Sessions in a family of processes (G11): a parent and those that were forked from it resume each
 * other's, across changes of the key too, and a child that took the handle up goes by the files on
 * its own. What one of them ends does not end for the others. All clients are the parent's, and
 * speak TLS 1.3.
 */

#define _GNU_SOURCE
#include "children.h"
#include "mutual.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

static const char *chain, *key;
enum { CONNECTIONS = 8 };
enum { ACCEPT = 'a', TAKE_UP = 't', RELOAD = 'r', INVALIDATE = 'i', FORK = 'f', END = 'e' };
typedef enum { REFUSED, FULL, RESUMED } outcome;

/* How far the clock of all processes here is ahead of the system's, in seconds. */
static time_t *clock_offset;

/* In place of the C library's, for the library under test too. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME && clock_offset != NULL)
        time->tv_sec += *clock_offset;
    return result;
}

/* A forked child, which does with the handle that it inherited what it is told. */
typedef struct server_child {
    certreload_handle *handle;
    struct server_child *grandchild; /* whom it forks where it is told to, or NULL */
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
    for (char order; read(self->orders[1], &order, 1) == 1 && order != END;) {
        if (order == ACCEPT)
            accept_one(self->handle, self->connections[self->used++][1]);
        else if (order == TAKE_UP)
            answer = (int32_t)certreload_after_fork(self->handle);
        else if (order == FORK)
            self->grandchild->process = child_start(obey, self->grandchild);
        else if (order == RELOAD)
            answer = (int32_t)certreload_reload_wait(self->handle, CERTRELOAD_WAIT_FOREVER);
        else
            answer = (int32_t)certreload_invalidate_sessions(self->handle);
        CHECK_INT(write(self->orders[1], &answer, sizeof answer), sizeof answer);
    }
    certreload_close(self->handle);
    if (self->grandchild != NULL && self->grandchild->process > 0)
        child_join(self->grandchild->process);
}

static server_child child_not_started(certreload_handle *handle) {
    server_child child = {.handle = handle};
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, child.orders), 0);
    for (int i = 0; i < CONNECTIONS; i++)
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, child.connections[i]), 0);
    return child;
}

static void child_close(const server_child *child, int end) {
    close(child->orders[end]);
    for (int i = 0; i < CONNECTIONS; i++)
        close(child->connections[i][end]);
}

static void child_begin(server_child *child) {
    child->process = child_start(obey, child);
    child_close(child, 1);
}

static server_child child_new(certreload_handle *handle) {
    server_child child = child_not_started(handle);
    child_begin(&child);
    return child;
}

/* By an order: others that were forked hold the sockets open. */
static void child_stop(const server_child *child) {
    CHECK_INT(write(child->orders[0], &(char){END}, 1), 1);
    child_close(child, 0);
}

static void child_end(const server_child *child) {
    child_stop(child);
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

/* Sets the clock to so many seconds after one change of keys: they are at multiples of six hours.
 */
static void set_clock_after_change(time_t seconds) {
    static time_t change = 0; /* how far off */
    const time_t period = 6 * 3600;
    if (change == 0)
        change = 2 * period - time(NULL) % period;
    *clock_offset = change + seconds;
}

static void a_family_resumes_its_sessions_across_changes_of_the_key(void) {
    test_begin(__func__);
    set_clock_after_change(-1800);
    certreload_handle *server = open_and_free(unwatched_options(chain, key, 0));
    server_child grandchild = child_not_started(server), child = child_not_started(server);
    child.grandchild = &grandchild;
    child_begin(&child);
    CHECK_OK(order(&child, FORK));
    child_close(&grandchild, 1);
    certreload_handle *first = client_new(NULL), *second = client_new(NULL),
                      *third = client_new(NULL);
    CHECK_INT(there(first, &child), FULL);
    CHECK_INT(there(second, &grandchild), FULL);
    CHECK_INT(there(first, &grandchild), RESUMED);

    set_clock_after_change(1800);
    CHECK_INT(here(first, server),
              RESUMED); /* by the key before; its new ticket is of the new one */
    CHECK_INT(there(second, &child), RESUMED);
    CHECK_INT(there(first, &grandchild), RESUMED);
    CHECK_INT(there(second, &grandchild), RESUMED);
    CHECK_INT(there(third, &grandchild), FULL);
    CHECK_INT(there(third, &child), RESUMED);
    CHECK_INT(here(third, server), RESUMED);

    /* It inherited the handle before the change, and has not been heard of until after it. */
    server_child late = child_new(server);
    set_clock_after_change(6 * 3600 + 60);
    CHECK_INT(there(third, &child), RESUMED);
    CHECK_INT(there(third, &late), RESUMED);
    CHECK_INT(here(third, server), RESUMED);

    /* The grandchild draws a secret for itself, which leaves the others theirs. */
    CHECK_OK(order(&grandchild, INVALIDATE));
    CHECK_INT(there(second, &grandchild), FULL);
    set_clock_after_change(12 * 3600 - 60);
    CHECK_INT(here(third, server), RESUMED);
    set_clock_after_change(12 * 3600 + 60);
    CHECK_INT(there(third, &late), RESUMED);
    CHECK_INT(here(third, server), RESUMED);
    CHECK_INT(there(third, &grandchild), FULL);
    child_stop(&grandchild); /* its own parent waits for it */
    child_end(&child);
    child_end(&late);
    certreload_close(first);
    certreload_close(second);
    certreload_close(third);
    certreload_close(server);
    *clock_offset = 0;
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
    clock_offset =
        mmap(NULL, sizeof *clock_offset, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(clock_offset != MAP_FAILED);
    chain = scratch("server.chain"), key = scratch("server.key");
    make_authority("servers"), issue("servers", "server", "");
    make_authority("old"), issue("old", "olds", "-addext extendedKeyUsage=clientAuth");
    make_authority("new"), issue("new", "news", "-addext extendedKeyUsage=clientAuth");
    parent_and_child_resume_each_others_sessions_until_one_ends_its_own();
    a_family_resumes_its_sessions_across_changes_of_the_key();
    a_child_that_took_the_handle_up_follows_trust_and_ticket_keys_by_itself();
    return 0;
}
