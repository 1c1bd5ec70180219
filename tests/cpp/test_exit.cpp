// G12: destructors of static and thread_local objects may use and close handles, before and after
// the library's own thread-local values are destroyed.
//
// SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "certreload.hpp"
#include "rustls.h"

namespace fs = std::filesystem;

namespace {

constexpr unsigned patience_seconds = 30; // an upper bound that only a failing test reaches
constexpr int chosen_status = 42;
constexpr int rounds = 5;

// For destructors, where neither an exception nor exit() works.
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: %s is not so; last error: %s\n", __FILE__, __LINE__,      \
                         #condition, certreload_last_error());                                     \
            _exit(91);                                                                             \
        }                                                                                          \
    } while (false)

// Arrays without a destructor, so that they are valid until the process ends.
char chain[4096];
char key[4096];

// Makes the library create each of its thread-local values: the last error, random numbers, a place
// in a queue. Every call must still succeed.
void use(certreload_handle *handle) {
    certreload_handle *none = nullptr;
    CHECK(certreload_open_files("/no/such/file", key, &none) == CERTRELOAD_RESULT_FILE_NOT_FOUND);
    CHECK(certreload_reload(handle) == CERTRELOAD_RESULT_OK);
    CHECK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER) == CERTRELOAD_RESULT_UNCHANGED);
    rustls_connection *connection = nullptr;
    CHECK(certreload_server_connection_new(handle, &connection) == CERTRELOAD_RESULT_OK);
    rustls_connection_free(connection);
    const certreload_generation *generation = certreload_generation_acquire(handle);
    CHECK(certreload_generation_number(generation) == 1);
    certreload_generation_release(generation);
    certreload_status status;
    CHECK(certreload_get_status(handle, &status, sizeof status) == CERTRELOAD_RESULT_OK);
    CHECK(certreload_set_event_callback(handle, nullptr, nullptr, nullptr) == CERTRELOAD_RESULT_OK);
}

// Owns a handle and uses it in its destructor. Opening makes the self-check handshakes on the
// thread that opens.
struct user {
    certreload_handle *handle = nullptr;

    void open() {
        CHECK(certreload_open_files(chain, key, &handle) == CERTRELOAD_RESULT_OK);
    }
    ~user() {
        if (handle != nullptr) {
            use(handle);
            certreload_close(handle);
            open();
            certreload_close(handle);
        }
    }
};

// Objects are destroyed in reverse order. One object is made before the thread's first call of the
// library, so it is destroyed after the library's thread-local values; the other is destroyed
// before.
void leave_objects_to_the_thread() {
    thread_local user made_first;
    made_first.handle = nullptr;
    user here;
    here.open();
    thread_local user made_last;
    made_last.open();
    made_first.open();
}

int static_objects_close_at_exit() {
    static user before;
    before.open();
    static certreload::handle owner = certreload::handle::open(chain, key);
    static std::shared_ptr<user> shared = std::make_shared<user>();
    shared->open();
    owner.on_event([](const certreload::event &) {});
    return chosen_status;
}

int thread_local_objects_close_at_the_end_of_a_thread() {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back(leave_objects_to_the_thread);
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    return chosen_status;
}

// Those of the main thread are destroyed when the process ends, before the static ones.
int thread_local_objects_of_main_close_at_exit() {
    static user until_the_end;
    until_the_end.open();
    leave_objects_to_the_thread();
    return chosen_status;
}

int exit_on_another_thread_runs_destructors() {
    static user until_the_end;
    until_the_end.open();
    leave_objects_to_the_thread();
    std::thread([] {
        leave_objects_to_the_thread();
        std::exit(chosen_status);
    }).join();
    return 1;
}

// The destructors of pthread_key_create() run after those of the language. POSIX does not specify
// whether they run before or after those of the library's random number generator.
int thread_specific_values_close_at_the_end_of_a_thread() {
    static pthread_key_t value;
    CHECK(pthread_key_create(&value, [](void *object) { delete static_cast<user *>(object); }) ==
          0);
    for (int i = 0; i < 2; i++) {
        std::thread([i] {
            user *object = new user;
            if (i == 0) {
                object->open();
            }
            CHECK(pthread_setspecific(value, object) == 0);
            if (i != 0) {
                object->open();
            }
        }).join();
    }
    return chosen_status;
}

struct test {
    const char *name;
    int (*function)();
};

#define TEST(name)                                                                                 \
    { #name, name }

const test tests[] = {
    TEST(static_objects_close_at_exit),
    TEST(thread_local_objects_close_at_the_end_of_a_thread),
    TEST(thread_local_objects_of_main_close_at_exit),
    TEST(exit_on_another_thread_runs_destructors),
    TEST(thread_specific_values_close_at_the_end_of_a_thread),
};

void make_pair(const fs::path &directory) {
    std::snprintf(chain, sizeof chain, "%s", (directory / "chain").c_str());
    std::snprintf(key, sizeof key, "%s", (directory / "key").c_str());
    const std::string command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
                                "-nodes -days 90 -subj /CN=one "
                                "-addext subjectAltName=DNS:one.test -keyout " +
                                std::string(key) + " -out " + chain + " 2>/dev/null";
    CHECK(std::system(command.c_str()) == 0);
}

} // namespace

int main() {
    std::string name = (fs::temp_directory_path() / "certreload-exit-XXXXXX").string();
    CHECK(mkdtemp(name.data()) != nullptr);
    make_pair(name);
    bool all_well = true;
    for (const test &test : tests) {
        int status = 0;
        for (int round = 0; round < rounds && (round == 0 || status == chosen_status << 8);
             round++) {
            const pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                alarm(patience_seconds);
                return test.function();
            }
            CHECK(waitpid(child, &status, 0) == child);
        }
        const bool is_well = WIFEXITED(status) && WEXITSTATUS(status) == chosen_status;
        std::printf("%s %s: status %#x\n", is_well ? "ok     " : "FAILED ", test.name,
                    static_cast<unsigned>(status));
        std::fflush(stdout);
        all_well = all_well && is_well;
    }
    fs::remove_all(name);
    return all_well ? 0 : 1;
}
