/*
 * The stacks of the background threads: modest, the same whatever the host's limits are, and much
 * larger than what is used of them, for the host's callbacks run there, too (G10). And what calls
 * use of the stack of the host's own thread, which may be a small one.
 */

#define _GNU_SOURCE
#include "process.h"

#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum {
    KIB = 1024,
    MOST_ADDRESS_SPACE = 1024 * KIB, /* of each thread */
    LEFT_FOR_CALLBACKS = 256 * KIB,  /* of each thread */
    SMALL_STACK = 256 * KIB,         /* of a host that has thousands of threads */
    LONGEST_CHAIN = 64
};

struct stack {
    char *lowest;
    size_t size;
};

static struct stack worker, delivery;

static struct stack stack_of_this_thread(void) {
    pthread_attr_t attributes;
    void *lowest = NULL;
    struct stack stack = {NULL, 0};
    CHECK_INT(pthread_getattr_np(pthread_self(), &attributes), 0);
    CHECK_INT(pthread_attr_getstack(&attributes, &lowest, &stack.size), 0);
    CHECK_INT(pthread_attr_destroy(&attributes), 0);
    stack.lowest = lowest;
    return stack;
}

/* How much of it was ever touched: the kernel gives a page when it is first written to, and does
 * not take it back. */
static size_t used(const struct stack *stack) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = stack->size / page, untouched = 0;
    unsigned char *present = malloc(pages);
    CHECK(present != NULL && (uintptr_t)stack->lowest % page == 0);
    CHECK_INT(mincore(stack->lowest, stack->size, present), 0);
    while (untouched < pages && (present[untouched] & 1) == 0)
        untouched++;
    free(present);
    return (pages - untouched) * page;
}

/* Instrumented code takes more. */
static size_t small_stack(void) {
    return is_under_a_tool() ? 4 * SMALL_STACK : SMALL_STACK;
}

/* Called by the worker, when a key is new; and by open, on the host's thread. */
static bool password(void *userdata, const char *key_path, char *password_out, size_t password_size,
                     size_t *length_out) {
    (void)key_path;
    CHECK(password_size >= strlen("secret"));
    memcpy(password_out, "secret", *length_out = strlen("secret"));
    if (!pthread_equal(*(pthread_t *)userdata, pthread_self()))
        worker = stack_of_this_thread();
    return true;
}

static void on_event(void *userdata, const certreload_event *event) {
    delivery = stack_of_this_thread();
    recorder_callback(userdata, event);
}

/* The most that there can be to load: as many certificates as are read, in an order that has to be
 * put right, with warnings of each; a key of the kind whose signatures take the most stack; and
 * twice, for the second time it is the worker who loads it. */
static void make_hardest_pairs(void) {
    root_certificate();
    shell("printf 'basicConstraints=critical,CA:TRUE\\n' >issuer.ext && cp ca.pem issuer.pem"
          " && for i in $(seq 2 %d); do"
          " openssl req -new -key ca.key -config ca.cnf -subj /CN=issuer$i -out issuer.csr;"
          " openssl x509 -req -in issuer.csr -CA issuer.pem -CAkey ca.key -CAcreateserial"
          " -days 1 -extfile issuer.ext -out next.pem;"
          " mv next.pem issuer.pem; cat issuer.pem >>issuers.pem; done",
          LONGEST_CHAIN);
    shell("printf 'subjectAltName=DNS:one.test\\n' >leaf.ext; umask 077; for pair in first second;"
          " do openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-521 -nodes -config ca.cnf"
          " -subj /CN=one.test -out leaf.csr -keyout plain.key;"
          " openssl x509 -req -in leaf.csr -CA issuer.pem -CAkey ca.key -CAcreateserial -days 2"
          " -extfile leaf.ext -out $pair.chain; cat issuers.pem >>$pair.chain;"
          " openssl pkcs8 -topk8 -v2 aes-256-cbc -in plain.key -passout pass:secret -out $pair.key;"
          " done");
}

