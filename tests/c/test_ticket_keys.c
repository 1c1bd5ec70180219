/*
 * Ticket keys in a file: processes that share it resume each other's sessions, and a bad file
 * changes nothing. The clients are of rustls, and speak TLS 1.2 and 1.3 each for itself.
 */

#define _GNU_SOURCE
#include "children.h"
#include "tls.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *chain, *key;
static const uint16_t versions[] = {RUSTLS_TLS_VERSION_TLSV1_2, RUSTLS_TLS_VERSION_TLSV1_3};

/* A client that speaks one version, and remembers its sessions for as long as its config lives. */
static const rustls_client_config *client_new(uint16_t version) {
    rustls_root_cert_store_builder *roots = rustls_root_cert_store_builder_new();
    CHECK_INT(rustls_root_cert_store_builder_load_roots_from_file(roots, root_certificate(), true),
              RUSTLS_RESULT_OK);
    const rustls_root_cert_store *store = NULL;
    CHECK_INT(rustls_root_cert_store_builder_build(roots, &store), RUSTLS_RESULT_OK);
    rustls_root_cert_store_builder_free(roots);

    rustls_web_pki_server_cert_verifier_builder *checks =
        rustls_web_pki_server_cert_verifier_builder_new(store);
    rustls_server_cert_verifier *verifier = NULL;
    CHECK_INT(rustls_web_pki_server_cert_verifier_builder_build(checks, &verifier),
              RUSTLS_RESULT_OK);
    rustls_web_pki_server_cert_verifier_builder_free(checks);
    rustls_root_cert_store_free(store);

    const rustls_crypto_provider *provider = rustls_crypto_provider_default();
    rustls_client_config_builder *builder = NULL;
    CHECK_INT(rustls_client_config_builder_new_custom(provider, &version, 1, &builder),
              RUSTLS_RESULT_OK);
    rustls_crypto_provider_free(provider);
    rustls_client_config_builder_set_server_verifier(builder, verifier);
    rustls_server_cert_verifier_free(verifier);
    const rustls_client_config *config = NULL;
    CHECK_INT(rustls_client_config_builder_build(builder, &config), RUSTLS_RESULT_OK);
    return config;
}

static rustls_connection *connection_of(const rustls_client_config *client) {
    rustls_connection *connection = NULL;
    CHECK_INT(rustls_client_connection_new(client, "one.test", &connection), RUSTLS_RESULT_OK);
    return connection;
}

static bool is_resumed(const rustls_connection *connection) {
    return rustls_connection_handshake_kind(connection) == RUSTLS_HANDSHAKE_KIND_RESUMED;
}

/* A server in a process of its own, which does what it is told over the socket `orders`. */
typedef struct {
    pid_t process;
    int orders;
    int listener;
    uint16_t port;
    const char *ticket_keys; /* or NULL */
} server;

enum { ACCEPT = 'a', RELOAD = 'r', INVALIDATE = 'i' };

/* Serves one connection: a handshake, and a byte behind it, so that the client has had its tickets.
 */
static bool serve_one(certreload_handle *handle, int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fd >= 0);
    rustls_connection *connection = NULL;
    CHECK_OK(certreload_server_connection_new(handle, &connection));
    while (rustls_connection_is_handshaking(connection))
        CHECK_INT(tls_turn(connection, fd), RUSTLS_RESULT_OK);
    size_t written = 0;
    CHECK_INT(rustls_connection_write(connection, (const uint8_t *)"!", 1, &written),
              RUSTLS_RESULT_OK);
    while (rustls_connection_wants_write(connection))
        CHECK_INT(rustls_connection_write_tls(connection, tls_write_socket, &fd, &written), 0);
    bool resumed = is_resumed(connection);
    rustls_connection_free(connection);
    close(fd);
    return resumed;
}

static certreload_handle *open_with(const char *ticket_keys) {
    certreload_options *options = unwatched_options(chain, key, 200);
    if (ticket_keys != NULL)
        CHECK_OK(certreload_options_set_ticket_keys(options, ticket_keys));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    return handle;
}

