/*
 * A system that refuses: threads, then open fails with a code and leaves nothing behind; inotify,
 * then polling goes on alone, says so, and the watch comes back by itself (G19).
 */

#define _GNU_SOURCE
#include "support.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>

/* Which thread from now on is refused; 0 for none. */
static atomic_int refused;

/* Where there is a sanitizer in the program, it has to know of threads. */
int __interceptor_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *)
    __attribute__((weak));

/* Stands before the C library's, for the library under test as well. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (real == NULL)
        real = __interceptor_pthread_create;
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (atomic_load(&refused) > 0 && atomic_fetch_sub(&refused, 1) == 1)
        return EAGAIN;
    return real(thread, attributes, start, argument);
}

/* How many more times inotify is refused. */
static atomic_int no_instances, no_watches;

static int is_refused(atomic_int *times) {
    return atomic_load(times) > 0 && atomic_fetch_sub(times, 1) > 0;
}

int inotify_init1(int flags) {
    static int (*real)(int);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "inotify_init1");
    if (!is_refused(&no_instances))
        return real(flags);
    errno = EMFILE;
    return -1;
}

int inotify_add_watch(int fd, const char *path, uint32_t mask) {
    static int (*real)(int, const char *, uint32_t);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "inotify_add_watch");
    if (!is_refused(&no_watches))
        return real(fd, path, mask);
    errno = ENOSPC;
    return -1;
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
    /* Without a thread to read on, the calling thread reads. */
    atomic_store(&refused, 1);
    CHECK_OK(certreload_open_files(chain, key, &handle));
    CHECK_INT(atomic_load(&refused), 0);
    certreload_close(handle);
    handle = NULL;
    for (int nth = 2, failures = 0; failures < 2; nth++) {
        CHECK(nth < 200);
        atomic_store(&refused, nth);
        const certreload_result result = certreload_open_files(chain, key, &handle);
        if (result == CERTRELOAD_RESULT_OK) {
            /* On a slow machine, the refused thread was one more that reads. */
            atomic_store(&refused, 0);
            certreload_close(handle);
            handle = NULL;
            continue;
        }
        CHECK_RESULT(result, SYSTEM);
        failures++;
        CHECK(handle == NULL);
        CHECK_CONTAINS(certreload_last_error(), "thread");
        CHECK_INT(atomic_load(&refused), 0);
        CHECK_INT(count("/proc/self/fd"), descriptors);
    }
}

/* `times` is one of the two above; `knob` what the message must name. */
static void polling_continues_alone(const char *chain, const char *key, atomic_int *times,
                                    const char *knob) {
    test_begin(knob);
    static recorder events;
    events = (recorder)RECORDER_INITIALIZER;
    certreload_options *options = certreload_options_new();
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events, NULL));
    CHECK_OK(certreload_options_set_poll_interval_ms(options, 50));
    atomic_store(times, 1000000);
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    const recorded_event *degraded = recorder_next(&events);
    CHECK_INT(degraded->kind, CERTRELOAD_EVENT_KIND_WATCH_DEGRADED);
    CHECK_CONTAINS(degraded->message, knob);
    CHECK_INT(status_of(handle).watch, CERTRELOAD_WATCH_STATE_DEGRADED);
    renew_pair(chain, key, "one.test");
    CHECK_INT(recorder_next(&events)->generation, 2);
    atomic_store(times, 0);
    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_WATCH_RESTORED);
    CHECK_INT(status_of(handle).watch, CERTRELOAD_WATCH_STATE_NOTIFIED);
    renew_pair(chain, key, "one.test");
    CHECK_INT(recorder_next(&events)->generation, 3);
    certreload_close(handle);
}

int main(void) {
    const char *chain = scratch("one.chain"), *key = scratch("one.key");
    make_pair(chain, key, "one.test");
    a_refused_thread_is_a_code_and_leaves_nothing_behind(chain, key);
    polling_continues_alone(chain, key, &no_instances, "fs.inotify.max_user_instances");
    polling_continues_alone(chain, key, &no_watches, "fs.inotify.max_user_watches");
    return 0;
}
