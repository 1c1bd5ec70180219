/*
 * Adapters: they prepare each version of a unit once, before it is published, and their answers
 * decide whether it is. The adapter here keeps records instead of objects of a TLS stack.
 */

#include "children.h"
#include "tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the adapter has made from a unit. */
typedef struct {
    int made_as;       /* the number of the call, from 1 */
    char sha256[65];   /* of an identity */
    size_t root_count; /* of a trust store */
} object;

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t called;
    int identities, stores;    /* calls */
    certreload_prepare answer; /* to identities */
    certreload_handle *calls;  /* a handle that prepare_identity waits for, or NULL */
    certreload_result inner;   /* what that returned */
} keeper;

#define KEEPER_INITIALIZER                                                                         \
    { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, CERTRELOAD_PREPARE_OK, NULL, 0 }

static int dropped; /* objects, by all adapters */

static certreload_prepare keep_identity(void *userdata, const certreload_identity *candidate,
                                        const uint8_t *key_der, size_t key_der_size,
                                        void **prepared_out, char *why, size_t why_size) {
    keeper *of = userdata;
    CHECK(key_der_size > 60 && key_der[0] == 0x30); /* a SEQUENCE: PKCS#8 */
    CHECK_INT(why_size, CERTRELOAD_MAX_ADAPTER_REASON);
    pthread_mutex_lock(&of->mutex);
    of->identities++;
    certreload_prepare answer = of->answer;
    int made_as = of->identities;
    certreload_handle *calls = of->calls;
    pthread_cond_broadcast(&of->called);
    pthread_mutex_unlock(&of->mutex);
    if (calls != NULL)
        of->inner = certreload_reload_wait(calls, 10000);
    if (answer != CERTRELOAD_PREPARE_OK) {
        snprintf(why, why_size, "a reason of the adapter");
        return answer;
    }
    object *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    made->made_as = made_as;
    snprintf(made->sha256, sizeof made->sha256, "%s", certreload_identity_sha256(candidate));
    *prepared_out = made;
    return CERTRELOAD_PREPARE_OK;
}

static certreload_prepare keep_store(void *userdata, const certreload_trust_store *candidate,
                                     void **prepared_out, char *why, size_t why_size) {
    (void)why;
    (void)why_size;
    keeper *of = userdata;
    object *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    pthread_mutex_lock(&of->mutex);
    made->made_as = ++of->stores;
    pthread_mutex_unlock(&of->mutex);
    made->root_count = certreload_trust_store_root_count(candidate, CERTRELOAD_PEERS_CLIENTS);
    *prepared_out = made;
    return CERTRELOAD_PREPARE_OK;
}

static void drop_object(void *prepared) {
    free(prepared);
    __atomic_add_fetch(&dropped, 1, __ATOMIC_SEQ_CST);
}

static certreload_adapter adapter_of(keeper *userdata) {
    certreload_adapter adapter = {.name = "The keeper",
                                  .prepare_identity = keep_identity,
                                  .prepare_trust = keep_store,
                                  .drop_identity = drop_object,
                                  .drop_trust = drop_object,
                                  .userdata = userdata};
    return adapter;
}

static uint32_t add(certreload_handle *handle, keeper *userdata) {
    certreload_adapter adapter = adapter_of(userdata);
    uint32_t slot = 99;
    CHECK_OK(certreload_add_adapter(handle, &adapter, sizeof adapter, &slot));
    return slot;
}

static const object *prepared_at(certreload_handle *handle, size_t index, uint32_t slot) {
    const certreload_generation *generation = certreload_generation_acquire(handle);
    const certreload_identity *identity = certreload_generation_identity(generation, index);
    const object *prepared = certreload_identity_prepared(identity, slot);
    if (prepared != NULL)
        CHECK_STR(prepared->sha256, certreload_identity_sha256(identity));
    certreload_generation_release(generation);
    return prepared;
}

static const char *chains[2], *keys[2];

static certreload_options *options_with(int count) {
    certreload_options *options = unwatched_options(chains[0], keys[0], 300);
    for (int at = 1; at < count; at++)
        CHECK_OK(certreload_options_add_identity(options, chains[at], keys[at], NULL));
    return options;
}

static certreload_handle *open_with(certreload_options *options) {
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    return handle;
}

