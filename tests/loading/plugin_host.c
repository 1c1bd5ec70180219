/*
 * A program that is not linked with the library: it loads it, or a plugin that is, uses it and
 * unloads it, over and over. Threads, descriptors, mappings and memory stay as they were. The
 * library itself stays mapped (-z nodelete): what runs in it when it is unloaded goes on.
 *
 * Each test is a process of its own, for a library that has been loaded once is never loaded anew.
 */

#define _GNU_SOURCE
#include "peer.h"
#include "rustls_peer.h"
#include "support.h"

#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* So many rounds, or for so long, where that is less; WARM_UP of them before anything is counted.
 */
enum { ROUNDS = 200, WARM_UP = 60, SECONDS = 6, THREADS = 8 };

#define FUNCTIONS(X)                                                                               \
    X(certreload_open_files)                                                                       \
    X(certreload_close)                                                                            \
    X(certreload_reload_wait)                                                                      \
    X(certreload_server_connection_new)                                                            \
    X(certreload_set_event_callback)                                                               \
    X(certreload_last_error)

/* The library as it is at this moment. */
typedef struct {
    void *library;
#define X(name) __typeof__(name) *name;
    FUNCTIONS(X)
#undef X
    rustls_functions rustls;
    const rustls_client_config *clients;
} loaded;

static const char *chain, *key, *roots;

static loaded load(int flags) {
    loaded use = {.library = dlopen(CERTRELOAD_LIBRARY, flags)};
    if (use.library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(use.library != NULL);
#define X(name) find_function(use.library, #name, &use.name, sizeof use.name);
    FUNCTIONS(X)
#undef X
    rustls_functions_of(use.library, &use.rustls);
    use.clients = rustls_client_trusting(&use.rustls, roots);
    return use;
}

static void unload(loaded *use) {
    use->rustls.rustls_client_config_free(use->clients);
    CHECK_INT(dlclose(use->library), 0);
}

static bool is_loaded(const char *file) {
    void *library = dlopen(file, RTLD_NOW | RTLD_NOLOAD);
    if (library != NULL)
        dlclose(library);
    return library != NULL;
}

/* To look is to open and close, and what nobody uses any more goes with the next one that closes.
 */
static bool stays_loaded(const char *file) {
    return is_loaded(file) && is_loaded(file);
}

static void shake_hands(const loaded *use, certreload_handle *handle) {
    int fds[2];
    peer_sockets(fds);
    rustls_connection *server = NULL;
    CHECK_INT(use->certreload_server_connection_new(handle, &server), CERTRELOAD_RESULT_OK);
    talk(rustls_peer(&use->rustls, server, fds[0]),
         rustls_client_peer(&use->rustls, use->clients, "one.test", fds[1]));
}

/* What a plugin does in its life. */
static void load_use_unload(int flags) {
    loaded use = load(flags);
    certreload_handle *handle = NULL;
    CHECK_INT(use.certreload_open_files("/no/such/file", key, &handle),
              CERTRELOAD_RESULT_FILE_NOT_FOUND);
    CHECK_CONTAINS(use.certreload_last_error(), "/no/such/file");
    CHECK_INT(use.certreload_open_files(chain, key, &handle), CERTRELOAD_RESULT_OK);
    shake_hands(&use, handle);
    CHECK_INT(use.certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER),
              CERTRELOAD_RESULT_UNCHANGED);
    use.certreload_close(handle);
    unload(&use);
}

typedef struct {
    int threads, descriptors, mappings;
    size_t allocated;
} holdings;

static int entries_of(const char *directory) {
    int count = 0;
    DIR *entries = opendir(directory);
    CHECK(entries != NULL);
    while (readdir(entries) != NULL)
        count++;
    closedir(entries);
    return count;
}

/* Those of files: what an allocator maps is its own affair. */
static int mappings(void) {
    int count = 0;
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL)
        count += strchr(line, '/') != NULL;
    fclose(maps);
    return count;
}

static holdings what_is_held(void) {
    return (holdings){entries_of("/proc/self/task"), entries_of("/proc/self/fd"), mappings(),
                      mallinfo2().uordblks};
}

static bool is_time_left(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec - start->tv_sec < SECONDS;
}

/* What an allocator keeps for later comes and goes; 400 bytes lost in each round would be too much.
 * Where there is no time for that many rounds (valgrind looks at memory itself), it is not counted.
 */
static void stays_flat(void (*round)(void)) {
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    holdings first = {0};
    int rounds = 0;
    for (; rounds < ROUNDS && (rounds < 2 || is_time_left(&start)); rounds++) {
        if (rounds == 1 || rounds == WARM_UP)
            first = what_is_held();
        round();
    }
    holdings last = what_is_held();
    long long grown = (long long)last.allocated - (long long)first.allocated;
    printf("%d rounds, %lld bytes more\n", rounds, grown);
    fflush(stdout);
    CHECK_INT(last.threads, first.threads);
    CHECK_INT(last.descriptors, first.descriptors);
    CHECK_INT(last.mappings, first.mappings);
    if (rounds > 2 * WARM_UP)
        CHECK(grown < 96 * 1024);
}

static void one_round(void) {
    load_use_unload(RTLD_NOW | RTLD_LOCAL);
}

static void loading_and_unloading_leaves_nothing(void) {
    stays_flat(one_round);
    CHECK(stays_loaded(CERTRELOAD_LIBRARY));
}

/* A thread that ends lets go of what it has used: that would let the library go, too. */
static void in_a_thread_of_its_own(void *(*body)(void *), void *argument) {
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, body, argument), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
}