static certreload_handle *open_on(const char *chain, const char *key, certreload_runtime runtime,
                                  recorder *events) {
    static pthread_t host;
    host = pthread_self();
    certreload_handle *handle = NULL;
    certreload_options *options = unwatched_options(chain, key, 0);
    CHECK_OK(certreload_options_set_key_password_callback(options, password, &host, NULL));
    CHECK_OK(certreload_options_set_event_callback(options, on_event, events, NULL));
    CHECK_OK(certreload_options_set_runtime(options, runtime));
    CHECK_OK(certreload_check(options));
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    return handle;
}

static void modest(const char *name, const struct stack *stack) {
    size_t touched = used(stack);
    printf("  %s: %zu KiB, of which %zu KiB were used\n", name, stack->size / KIB, touched / KIB);
    CHECK(stack->size <= MOST_ADDRESS_SPACE);
    if (!is_under_a_tool())
        CHECK(stack->size - touched >= LEFT_FOR_CALLBACKS);
}

/* In a process of its own, with the pairs in `made`. */
static void the_stacks_are_modest(const char *made) {
    static recorder events = RECORDER_INITIALIZER;
    const char *chain = scratch("chain"), *key = scratch("key");
    shell("cp '%s/first.chain' chain; cp '%s/first.key' key", made, made);
    certreload_handle *handle = open_on(chain, key, CERTRELOAD_RUNTIME_THREAD, &events);
    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    shell("cp '%s/second.chain' chain; cp '%s/second.key' key", made, made);
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    shell("echo none >key"); /* a failure, with all that is said of it */
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), NO_PRIVATE_KEY);
    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_RELOAD_FAILED);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(scratch("chain")));
    modest("certreload", &worker);
    modest("certreload-evt", &delivery);
    certreload_close(handle);
}

/* The C library takes the limit for the size of threads' stacks when the process starts, so this is
 * begun anew under each. */
static void the_stacks_do_not_depend_on_the_limit(const char *self, rlim_t limit) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct rlimit stack;
        CHECK_INT(getrlimit(RLIMIT_STACK, &stack), 0);
        stack.rlim_cur = limit;
        if (setrlimit(RLIMIT_STACK, &stack) != 0)
            printf("  NOT TESTED: the limit cannot be raised\n");
        fflush(stdout);
        execl(self, self, scratch("."), (char *)NULL);
        _exit(127);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

static void *do_all_the_work(void *unused) {
    static recorder events = RECORDER_INITIALIZER;
    const char *chain = scratch("chain"), *key = scratch("key");
    shell("cp first.chain chain; cp first.key key");
    certreload_handle *handle = open_on(chain, key, CERTRELOAD_RUNTIME_HOST, &events);
    struct stack stack = stack_of_this_thread();
    printf("  certreload_open: %zu of %zu KiB were used\n", used(&stack) / KIB, stack.size / KIB);
    shell("cp second.chain chain; cp second.key key");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_OK(certreload_dispatch(handle));
    CHECK_INT(recorder_next(&events)->generation, 1);
    CHECK_INT(recorder_next(&events)->generation, 2);
    certreload_close(handle);
    printf("  and with a reload: %zu\n", used(&stack) / KIB);
    return unused;
}

static void a_small_thread_of_the_host_can_do_all_the_work(void) {
    test_begin(__func__);
    pthread_t thread;
    pthread_attr_t attributes;
    CHECK_INT(pthread_attr_init(&attributes), 0);
    CHECK_INT(pthread_attr_setstacksize(&attributes, small_stack()), 0);
    CHECK_INT(pthread_create(&thread, &attributes, do_all_the_work, NULL), 0);
    CHECK_INT(pthread_attr_destroy(&attributes), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        the_stacks_are_modest(argv[1]);
        return 0;
    }
    make_hardest_pairs();
    const rlim_t limits[] = {small_stack(), 8192 * KIB, RLIM_INFINITY};
    test_begin("the_stacks_are_modest_whatever_the_limit_is");
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        the_stacks_do_not_depend_on_the_limit(argv[0], limits[i]);
    a_small_thread_of_the_host_can_do_all_the_work();
    return 0;
}