static void one_renewal_prepares_one_identity(void) {
    test_begin("one renewal prepares one identity");
    keeper first = KEEPER_INITIALIZER, second = KEEPER_INITIALIZER;
    certreload_handle *handle = open_with(options_with(2));
    CHECK(prepared_at(handle, 0, 0) == NULL);
    CHECK_INT(add(handle, &first), 0);
    CHECK_INT(add(handle, &second), 1);
    CHECK_INT(add(handle, &first), 0);
    CHECK_INT(first.identities, 2);
    CHECK_INT(second.identities, 2);
    CHECK_INT(prepared_at(handle, 0, 0)->made_as, 1);
    const object *kept = prepared_at(handle, 1, 0);
    CHECK_INT(kept->made_as, 2);
    CHECK(prepared_at(handle, 1, 1) != kept);
    CHECK(prepared_at(handle, 1, 2) == NULL);
    CHECK(prepared_at(handle, 1, UINT32_MAX) == NULL);

    const certreload_generation *old = certreload_generation_acquire(handle);
    renew_pair(chains[0], keys[0], "one.test");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_INT(first.identities, 3);
    CHECK_INT(second.identities, 3);
    CHECK_INT(prepared_at(handle, 0, 0)->made_as, 3);
    CHECK(prepared_at(handle, 1, 0) == kept);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    CHECK_INT(first.identities, 3);

    /* The object of the old version lives as long as its generation, the others until the end. */
    CHECK_INT(dropped, 0);
    certreload_generation_release(old);
    CHECK_INT(dropped, 2);
    old = certreload_generation_acquire(handle);
    certreload_close(handle);
    CHECK_INT(dropped, 2);
    certreload_generation_release(old);
    CHECK_INT(dropped, 6);
    dropped = 0;
}

static void refused_identity_is_not_published(void) {
    test_begin("a refused identity is not published");
    keeper of = KEEPER_INITIALIZER;
    recorder *events = calloc(1, sizeof *events);
    CHECK(events != NULL);
    certreload_options *options = options_with(1);
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, events, NULL));
    certreload_handle *handle = open_with(options);
    CHECK_INT(recorder_next(events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);

    /* An adapter that refuses what is served is not added. */
    certreload_adapter adapter = adapter_of(&of);
    uint32_t slot = 99;
    of.answer = CERTRELOAD_PREPARE_REFUSED;
    CHECK_RESULT(certreload_add_adapter(handle, &adapter, sizeof adapter, &slot), ADAPTER_REFUSED);
    CHECK_CONTAINS(certreload_last_error(), chains[0]);
    CHECK_CONTAINS(certreload_last_error(), "The keeper cannot use it: a reason of the adapter");
    of.answer = CERTRELOAD_PREPARE_INCOMPLETE;
    CHECK_RESULT(certreload_add_adapter(handle, &adapter, sizeof adapter, &slot), KEY_MISMATCH);
    CHECK_INT(slot, 99);
    of.answer = CERTRELOAD_PREPARE_OK;
    CHECK_INT(add(handle, &of), 0);

    /* A refusal is a failure of the unit: it is reported once, and the old version serves (G16). */
    const char *serving = serving_fingerprint(handle);
    of.answer = CERTRELOAD_PREPARE_REFUSED;
    renew_pair(chains[0], keys[0], "one.test");
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), ADAPTER_REFUSED);
    const recorded_event *event = recorder_next(events);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOAD_FAILED);
    CHECK_INT(event->result, CERTRELOAD_RESULT_ADAPTER_REFUSED);
    CHECK_CONTAINS(event->message, "a reason of the adapter");
    CHECK_STR(serving_fingerprint(handle), serving);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), ADAPTER_REFUSED);

    /* A push is refused at once. */
    certreload_result pushed = certreload_push_identity(
        handle, 0,
        &(certreload_identity_bytes){
            .chain_pem = "x", .chain_pem_size = 1, .key_pem = "x", .key_pem_size = 1},
        sizeof(certreload_identity_bytes));
    CHECK(pushed != CERTRELOAD_RESULT_OK);
    CHECK_INT(recorder_next(events)->kind, CERTRELOAD_EVENT_KIND_RELOAD_FAILED);

    /* An incomplete one is read again, until the adapter accepts it. */
    of.answer = CERTRELOAD_PREPARE_INCOMPLETE;
    renew_pair(chains[0], keys[0], "one.test");
    certreload_reload(handle);
    pthread_mutex_lock(&of.mutex);
    int before = of.identities;
    while (of.identities < before + 2)
        pthread_cond_wait(&of.called, &of.mutex);
    of.answer = CERTRELOAD_PREPARE_OK;
    pthread_mutex_unlock(&of.mutex);
    event = recorder_next(events);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chains[0]));
    CHECK(prepared_at(handle, 0, 0) != NULL);
    certreload_close(handle);
    free(events);
    dropped = 0;
}

