/*
 * The destructor of a callback's userdata: called exactly once, after the last call of the
 * callback, when neither options nor an open handle can call it any more. If the setter fails, it
 * is never called.
 */

#define _GNU_SOURCE

#include "support.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *chain, *key;

/* Userdata that lives on after its destructor, so that a late call would be seen. */
typedef struct {
    atomic_int calls, frees;
    certreload_handle *handle;
} userdata;

static void free_userdata(void *data) {
    atomic_fetch_add(&((userdata *)data)->frees, 1);
}

static void use(userdata *self) {
    CHECK_INT(atomic_load(&self->frees), 0);
    atomic_fetch_add(&self->calls, 1);
}

static void on_event(void *data, const certreload_event *event) {
    (void)event;
    use(data);
}

static void on_line(void *data, certreload_log_level level, const char *message) {
    (void)level;
    (void)message;
    use(data);
}

static bool on_password(void *data, const char *path, char *password, size_t size, size_t *length) {
    (void)path;
    (void)size;
    use(data);
    memcpy(password, "secret", 6);
    *length = 6;
    return true;
}

/* A thread of the library may be the last one to have used it. */
static void await_freed(userdata *self) {
    const struct timespec pause = {0, 1000000};
    for (int i = 0; i < PATIENCE_SECONDS * 1000 && atomic_load(&self->frees) == 0; i++)
        nanosleep(&pause, NULL);
    CHECK_INT(atomic_load(&self->frees), 1);
}

static void await_call(userdata *self) {
    const struct timespec pause = {0, 1000000};
    for (int i = 0; i < PATIENCE_SECONDS * 1000 && atomic_load(&self->calls) == 0; i++)
        nanosleep(&pause, NULL);
    CHECK(atomic_load(&self->calls) > 0);
}

static certreload_options *options_with(userdata *data) {
    certreload_options *options = unwatched_options(chain, key, 0);
    if (data != NULL)
        CHECK_OK(certreload_options_set_event_callback(options, on_event, data, free_userdata));
    return options;
}

static void options_freed_without_open_free_userdata(void) {
    static userdata event, password;
    test_begin(__func__);
    certreload_options *options = options_with(&event);
    CHECK_OK(certreload_options_set_key_password_callback(options, on_password, &password,
                                                          free_userdata));
    CHECK_INT(event.frees, 0);
    CHECK_INT(password.frees, 0);
    certreload_options_free(options);
    CHECK_INT(event.frees, 1);
    CHECK_INT(password.frees, 1);
    CHECK_INT(event.calls + password.calls, 0);
}

static void options_callback_that_is_replaced_frees_userdata(void) {
    static userdata first, second, password, other;
    test_begin(__func__);
    certreload_options *options = options_with(&first);
    CHECK_OK(certreload_options_set_event_callback(options, on_event, &second, free_userdata));
    CHECK_INT(first.frees, 1);
    CHECK_OK(certreload_options_set_event_callback(options, NULL, NULL, NULL));
    CHECK_INT(second.frees, 1);
    CHECK_OK(certreload_options_set_key_password_callback(options, on_password, &password,
                                                          free_userdata));
    CHECK_OK(
        certreload_options_set_key_password_callback(options, on_password, &other, free_userdata));
    CHECK_INT(password.frees, 1);
    CHECK_OK(certreload_options_set_key_password_file(options, key));
    CHECK_INT(other.frees, 1);
    certreload_options_free(options);
    CHECK_INT(first.frees + second.frees + password.frees + other.frees, 4);
}

static void failed_open_leaves_userdata_to_the_options(void) {
    static userdata event, password;
    test_begin(__func__);
    certreload_options *options = options_with(&event);
    CHECK_OK(certreload_options_set_key_password_callback(options, on_password, &password,
                                                          free_userdata));
    CHECK_OK(certreload_options_require_name(options, "other.test"));
    certreload_handle *handle = NULL;
    CHECK_RESULT(certreload_open(options, &handle), NAME_MISSING);
    CHECK_RESULT(certreload_check(options), NAME_MISSING);
    CHECK_INT(event.frees + password.frees, 0);
    certreload_options_free(options);
    CHECK_INT(event.frees, 1);
    CHECK_INT(password.frees, 1);
}

static void userdata_lives_until_options_and_handles_are_gone(certreload_runtime runtime) {
    userdata data, password;
    memset(&data, 0, sizeof data);
    memset(&password, 0, sizeof password);
    certreload_options *options = options_with(&data);
    CHECK_OK(certreload_options_set_key_password_callback(options, on_password, &password,
                                                          free_userdata));
    CHECK_OK(certreload_options_set_runtime(options, runtime));
    certreload_handle *one = NULL, *two = NULL;
    CHECK_OK(certreload_open(options, &one));
    CHECK_OK(certreload_open(options, &two));
    certreload_options_free(options);
    certreload_close(one);
    CHECK_INT(data.frees + password.frees, 0);
    if (runtime == CERTRELOAD_RUNTIME_HOST)
        CHECK_OK(certreload_dispatch(two));
    await_call(&data);
    certreload_close(two);
    await_freed(&data);
    await_freed(&password);
}

static void close_of_the_last_handle_frees_userdata(void) {
    test_begin(__func__);
    userdata_lives_until_options_and_handles_are_gone(CERTRELOAD_RUNTIME_THREAD);
    userdata_lives_until_options_and_handles_are_gone(CERTRELOAD_RUNTIME_HOST);
}

static certreload_handle *open_with(userdata *data) {
    certreload_options *options = options_with(data);
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    return handle;
}