static void serve(void *argument) {
    const server *self = argument;
    CHECK_INT(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
    /* The test takes longer than a child usually has, under valgrind. */
    alarm(10 * PATIENCE_SECONDS);
    certreload_handle *handle = open_with(self->ticket_keys);
    char order;
    while (read(self->orders, &order, 1) == 1) {
        int32_t answer = 0;
        switch (order) {
        case ACCEPT:
            answer = serve_one(handle, self->listener);
            break;
        case RELOAD:
            answer = (int32_t)certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER);
            break;
        case INVALIDATE:
            answer = (int32_t)certreload_invalidate_sessions(handle);
            break;
        default:
            CHECK(!"an order that nobody gives");
        }
        CHECK_INT(write(self->orders, &answer, sizeof answer), sizeof answer);
    }
    certreload_close(handle);
    close(self->orders);
    close(self->listener);
}

/* To be started while this process has no handle. */
static server server_start(const char *ticket_keys) {
    int ends[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    server server = {.orders = ends[1], .ticket_keys = ticket_keys};
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    CHECK_INT(bind(server.listener, (struct sockaddr *)&address, size), 0);
    CHECK_INT(listen(server.listener, 8), 0);
    CHECK_INT(getsockname(server.listener, (struct sockaddr *)&address, &size), 0);
    server.port = address.sin_port;
    int other_end = ends[0];
    CHECK_INT(fflush(NULL), 0);
    server.process = child_start(serve, &server);
    close(server.listener);
    close(server.orders);
    server.orders = other_end;
    return server;
}

static void server_end(const server *server) {
    CHECK_INT(shutdown(server->orders, SHUT_WR), 0);
    child_join(server->process);
    close(server->orders);
}

static int32_t answer_of(const server *server) {
    int32_t answer = -1;
    CHECK_INT(recv(server->orders, &answer, sizeof answer, MSG_WAITALL), sizeof answer);
    return answer;
}

static int32_t order(const server *server, char what) {
    CHECK_INT(write(server->orders, &what, 1), 1);
    return answer_of(server);
}

/* Connects to the server over TCP; whether the session was one of before, as both ends see it. */
static bool resumes(const rustls_client_config *client, const server *server) {
    char what = ACCEPT;
    CHECK_INT(write(server->orders, &what, 1), 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = server->port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    rustls_connection *connection = connection_of(client);
    uint8_t byte = 0;
    size_t read_now = 0;
    /* Each turn waits for something to read; far fewer are enough, and at the end there is none. */
    for (int turn = 0; turn < 100 && read_now == 0; turn++) {
        CHECK_INT(tls_turn(connection, fd), RUSTLS_RESULT_OK);
        rustls_connection_read(connection, &byte, 1, &read_now);
    }
    CHECK_INT(byte, '!');
    bool resumed = is_resumed(connection);
    rustls_connection_free(connection);
    close(fd);
    CHECK_INT(answer_of(server), resumed);
    return resumed;
}

/* The same with a handle of this process. */
static bool resumes_here(const rustls_client_config *client, certreload_handle *handle) {
    int fds[2];
    socket_pair(fds);
    rustls_connection *ends[2] = {NULL, connection_of(client)};
    CHECK_OK(certreload_server_connection_new(handle, &ends[0]));
    tls_handshake(ends[0], fds[0], ends[1], fds[1]);
    bool resumed = is_resumed(ends[1]);
    for (int end = 0; end < 2; end++) {
        rustls_connection_free(ends[end]);
        close(fds[end]);
    }
    return resumed;
}

/* A key of its own for each name. The file is renamed into its place, first key first. */
static const char *make_keys(const char *path, const char *names) {
    shell("umask 077; for name in %s; do test -e key.$name || openssl rand 80 >key.$name; done;"
          "for name in %s; do cat key.$name; done >next.keys; mv next.keys '%s'",
          names, names, path);
    return path;
}

static void processes_with_one_file_resume_each_others_sessions_a_restarted_one_too(void) {
    test_begin(__func__);
    const char *keys = make_keys(scratch("shared.keys"), "one");
    server first = server_start(keys), second = server_start(keys), alone = server_start(NULL);
    for (size_t i = 0; i < 2; i++) {
        const rustls_client_config *client = client_new(versions[i]);
        CHECK(!resumes(client, &first));
        CHECK(resumes(client, &second));
        server_end(&first);
        first = server_start(keys);
        CHECK(resumes(client, &first));
        CHECK(!resumes(client, &alone));
        rustls_client_config_free(client);
    }
    server_end(&first);
    server_end(&second);
    server_end(&alone);
}

static void an_old_ticket_works_while_its_key_is_listed_and_not_after(void) {
    test_begin(__func__);
    const char *keys = make_keys(scratch("rotated.keys"), "one");
    server issues = server_start(keys), takes = server_start(keys);
    for (size_t i = 0; i < 2; i++) {
        const rustls_client_config *client = client_new(versions[i]),
                                   *late = client_new(versions[i]);
        CHECK(!resumes(client, &issues) && !resumes(late, &issues));

        make_keys(keys, i == 0 ? "two one" : "three two");
        CHECK_RESULT((certreload_result)order(&takes, RELOAD), OK);
        CHECK(resumes(client, &takes));
        CHECK(resumes(client, &takes)); /* by the ticket that it was given now */

        make_keys(keys, i == 0 ? "two" : "three");
        CHECK_RESULT((certreload_result)order(&takes, RELOAD), OK);
        CHECK(!resumes(late, &takes));
        CHECK(resumes(client, &takes));

        CHECK_RESULT((certreload_result)order(&issues, RELOAD), OK);
        rustls_client_config_free(client);
        rustls_client_config_free(late);
    }
    server_end(&issues);
    server_end(&takes);
}

static void invalidating_distrusts_the_keys_of_the_file_until_it_holds_others(void) {
    test_begin(__func__);
    const char *keys = make_keys(scratch("leaked.keys"), "one");
    server first = server_start(keys), second = server_start(keys), alone = server_start(NULL);
    for (size_t i = 0; i < 2; i++) {
        const rustls_client_config *client = client_new(versions[i]);
        CHECK(!resumes(client, &first) && resumes(client, &second));
        CHECK_RESULT((certreload_result)order(&first, INVALIDATE), OK);
        CHECK(!resumes(client, &first));
        const rustls_client_config *fresh = client_new(versions[i]);
        CHECK(!resumes(fresh, &first) &&
              !resumes(fresh, &second));                           /* the first gave it no ticket */
        CHECK(resumes(fresh, &second) && !resumes(fresh, &first)); /* only the first was told */
        rustls_client_config_free(fresh);

        CHECK_RESULT((certreload_result)order(&first, RELOAD), UNCHANGED);
        CHECK(!resumes(client, &first));
        make_keys(keys, i == 0 ? "two one" : "three two");
        CHECK_RESULT((certreload_result)order(&first, RELOAD), OK);
        CHECK_RESULT((certreload_result)order(&second, RELOAD), OK);
        rustls_client_config_free(client);
        client = client_new(versions[i]);
        CHECK(!resumes(client, &first) && resumes(client, &second) && resumes(client, &first));
        rustls_client_config_free(client);

        client = client_new(versions[i]);
        CHECK(!resumes(client, &alone) && resumes(client, &alone));
        CHECK_RESULT((certreload_result)order(&alone, INVALIDATE), OK);
        CHECK(!resumes(client, &alone) && resumes(client, &alone));
        rustls_client_config_free(client);
    }
    server_end(&first);
    server_end(&second);
    server_end(&alone);
}

static void a_bad_file_is_refused_and_the_keys_before_serve_on(void) {
    test_begin(__func__);
    const char *keys = make_keys(scratch("bad.keys"), "one");
    certreload_handle *handle = open_with(keys);
    const rustls_client_config *client = client_new(RUSTLS_TLS_VERSION_TLSV1_3);
    CHECK(!resumes_here(client, handle) && resumes_here(client, handle));

    const struct {
        certreload_result result;
        const char *words, *command;
    } table[] = {
        {CERTRELOAD_RESULT_TICKET_KEYS_MALFORMED, "79 bytes are not a multiple",
         "head -c 79 key.one >next.keys"},
        {CERTRELOAD_RESULT_TICKET_KEYS_MALFORMED, "the key in line 1 has 33",
         "openssl rand -base64 33 >next.keys"},
        {CERTRELOAD_RESULT_TICKET_KEYS_MALFORMED, "write one key in base64 per line",
         "openssl rand 240 >next.keys"},
        {CERTRELOAD_RESULT_TICKET_KEYS_MALFORMED, "all bytes of key 1 are zero",
         "head -c 48 /dev/zero >next.keys"},
        {CERTRELOAD_RESULT_TICKET_KEY_REPEATED, "key 2 is the same as ticket key 1",
         "cat key.one key.one >next.keys"},
        {CERTRELOAD_RESULT_TICKET_KEYS_READABLE, "chmod o-r",
         "cat key.two >next.keys; chmod o+r next.keys"},
        {CERTRELOAD_RESULT_FILE_EMPTY, "is empty", ": >next.keys"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        shell("umask 077; %s; mv next.keys bad.keys", table[i].command);
        certreload_result result = certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER);
        CHECK_INT(result, table[i].result);
        CHECK_CONTAINS(certreload_last_error(), table[i].words);
        CHECK_CONTAINS(certreload_last_error(), keys);
        CHECK_INT(serving_generation(handle), 1);
        CHECK(resumes_here(client, handle));

        certreload_options *options = unwatched_options(chain, key, 200);
        CHECK_OK(certreload_options_set_ticket_keys(options, keys));
        certreload_handle *none = NULL;
        CHECK_INT(certreload_open(options, &none), table[i].result);
        CHECK(none == NULL);
        certreload_options_free(options);
    }

    make_keys(keys, "two one");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_INT(serving_generation(handle), 2);
    CHECK(resumes_here(client, handle));
    rustls_client_config_free(client);
    certreload_close(handle);
}

static void services_with_different_session_contexts_keep_their_sessions_apart(void) {
    test_begin(__func__);
    const char *keys = make_keys(scratch("contexts.keys"), "one");
    const char *contexts[] = {"one", "one", "other", NULL};
    const bool resumed[] = {true, true, false, false};
    certreload_handle *handles[4];
    for (size_t i = 0; i < 4; i++) {
        certreload_options *options = unwatched_options(chain, key, 200);
        CHECK_OK(certreload_options_set_ticket_keys(options, keys));
        const char *context = contexts[i];
        if (context != NULL)
            CHECK_OK(certreload_options_set_session_context(options, context, strlen(context)));
        CHECK_OK(certreload_open(options, &handles[i]));
        certreload_options_free(options);
    }
    for (size_t version = 0; version < 2; version++)
        for (size_t i = 0; i < 4; i++) {
            const rustls_client_config *client = client_new(versions[version]);
            CHECK(!resumes_here(client, handles[0]));
            CHECK_INT(resumes_here(client, handles[i]), resumed[i]);
            rustls_client_config_free(client);
        }
    for (size_t i = 0; i < 4; i++)
        certreload_close(handles[i]);
}

int main(void) {
    chain = scratch("one.chain"), key = scratch("one.key");
    make_pair(chain, key, "one.test");
    processes_with_one_file_resume_each_others_sessions_a_restarted_one_too();
    an_old_ticket_works_while_its_key_is_listed_and_not_after();
    invalidating_distrusts_the_keys_of_the_file_until_it_holds_others();
    a_bad_file_is_refused_and_the_keys_before_serve_on();
    services_with_different_session_contexts_keep_their_sessions_apart();
    return 0;
}