static void adapter_that_waits_for_its_handle_is_told_so(void) {
    test_begin("an adapter that waits for its own handle gets an error");
    keeper of = KEEPER_INITIALIZER;
    certreload_handle *handle = open_with(options_with(1));
    of.calls = handle;
    add(handle, &of);
    CHECK_INT(of.inner, CERTRELOAD_RESULT_WOULD_DEADLOCK);
    renew_pair(chains[0], keys[0], "one.test");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_INT(of.inner, CERTRELOAD_RESULT_WOULD_DEADLOCK);
    certreload_close(handle);
    dropped = 0;
}

static void more_than_the_most_adapters_are_refused(void) {
    test_begin("a handle has at most CERTRELOAD_MAX_ADAPTERS");
    keeper of[CERTRELOAD_MAX_ADAPTERS + 1];
    certreload_handle *handle = open_with(options_with(1));
    for (uint32_t at = 0; at <= CERTRELOAD_MAX_ADAPTERS; at++) {
        of[at] = (keeper)KEEPER_INITIALIZER;
        certreload_adapter adapter = adapter_of(&of[at]);
        uint32_t slot = 99;
        certreload_result result = certreload_add_adapter(handle, &adapter, sizeof adapter, &slot);
        if (at < CERTRELOAD_MAX_ADAPTERS) {
            CHECK_OK(result);
            CHECK_INT(slot, at);
        } else {
            CHECK_RESULT(result, INVALID_PARAMETER);
            CHECK_INT(of[at].identities, 0);
        }
    }
    certreload_adapter adapter = adapter_of(&of[0]);
    uint32_t slot;
    CHECK_RESULT(certreload_add_adapter(handle, &adapter, sizeof adapter - 1, &slot),
                 INVALID_PARAMETER);
    adapter.prepare_identity = NULL;
    CHECK_RESULT(certreload_add_adapter(handle, &adapter, sizeof adapter, &slot), NULL_PARAMETER);
    certreload_close(handle);
    CHECK_INT(dropped, CERTRELOAD_MAX_ADAPTERS);
    dropped = 0;
}

static void trust_store_is_prepared_and_shown(void) {
    test_begin("a trust store is prepared, and shown in DER");
    keeper of = KEEPER_INITIALIZER;
    shell("cp '%s' roots.pem", root_certificate());
    certreload_options *options = options_with(1);
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_OPTIONAL,
                                                scratch("roots.pem")));
    CHECK_OK(certreload_options_set_crl_rules(options, CERTRELOAD_CRL_LEAF_ONLY |
                                                           CERTRELOAD_CRL_ALLOW_EXPIRED));
    certreload_handle *handle = open_with(options);
    uint32_t slot = add(handle, &of);
    CHECK_INT(of.stores, 1);

    const certreload_generation *generation = certreload_generation_acquire(handle);
    CHECK(!certreload_generation_refuses(generation));
    const certreload_trust_store *store = certreload_generation_trust_store(generation);
    const object *prepared = certreload_trust_store_prepared(store, slot);
    CHECK_INT(prepared->root_count, 1);
    CHECK_INT(certreload_trust_store_client_auth(store), CERTRELOAD_CLIENT_AUTH_OPTIONAL);
    CHECK_INT(certreload_trust_store_crl_rules(store),
              CERTRELOAD_CRL_LEAF_ONLY | CERTRELOAD_CRL_ALLOW_EXPIRED);
    CHECK(certreload_trust_store_sends_authority_names(store));
    CHECK_INT(certreload_trust_store_crl_count(store), 0);
    CHECK_INT(certreload_trust_store_root_count(store, CERTRELOAD_PEERS_SERVERS), 0);
    CHECK_INT(certreload_trust_store_root_count(store, (certreload_peers)7), 0);
    size_t length = 0;
    const uint8_t *der =
        certreload_trust_store_root_der(store, CERTRELOAD_PEERS_CLIENTS, 0, &length);
    FILE *file = fopen(scratch("shown.der"), "w");
    CHECK(file != NULL && fwrite(der, 1, length, file) == length && fclose(file) == 0);
    shell("openssl x509 -in roots.pem -outform DER | cmp - shown.der");
    CHECK(certreload_trust_store_root_der(store, CERTRELOAD_PEERS_CLIENTS, 1, &length) == NULL);
    CHECK_INT(length, 0);

    /* A renewed certificate does not prepare the store again, another root does. */
    uint8_t scope[CERTRELOAD_SESSION_SCOPE_SIZE], other[CERTRELOAD_SESSION_SCOPE_SIZE];
    int64_t until = 0;
    CHECK_OK(certreload_generation_session_scope(generation, scope, &until));
    CHECK(until == INT64_MAX);
    certreload_generation_release(generation);
    renew_pair(chains[0], keys[0], "one.test");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_INT(of.stores, 1);
    generation = certreload_generation_acquire(handle);
    CHECK(certreload_trust_store_prepared(certreload_generation_trust_store(generation), slot) ==
          prepared);
    CHECK_OK(certreload_generation_session_scope(generation, other, &until));
    CHECK(memcmp(scope, other, sizeof scope) == 0);
    CHECK_OK(certreload_invalidate_sessions(handle));
    CHECK_OK(certreload_generation_session_scope(generation, other, &until));
    CHECK(memcmp(scope, other, sizeof scope) != 0);
    memcpy(scope, other, sizeof scope);
    certreload_generation_release(generation);

    shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout second.key"
          " -subj /CN=second -days 9 -out second.pem 2>/dev/null && cat second.pem >> roots.pem");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_INT(of.stores, 2);
    generation = certreload_generation_acquire(handle);
    CHECK_OK(certreload_generation_session_scope(generation, other, &until));
    CHECK(memcmp(scope, other, sizeof scope) != 0);
    certreload_generation_release(generation);
    certreload_close(handle);
    CHECK_INT(dropped, 4);
    dropped = 0;
}

