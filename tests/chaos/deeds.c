/* What is done with a handle, with what must hold then. */

#define _GNU_SOURCE
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool is_of_files(certreload_result result) {
    return result == CERTRELOAD_RESULT_OK || result == CERTRELOAD_RESULT_UNCHANGED ||
           result == CERTRELOAD_RESULT_TIMED_OUT || result >= 100;
}

void deed_look(slot *here, certreload_handle *handle) {
    uint64_t before = atomic_load(&here->seen);
    const certreload_generation *generation = certreload_generation_acquire(handle);
    if (generation == NULL)
        violation("acquire: %s", certreload_last_error());
    slot_saw(here, before, certreload_generation_number(generation));
    if (certreload_generation_identity_count(generation) != here->count)
        violation("a generation of %zu identities, expected %zu",
                  certreload_generation_identity_count(generation), here->count);
    for (size_t index = 0; index < here->count; index++) {
        const certreload_identity *identity = certreload_generation_identity(generation, index);
        const char *sha256 = certreload_identity_sha256(identity);
        if (!pool_has(here->names[index], sha256))
            violation("%s serves %s, which is none of its good pairs",
                      pool_name(here->names[index]), sha256);
        if (strcmp(certreload_identity_name(identity, 0), pool_name(here->names[index])) != 0)
            violation("identity %zu is %s", index, certreload_identity_name(identity, 0));
    }
    if (certreload_generation_select(generation, pool_name(here->names[0])) == NULL)
        violation("nobody is %s", pool_name(here->names[0]));
    if (chance(2))
        nap(3000); /* The handle goes on meanwhile, and this generation stays as it is. */
    certreload_generation_release(generation);
}

bool may_be_closed(certreload_result result) {
    return result == CERTRELOAD_RESULT_CLOSED &&
           (callback_depth > 0 || (!is_child && !slot_is_held()));
}

void deed_status(slot *here, certreload_handle *handle) {
    certreload_status status;
    uint64_t before = atomic_load(&here->seen);
    certreload_result result = certreload_get_status(handle, &status, sizeof status);
    if (may_be_closed(result))
        return;
    CHECK_OK(result);
    slot_saw(here, before, status.generation);
    bool is_sane = status.identities == here->count && status.generation >= 1 &&
                   status.generations_alive >= 1 && status.generations_alive < 1000 &&
                   status.health <= CERTRELOAD_HEALTH_STALE && status.watch <= 3;
    /* Counts begin anew in a child. */
    if (!is_child)
        is_sane = is_sane && status.reloads == status.generation - 1 && status.last_checked_at > 0;
    if (!is_sane)
        violation("a status that makes no sense: generation %lu, reloads %lu, alive %zu, health %u",
                  (unsigned long)status.generation, (unsigned long)status.reloads,
                  status.generations_alive, status.health);
    certreload_identity_status one;
    size_t index = chance((unsigned)here->count);
    result = certreload_get_identity_status(handle, index, &one, sizeof one);
    if (may_be_closed(result))
        return;
    CHECK_OK(result);
    if (one.not_after <= one.not_before || one.pending > 1)
        violation("a status of an identity that makes no sense");
    static _Thread_local char page[65536];
    size_t needed = 0;
    result = certreload_write_metrics(handle, page, sizeof page, &needed);
    if (result != CERTRELOAD_RESULT_OK && result != CERTRELOAD_RESULT_BUFFER_TOO_SMALL &&
        !may_be_closed(result))
        violation("metrics: %s", certreload_last_error());
}

void deed_push(slot *here, certreload_handle *handle, certreload_result instead) {
    size_t index = chance((unsigned)here->count);
    unsigned name = here->names[index], version = chance(VERSIONS);
    const pair *chain = &good[name][version], *key = chain;
    bool is_good = chance(3) != 0;
    if (!is_good && chance(2))
        chain = key = &expired[name];
    else if (!is_good)
        key = &good[name][(version + 1) % VERSIONS];
    certreload_identity_bytes bytes = pool_bytes(chain, key);
    size_t found = 0;
    CHECK_OK(certreload_find_identity(handle, pool_name(name), &found));
    if (here->names[found] != name)
        violation("identity %zu is not %s", found, pool_name(name));
    /* Said before, for whoever looks in between. */
    if (is_good)
        atomic_store(&here->is_memory[index], true);
    certreload_result result = certreload_push_identity(handle, index, &bytes, sizeof bytes);
    done(PUSHES);
    if (may_be_closed(result))
        return;
    if (result == instead && instead != CERTRELOAD_RESULT_OK)
        return;
    if (is_good ? result > CERTRELOAD_RESULT_UNCHANGED : result < 200)
        violation("a push of %s bytes came to %s: %s", is_good ? "good" : "bad",
                  certreload_result_str(result), certreload_last_error());
}

/* Held to read in handshakes of the parent and while threads of it end, and to write in its forks.
 * AWS-LC keeps a list of what each thread draws random numbers from: a thread takes the lock of
 * that list with its first random number and when it ends. If another thread forks at that moment,
 * the child inherits the lock and waits for it for ever when it draws its own first random number.
 */
static pthread_rwlock_t drawing = PTHREAD_RWLOCK_INITIALIZER;

void forks_wait(void) {
    pthread_rwlock_rdlock(&drawing);
}

void forks_go_ahead(void) {
    pthread_rwlock_unlock(&drawing);
}

static bool is_bold(void) {
    return getenv("CERTRELOAD_CHAOS_BOLD") != NULL;
}

void fork_begin(void) {
    if (!is_bold())
        pthread_rwlock_wrlock(&drawing);
}

pid_t fork_between_handshakes(void) {
    pid_t child = fork();
    if (child != 0 && !is_bold())
        pthread_rwlock_unlock(&drawing);
    return child;
}

void deed_handshake(rustls_connection *server, unsigned name, const rustls_client_config *config) {
    rustls_connection *client = NULL;
    int fds[2];
    socket_pair(fds);
    if (!is_child)
        forks_wait();
    CHECK_INT(rustls_client_connection_new(config, pool_name(name), &client), RUSTLS_RESULT_OK);
    tls_handshake(server, fds[0], client, fds[1]);
    if (!is_child)
        forks_go_ahead();
    const rustls_certificate *shown = rustls_connection_get_peer_certificate(client, 0);
    const uint8_t *der = NULL;
    size_t size = 0;
    CHECK(shown != NULL);
    CHECK_INT(rustls_certificate_get_der(shown, &der, &size), RUSTLS_RESULT_OK);
    if (!pool_has_der(name, der, size))
        violation("a client was shown what is no good certificate of %s", pool_name(name));
    done(HANDSHAKES);
    rustls_connection_free(client);
    rustls_connection_free(server);
    close(fds[0]);
    close(fds[1]);
}