static void callback_that_is_replaced_or_unregistered_frees_userdata(void) {
    static userdata first, second;
    test_begin(__func__);
    certreload_handle *handle = open_with(&first);
    await_call(&first);
    CHECK_OK(certreload_set_event_callback(handle, on_event, &second, free_userdata));
    await_freed(&first);
    CHECK_OK(certreload_set_event_callback(handle, NULL, NULL, NULL));
    await_freed(&second);
    /* Without a callback the library does not take the userdata. */
    static userdata none;
    CHECK_OK(certreload_set_event_callback(handle, NULL, &none, free_userdata));
    certreload_close(handle);
    CHECK_INT(none.frees, 0);
    CHECK_INT(first.frees + second.frees, 2);
}

static void unregister_inside(void *data, const certreload_event *event) {
    userdata *self = data;
    on_event(data, event);
    CHECK_OK(certreload_set_event_callback(self->handle, NULL, NULL, NULL));
    CHECK_INT(self->frees, 0);
}

static void close_inside(void *data, const certreload_event *event) {
    userdata *self = data;
    on_event(data, event);
    certreload_close(self->handle);
    CHECK_INT(self->frees, 0);
}

/* The call that ends the use is the last one, so the userdata lives until it returns. */
static void callback_that_ends_its_own_use_keeps_userdata_until_it_returns(void) {
    static userdata unregisters, closes;
    test_begin(__func__);
    unregisters.handle = open_with(NULL);
    CHECK_OK(certreload_set_event_callback(unregisters.handle, unregister_inside, &unregisters,
                                           free_userdata));
    closes.handle = open_with(NULL);
    CHECK_OK(certreload_set_event_callback(closes.handle, close_inside, &closes, free_userdata));
    renew_pair(chain, key, "userdata.test");
    CHECK_OK(certreload_reload(unregisters.handle));
    CHECK_OK(certreload_reload(closes.handle));
    await_freed(&unregisters);
    await_freed(&closes);
    CHECK_INT(unregisters.calls, 1);
    CHECK_INT(closes.calls, 1);
    certreload_close(unregisters.handle);
}

/* A destructor may be the one of an object that owns a handle. */
static void close_the_handle(void *data) {
    free_userdata(data);
    certreload_close(((userdata *)data)->handle);
}

static void destructor_may_close_a_handle(void) {
    static userdata owner;
    test_begin(__func__);
    certreload_handle *handle = open_with(NULL);
    owner.handle = open_with(NULL);
    CHECK_OK(certreload_set_event_callback(handle, on_event, &owner, close_the_handle));
    CHECK_OK(certreload_set_event_callback(handle, NULL, NULL, NULL));
    await_freed(&owner);
    certreload_close(handle);
    /* Its own handle, too: the destructor runs without a lock of the library. */
    static userdata self;
    self.handle = open_with(NULL);
    CHECK_OK(certreload_set_event_callback(self.handle, on_event, &self, close_the_handle));
    CHECK_OK(certreload_set_event_callback(self.handle, NULL, NULL, NULL));
    await_freed(&self);
}

static void log_callback_that_is_replaced_frees_userdata(void) {
    static userdata first, second;
    test_begin(__func__);
    CHECK_OK(
        certreload_set_log_callback(on_line, &first, free_userdata, CERTRELOAD_LOG_LEVEL_DEBUG));
    certreload_close(open_with(NULL));
    CHECK(first.calls > 0);
    CHECK_INT(first.frees, 0);
    CHECK_OK(
        certreload_set_log_callback(on_line, &second, free_userdata, CERTRELOAD_LOG_LEVEL_DEBUG));
    CHECK_INT(first.frees, 1);
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, 0));
    CHECK_INT(second.frees, 1);
}

static void replace_inside(void *data, certreload_log_level level, const char *message) {
    userdata *self = data;
    on_line(data, level, message);
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, 0));
    CHECK_INT(self->frees, 0);
}

static void log_callback_that_replaces_itself_keeps_userdata_until_it_returns(void) {
    static userdata data;
    test_begin(__func__);
    CHECK_OK(certreload_set_log_callback(replace_inside, &data, free_userdata,
                                         CERTRELOAD_LOG_LEVEL_DEBUG));
    certreload_close(open_with(NULL));
    await_freed(&data);
    CHECK_INT(data.calls, 1);
}

/* The caller keeps what a setter that fails was given. */
static void setters_that_fail_do_not_free_userdata(void) {
    static userdata data;
    test_begin(__func__);
    CHECK_RESULT(certreload_options_set_event_callback(NULL, on_event, &data, free_userdata),
                 NULL_PARAMETER);
    CHECK_RESULT(
        certreload_options_set_key_password_callback(NULL, on_password, &data, free_userdata),
        NULL_PARAMETER);
    CHECK_RESULT(certreload_set_event_callback(NULL, on_event, &data, free_userdata),
                 NULL_PARAMETER);
    CHECK_RESULT(certreload_set_log_callback(on_line, &data, free_userdata, 6), INVALID_PARAMETER);
    CHECK_INT(data.frees, 0);
}

int main(void) {
    chain = scratch("chain.pem");
    key = scratch("key.pem");
    make_pair(chain, key, "userdata.test");
    options_freed_without_open_free_userdata();
    options_callback_that_is_replaced_frees_userdata();
    failed_open_leaves_userdata_to_the_options();
    close_of_the_last_handle_frees_userdata();
    callback_that_is_replaced_or_unregistered_frees_userdata();
    callback_that_ends_its_own_use_keeps_userdata_until_it_returns();
    destructor_may_close_a_handle();
    log_callback_that_is_replaced_frees_userdata();
    log_callback_that_replaces_itself_keeps_userdata_until_it_returns();
    setters_that_fail_do_not_free_userdata();
    return 0;
}