static certreload_handle *inherited;
static uint32_t inherited_slot;

static void in_child(void *unused) {
    (void)unused;
    keeper of = KEEPER_INITIALIZER;
    /* The objects of the parent are there, and an adapter is added only after
     * certreload_after_fork(). */
    CHECK_INT(prepared_at(inherited, 0, inherited_slot)->made_as, 1);
    certreload_adapter adapter = adapter_of(&of);
    uint32_t slot;
    CHECK_RESULT(certreload_add_adapter(inherited, &adapter, sizeof adapter, &slot), FORKED);
    CHECK_OK(certreload_after_fork(inherited));
    CHECK_INT(add(inherited, &of), 1);
    renew_pair(chains[0], keys[0], "one.test");
    /* The reload after the fork may have read them already. */
    CHECK(!certreload_result_is_error(certreload_reload_wait(inherited, CERTRELOAD_WAIT_FOREVER)));
    CHECK_INT(prepared_at(inherited, 0, inherited_slot)->made_as, 2);
    CHECK_INT(prepared_at(inherited, 0, 1)->made_as, 2);
    certreload_close(inherited);
}

static void forked_child_has_the_objects_of_its_parent(void) {
    test_begin("a forked child has the objects of its parent");
    static keeper of = KEEPER_INITIALIZER;
    inherited = open_with(options_with(1));
    inherited_slot = add(inherited, &of);
    child_join(child_start(in_child, NULL));
    certreload_close(inherited);
    dropped = 0;
}

static void view_outlives_its_handle(void) {
    test_begin("a view serves the last generation after the handle was closed");
    keeper of = KEEPER_INITIALIZER;
    certreload_handle *handle = open_with(options_with(1));
    uint32_t slot = add(handle, &of);
    const certreload_view *view = certreload_view_new(handle);
    renew_pair(chains[0], keys[0], "one.test");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    certreload_handle *another = open_with(options_with(1));
    const certreload_view *of_another = certreload_view_new(another);
    const certreload_view *again = certreload_view_new(handle);
    certreload_close(handle);
    CHECK(certreload_view_is_same(view, again) && !certreload_view_is_same(view, of_another));
    certreload_view_free(again);
    certreload_view_free(of_another);
    certreload_close(another);
    const certreload_generation *generation = certreload_view_acquire(view);
    CHECK_INT(certreload_generation_number(generation), 2);
    const certreload_identity *identity = certreload_generation_identity(generation, 0);
    CHECK_STR(certreload_identity_sha256(identity), fingerprint_of(chains[0]));
    CHECK(certreload_identity_prepared(identity, slot) != NULL);
    certreload_view_free(view);
    CHECK_INT(dropped, 1);
    certreload_generation_release(generation);
    CHECK_INT(dropped, 2);
    dropped = 0;
}

int main(void) {
    for (int at = 0; at < 2; at++) {
        chains[at] = scratch("%d.chain", at);
        keys[at] = scratch("%d.key", at);
        make_pair(chains[at], keys[at], at == 0 ? "one.test" : "two.test");
    }
    one_renewal_prepares_one_identity();
    refused_identity_is_not_published();
    adapter_that_waits_for_its_handle_is_told_so();
    more_than_the_most_adapters_are_refused();
    trust_store_is_prepared_and_shown();
    forked_child_has_the_objects_of_its_parent();
    view_outlives_its_handle();
    return 0;
}