static void *one_round_here(void *unused) {
    one_round();
    return unused;
}

static void one_round_in_a_thread(void) {
    in_a_thread_of_its_own(one_round_here, NULL);
}

static void a_thread_may_load_and_unload(void) {
    stays_flat(one_round_in_a_thread);
    CHECK(stays_loaded(CERTRELOAD_LIBRARY));
}

/* With its own names first, which changes nothing: it calls itself without looking them up. */
static void it_can_be_loaded_with_deepbind(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    puts("NOT TESTED: plugins under sanitizers");
#else
    load_use_unload(RTLD_LAZY | RTLD_LOCAL | RTLD_DEEPBIND);
#endif
}

static void it_can_be_loaded_for_everybody(void) {
    load_use_unload(RTLD_NOW | RTLD_GLOBAL);
}

static struct {
    certreload_handle *handle;
    rustls_connection *server;
    recorder events;
} left = {NULL, NULL, RECORDER_INITIALIZER};

static void *leave_open(void *unused) {
    loaded use = load(RTLD_NOW | RTLD_LOCAL);
    CHECK_INT(use.certreload_open_files(chain, key, &left.handle), CERTRELOAD_RESULT_OK);
    CHECK_INT(use.certreload_set_event_callback(left.handle, recorder_callback, &left.events, NULL),
              CERTRELOAD_RESULT_OK);
    CHECK_INT(use.certreload_server_connection_new(left.handle, &left.server),
              CERTRELOAD_RESULT_OK);
    unload(&use);
    return unused;
}

static void a_handle_that_is_left_open_goes_on(void) {
    in_a_thread_of_its_own(leave_open, NULL);
    CHECK(stays_loaded(CERTRELOAD_LIBRARY));
    renew_pair(chain, key, "one.test");
    const recorded_event *event = recorder_next(&left.events);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(event->generation, 2);

    /* Loaded again it is the same one: the connection and the handle are still its own. */
    loaded use = load(RTLD_NOW | RTLD_LOCAL);
    int fds[2];
    peer_sockets(fds);
    talk(rustls_peer(&use.rustls, left.server, fds[0]),
         rustls_client_peer(&use.rustls, use.clients, "one.test", fds[1]));
    shake_hands(&use, left.handle);
    use.certreload_close(left.handle);
    unload(&use);
    CHECK_INT(entries_of("/proc/self/task"), 3);
}

static struct {
    loaded use;
    certreload_handle *handle;
    pthread_barrier_t used, unloaded;
} shared;

/* Leaves values of this thread behind in the library: an error, a random number generator. */
static void *use_and_end_later(void *unused) {
    certreload_handle *none = NULL;
    CHECK_INT(shared.use.certreload_open_files("/no/such/file", key, &none),
              CERTRELOAD_RESULT_FILE_NOT_FOUND);
    shake_hands(&shared.use, shared.handle);
    pthread_barrier_wait(&shared.used);
    pthread_barrier_wait(&shared.unloaded);
    return unused;
}

static void threads_end_after_what_they_used_was_unloaded(void) {
    pthread_barrier_init(&shared.used, NULL, THREADS + 1);
    pthread_barrier_init(&shared.unloaded, NULL, THREADS + 1);
    for (int round = 0; round < 3; round++) {
        shared.use = load(RTLD_NOW | RTLD_LOCAL);
        CHECK_INT(shared.use.certreload_open_files(chain, key, &shared.handle),
                  CERTRELOAD_RESULT_OK);
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            CHECK_INT(pthread_create(&threads[i], NULL, use_and_end_later, NULL), 0);
        pthread_barrier_wait(&shared.used);
        shared.use.certreload_close(shared.handle);
        unload(&shared.use);
        pthread_barrier_wait(&shared.unloaded);
        for (int i = 0; i < THREADS; i++)
            CHECK_INT(pthread_join(threads[i], NULL), 0);
    }
}

/* A plugin that is linked with the library, and is gone after each round. */
static void one_round_of_a_plugin(void) {
    void *plugin = dlopen(CERTRELOAD_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (plugin == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(plugin != NULL);
    int (*serve)(const char *, const char *) = NULL;
    find_function(plugin, "plugin_serve", &serve, sizeof serve);
    CHECK_INT(serve(chain, key), 0);
    CHECK_INT(dlclose(plugin), 0);
    CHECK(!is_loaded(CERTRELOAD_PLUGIN));
}

static void a_plugin_that_uses_it_comes_and_goes(void) {
    stays_flat(one_round_of_a_plugin);
    CHECK(stays_loaded(CERTRELOAD_LIBRARY));
}

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
#define X(name) {#name, name},
    X(loading_and_unloading_leaves_nothing) X(a_thread_may_load_and_unload)
        X(it_can_be_loaded_with_deepbind) X(it_can_be_loaded_for_everybody)
            X(a_handle_that_is_left_open_goes_on) X(threads_end_after_what_they_used_was_unloaded)
                X(a_plugin_that_uses_it_comes_and_goes)
#undef X
};

int main(void) {
    chain = scratch("one.chain");
    key = scratch("one.key");
    roots = root_certificate();
    make_pair(chain, key, "one.test");
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        test_begin(tests[i].name);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(4 * PATIENCE_SECONDS);
            CHECK(!is_loaded(CERTRELOAD_LIBRARY));
            tests[i].run();
            return 0;
        }
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK_INT(status, 0);
    }
    return 0;
}
