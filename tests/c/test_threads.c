/*
 * A system that refuses threads: at open a code, and nothing left behind; where only the notifier's
 * thread is refused, polling goes on alone, says so, and the watch comes back by itself (G19).
 */

#define _GNU_SOURCE
#include "support.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>

/* Which thread from now on is refused; 0 for none. */
static atomic_int refused;

/* Stands before the C library's, for the library under test as well. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (atomic_load(&refused) > 0 && atomic_fetch_sub(&refused, 1) == 1)
        return EAGAIN;
    return real(thread, attributes, start, argument);
}

static int count(const char *directory) {
    DIR *entries = opendir(directory);
    int found = 0;
    CHECK(entries != NULL);
    while (readdir(entries) != NULL)
        found++;
    closedir(entries);
    return found;
}

static void a_refused_thread_is_a_code_and_leaves_nothing_behind(const char *chain,
                                                                 const char *key) {
    test_begin(__func__);
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_check(options)); /* opens what a process opens once */
    certreload_options_free(options);
    certreload_handle *handle = NULL;
    int descriptors = count("/proc/self/fd");
    for (int nth = 1; nth <= 2; nth++) {
        atomic_store(&refused, nth);
        CHECK_RESULT(certreload_open_files(chain, key, &handle), SYSTEM);
        CHECK(handle == NULL);
        CHECK_CONTAINS(certreload_last_error(), "thread");
        CHECK_INT(atomic_load(&refused), 0);
        CHECK_INT(count("/proc/self/fd"), descriptors);
    }
}

static void without_the_notifiers_thread_polling_goes_on(const char *chain, const char *key) {
    test_begin(__func__);
    static recorder events = RECORDER_INITIALIZER;
    certreload_options *options = certreload_options_new();
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events));
    CHECK_OK(certreload_options_set_poll_interval(options, 100));
    atomic_store(&refused, 3);
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_WATCH_DEGRADED);
    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_WATCH_RESTORED);
    CHECK_INT(status_of(handle).watch, CERTRELOAD_WATCH_STATE_NOTIFIED);
    renew_pair(chain, key, "one.test");
    CHECK_INT(recorder_next(&events)->generation, 2);
    certreload_close(handle);
}

int main(void) {
    const char *chain = scratch("one.chain"), *key = scratch("one.key");
    make_pair(chain, key, "one.test");
    a_refused_thread_is_a_code_and_leaves_nothing_behind(chain, key);
    without_the_notifiers_thread_polling_goes_on(chain, key);
    return 0;
}
