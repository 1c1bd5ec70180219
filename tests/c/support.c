#define _GNU_SOURCE
#include "support.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *running_test = "set-up";

void test_begin(const char *name) {
    running_test = name;
    printf("%s\n", name);
    fflush(stdout);
}

static void fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

static void fail(const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: in %s: ", file, line, running_test);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

void check_true(const char *file, int line, bool condition, const char *text) {
    if (!condition)
        fail(file, line, "%s is not so", text);
}

void check_int(const char *file, int line, const char *text, long long actual, long long expected) {
    if (actual != expected)
        fail(file, line, "%s is %lld, expected %lld", text, actual, expected);
}

void check_str(const char *file, int line, const char *text, const char *actual,
               const char *expected) {
    if (actual == NULL || strcmp(actual, expected) != 0)
        fail(file, line, "%s is \"%s\", expected \"%s\"", text, actual ? actual : "(NULL)",
             expected);
}

void check_contains(const char *file, int line, const char *text, const char *actual,
                    const char *part) {
    if (actual == NULL || strstr(actual, part) == NULL)
        fail(file, line, "%s is \"%s\", expected \"%s\" in it", text, actual ? actual : "(NULL)",
             part);
}

void check_for_operators(const char *message, const char *path) {
    static const char *const foreign[] = {
        "(os error", "panicked at", "unwrap()", "::", "Some(", "Ok(",
        "Err(",      "ErrorKind",   "{ ",       " }", "None",  "webpki"};
    char text[2048];
    size_t length = 0, skip = strlen(path);
    /* What is in quotation marks is quoted from files. */
    bool is_quoted = false;
    for (const char *next = message; *next != '\0' && length < sizeof text - 1;) {
        if (skip > 0 && strncmp(next, path, skip) == 0) {
            next += skip;
            continue;
        }
        is_quoted ^= *next == '"';
        if (!is_quoted)
            text[length++] = *next;
        next++;
    }
    text[length] = '\0';
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (strstr(text, foreign[i]) != NULL)
            fail(__FILE__, __LINE__, "\"%s\" is in a message: %s", foreign[i], message);
}

void check_result(const char *file, int line, const char *text, certreload_result actual,
                  certreload_result expected) {
    /* Not after a success: a thread whose variables are gone must not get new ones. */
    if (actual != CERTRELOAD_RESULT_OK && actual != CERTRELOAD_RESULT_UNCHANGED)
        check_for_operators(certreload_last_error(), "");
    if (actual != expected)
        fail(file, line, "%s is %u (%s), expected %u (%s); last error: %s", text, (unsigned)actual,
             certreload_result_str(actual), (unsigned)expected, certreload_result_str(expected),
             certreload_last_error());
}

/* Texts that live until exit, so that callers need not free them one by one. */
struct kept_text {
    struct kept_text *next;
    char text[];
};

static struct kept_text *kept_texts;
static char scratch_dir[PATH_MAX];
static pid_t scratch_owner;

static const char *keep(const char *text) {
    size_t size = strlen(text) + 1;
    struct kept_text *kept = malloc(sizeof *kept + size);
    CHECK(kept != NULL);
    memcpy(kept->text, text, size);
    kept->next = kept_texts;
    kept_texts = kept;
    return kept->text;
}

static void clean_up(void) {
    /* A forked child that made no directory of its own leaves its parent's alone. */
    if (scratch_owner == getpid()) {
        char command[PATH_MAX + 16];
        snprintf(command, sizeof command, "rm -rf '%s'", scratch_dir);
        if (system(command) != 0)
            fprintf(stderr, "cannot remove %s\n", scratch_dir);
    }
    while (kept_texts != NULL) {
        struct kept_text *next = kept_texts->next;
        free(kept_texts);
        kept_texts = next;
    }
}

void scratch_renew(void) {
    const char *parent = getenv("TMPDIR");
    snprintf(scratch_dir, sizeof scratch_dir, "%s/certreload-test-XXXXXX",
             parent ? parent : "/tmp");
    CHECK(mkdtemp(scratch_dir) != NULL);
    if (scratch_owner == 0)
        CHECK(atexit(clean_up) == 0);
    scratch_owner = getpid();
}

static const char *scratch_directory(void) {
    if (scratch_owner == 0)
        scratch_renew();
    return scratch_dir;
}

const char *scratch(const char *format, ...) {
    char path[PATH_MAX];
    int used = snprintf(path, sizeof path, "%s/", scratch_directory());
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(path + used, sizeof path - (size_t)used, format, arguments);
    va_end(arguments);
    CHECK(more >= 0 && (size_t)(used + more) < sizeof path);
    return keep(path);
}

/* Runs a command in the scratch directory; its first line of output goes to `line`. */
static void run_shell(char *line, size_t size, const char *format, va_list arguments) {
    char command[8192];
    int used =
        snprintf(command, sizeof command, "exec 2>&1; set -e; cd '%s'; ", scratch_directory());
    int more = vsnprintf(command + used, sizeof command - (size_t)used, format, arguments);
    CHECK(more >= 0 && (size_t)(used + more) < sizeof command);

    FILE *output = popen(command, "r");
    CHECK(output != NULL);
    char all[16384];
    size_t length = fread(all, 1, sizeof all - 1, output);
    all[length] = '\0';
    if (pclose(output) != 0)
        fail(__FILE__, __LINE__, "the command failed: %s\n%s", command + used, all);
    snprintf(line, size, "%.*s", (int)strcspn(all, "\n"), all);
}

void shell(const char *format, ...) {
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    run_shell(line, sizeof line, format, arguments);
    va_end(arguments);
}

const char *shell_line(const char *format, ...) {
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    run_shell(line, sizeof line, format, arguments);
    va_end(arguments);
    return keep(line);
}

/* `openssl ca` because it is the one command that sets both dates in every OpenSSL release. */
static const char ca_config[] = "[ca]\n"
                                "default_ca = this\n"
                                "[this]\n"
                                "dir = .\n"
                                "database = ca.index\n"
                                "new_certs_dir = .\n"
                                "certificate = ca.pem\n"
                                "private_key = ca.key\n"
                                "default_md = sha256\n"
                                "rand_serial = yes\n"
                                "unique_subject = no\n"
                                "policy = anything\n"
                                "copy_extensions = copy\n"
                                "[anything]\n"
                                "commonName = supplied\n"
                                "[req]\n"
                                "distinguished_name = empty\n"
                                "[empty]\n";

const char *root_certificate(void) {
    const char *root = scratch("ca.pem");
    if (access(root, F_OK) == 0)
        return root;
    FILE *config = fopen(scratch("ca.cnf"), "w");
    CHECK(config != NULL);
    CHECK(fputs(ca_config, config) >= 0 && fclose(config) == 0);
    shell("touch ca.index && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
          " -days 3650 -config ca.cnf -subj '/CN=test root' -keyout ca.key -out ca.pem"
          " -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign");
    return root;
}

static void ca_time(char *text, size_t size, int days) {
    /* An hour back, so that "today" has begun for every clock involved. */
    time_t when = time(NULL) + (time_t)days * 86400 - 3600;
    struct tm utc;
    CHECK(gmtime_r(&when, &utc) != NULL && strftime(text, size, "%Y%m%d%H%M%SZ", &utc) > 0);
}

void make_pair_valid(const char *chain, const char *key, const char *name, int from, int until) {
    char start[32], end[32];
    ca_time(start, sizeof start, from);
    ca_time(end, sizeof end, until);
    root_certificate();
    shell("umask 077;"
          " openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config ca.cnf"
          " -subj '/CN=%s' -addext 'subjectAltName=DNS:%s' -keyout '%s' -out leaf.csr;"
          " openssl ca -batch -notext -config ca.cnf -in leaf.csr -out '%s'"
          " -startdate %s -enddate %s",
          name, name, key, chain, start, end);
}

void make_pair(const char *chain, const char *key, const char *name) {
    make_pair_valid(chain, key, name, 0, 90);
}

void renew_pair(const char *chain, const char *key, const char *name) {
    make_pair(scratch("renewed.chain"), scratch("renewed.key"), name);
    CHECK(rename(scratch("renewed.chain"), chain) == 0);
    CHECK(rename(scratch("renewed.key"), key) == 0);
}

void replace_file(const char *path, const char *source) {
    shell("cp -p '%s' replacement && mv -f replacement '%s'", source, path);
}

const char *fingerprint_of(const char *chain) {
    return shell_line("openssl x509 -in '%s' -noout -fingerprint -sha256 | "
                      "sed 's/.*=//; s/://g' | tr A-F a-f",
                      chain);
}

const char *serving_fingerprint(certreload_handle *handle) {
    const certreload_generation *generation = certreload_generation_acquire(handle);
    const certreload_identity *identity = certreload_generation_identity(generation, 0);
    CHECK(identity != NULL);
    const char *fingerprint = keep(certreload_identity_sha256(identity));
    certreload_generation_release(generation);
    return fingerprint;
}

uint64_t serving_generation(certreload_handle *handle) {
    const certreload_generation *generation = certreload_generation_acquire(handle);
    uint64_t number = certreload_generation_number(generation);
    certreload_generation_release(generation);
    return number;
}

certreload_status status_of(certreload_handle *handle) {
    certreload_status status;
    CHECK_OK(certreload_get_status(handle, &status, sizeof status));
    CHECK_INT(status.size, sizeof status);
    return status;
}

certreload_options *unwatched_options(const char *chain, const char *key, uint32_t incomplete_ms) {
    certreload_options *options = certreload_options_new();
    CHECK(options != NULL);
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_watch(options, CERTRELOAD_WATCH_OFF));
    CHECK_OK(certreload_options_set_debounce_ms(options, 0));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, incomplete_ms));
    return options;
}

void recorder_callback(void *userdata, const certreload_event *event) {
    recorder *events = userdata;
    pthread_mutex_lock(&events->mutex);
    CHECK(events->count < RECORDER_CAPACITY);
    recorded_event *record = &events->events[events->count++];
    record->kind = event->kind;
    record->trigger = event->trigger;
    record->result = event->result;
    record->warnings = event->warnings;
    record->generation = event->generation;
    record->earliest_not_after = event->earliest_not_after;
    snprintf(record->path, sizeof record->path, "%s", event->path);
    snprintf(record->message, sizeof record->message, "%s", event->message);
    check_for_operators(event->message, event->path);
    pthread_cond_broadcast(&events->arrived);
    pthread_mutex_unlock(&events->mutex);
}

const recorded_event *recorder_next(recorder *events) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += PATIENCE_SECONDS;
    pthread_mutex_lock(&events->mutex);
    int late = 0;
    while (events->taken == events->count && late == 0)
        late = pthread_cond_timedwait(&events->arrived, &events->mutex, &deadline);
    CHECK_INT(late, 0);
    const recorded_event *next = &events->events[events->taken++];
    pthread_mutex_unlock(&events->mutex);
    return next;
}
