// Event loops, the host runtime, forks and pushed bytes with certreload.hpp.
//
// SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT

#include <fstream>
#include <iterator>
#include <poll.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "support.hpp"

namespace {

std::string content(const fs::path &path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

// The fingerprint of the identity that a client of this name gets.
std::string served(const certreload::handle &handle, const std::string &name) {
    const certreload::generation generation = handle.acquire();
    return std::string(generation.select(name).sha256());
}

bool is_readable(int descriptor, std::chrono::milliseconds limit = 0ms) {
    pollfd one = {descriptor, POLLIN, 0};
    return poll(&one, 1, static_cast<int>(limit.count())) == 1;
}

certreload::options host_options(const pair &live) {
    certreload::options options = quiet_options(live);
    options.set_runtime(certreload::runtime::host);
    return options;
}

void event_fd_is_readable_while_events_wait() {
    const pair live = made().place.live("taken");
    deploy(live, made().one);
    const certreload::handle handle = certreload::handle::open(quiet_options(live));
    const int descriptor = handle.event_fd();
    CHECK(is_readable(descriptor));
    CHECK(handle.next_event()->trigger == certreload::trigger::open);
    CHECK(!is_readable(descriptor));
    CHECK(!handle.next_event());

    deploy(live, made().two);
    handle.reload_wait(patience);
    CHECK(is_readable(descriptor));
    const certreload::owned_event event = handle.next_event()->to_owned();
    CHECK(event.kind == event_kind::reloaded);
    CHECK(event.trigger == certreload::trigger::request);
    CHECK(event.generation == 2);
    CHECK(event.count == 1);
    CHECK(event.message.find(live.chain.string()) != std::string::npos);
    CHECK(handle.event_fd() == descriptor);
    CHECK(code_of([&] { handle.dispatch(); }, "CERTRELOAD_RUNTIME_HOST") ==
          CERTRELOAD_RESULT_INVALID_PARAMETER);
}

void host_runtime_reloads_in_dispatch() {
    const pair live = made().place.live("dispatched");
    deploy(live, made().one);
    std::size_t calls = 0;
    const auto here = std::this_thread::get_id();
    certreload::options options = host_options(live);
    options.on_event([&](const certreload::event &event) {
        CHECK(std::this_thread::get_id() == here);
        CHECK(event.generation == ++calls);
    });
    const certreload::handle handle = certreload::handle::open(options);
    handle.dispatch();
    CHECK(calls == 1);
    deploy(live, made().two);
    handle.reload();
    CHECK(is_readable(handle.event_fd(), patience));
    CHECK(handle.acquire().number() == 1);
    handle.dispatch();
    CHECK(handle.acquire().number() == 2);
    CHECK(calls == 2);
    CHECK(!handle.next_event());
    CHECK(std::distance(fs::directory_iterator("/proc/self/task"), {}) == 1);
}

void identity_in_memory_is_replaced_by_a_push() {
    const std::string chain = content(made().one.chain);
    const std::string key = content(made().one.key);
    certreload::options options;
    options.add_identity_memory(chain, key).add_identity(made().two.chain, made().two.key);
    const certreload::handle handle = certreload::handle::open(options);
    CHECK(served(handle, "one.test") == made().one.sha256());
    CHECK(handle.find_identity("One.test") == 0);
    CHECK(handle.find_identity("two.test") == 1);
    CHECK(code_of([&] { handle.find_identity("absent.test"); }, "absent.test") ==
          CERTRELOAD_RESULT_INVALID_PARAMETER);

    CHECK(handle.push_identity(0, chain, key) == certreload::reload_outcome::unchanged);
    const pair next = made().place.make("next", "DNS:one.test");
    CHECK(handle.push_identity(0, content(next.chain), content(next.key)) ==
          certreload::reload_outcome::reloaded);
    CHECK(served(handle, "one.test") == next.sha256());
    certreload::owned_event last;
    while (const auto event = handle.next_event()) {
        last = event->to_owned();
    }
    CHECK(last.trigger == certreload::trigger::push);
    CHECK(to_string(last.trigger) == std::string("push"));
    CHECK(last.generation == 2);
    CHECK(last.count == 2);

    CHECK(code_of([&] { handle.push_identity(0, chain, content(next.key)); }, "memory:0/") ==
          CERTRELOAD_RESULT_KEY_MISMATCH);
    CHECK(code_of([&] { handle.push_identity(0, {}, key); }, "chain_pem") ==
          CERTRELOAD_RESULT_NULL_PARAMETER);
    CHECK(code_of([&] { handle.push_identity(2, chain, key); }) ==
          CERTRELOAD_RESULT_INVALID_PARAMETER);
    CHECK(code_of([&] { options.add_identity_memory(chain, {}); }, "key_pem") ==
          CERTRELOAD_RESULT_NULL_PARAMETER);
}

void ocsp_response_is_passed_with_the_bytes() {
    const std::string chain = content(made().one.chain);
    const std::string key = content(made().one.key);
    const std::uint8_t staple[] = {0x30, 0x03, 0x0a, 0x01, 0x00};
    certreload::options options;
    const certreload::bytes ocsp = {staple, sizeof staple};
    const certreload::handle handle =
        certreload::handle::open(options.add_identity_memory(chain, key, ocsp));
    // The warning shows that the response, which is unusable, has arrived.
    CHECK((handle.status().warnings & CERTRELOAD_WARNING_OCSP_UNUSABLE) != 0);
    CHECK(handle.push_identity(0, chain, key) == certreload::reload_outcome::reloaded);
    CHECK((handle.status().warnings & CERTRELOAD_WARNING_OCSP_UNUSABLE) == 0);
}

void check_forked_child(certreload::handle &handle, const pair &live) {
    CHECK(code_of([&] { handle.event_fd(); }, "fork") == CERTRELOAD_RESULT_SYSTEM);
    CHECK(code_of([&] { handle.reload_wait(patience); }, "fork") == CERTRELOAD_RESULT_FORKED);
    handle.after_fork();
    CHECK(!handle.next_event());
    deploy(live, made().two);
    CHECK(handle.reload_wait(patience) == certreload::reload_outcome::reloaded);
    CHECK(served(handle, "") == made().two.sha256());
    CHECK(is_readable(handle.event_fd()));
    CHECK(handle.next_event()->generation == 2);
}

void child_after_fork_reloads() {
    const pair live = made().place.live("forked");
    deploy(live, made().one);
    made().two.sha256();
    certreload::handle handle = certreload::handle::open(host_options(live));
    handle.after_fork(); // no effect in the process that opened the handle
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(static_cast<unsigned>(patience.count()));
        try {
            check_forked_child(handle, live);
            _exit(0);
        } catch (const std::exception &error) {
            std::fprintf(stderr, "in the child: %s\n", error.what());
            _exit(1);
        }
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

void handle_that_was_moved_from_reports_errors() {
    certreload::handle handle = certreload::handle::open(made().one.chain, made().one.key);
    const certreload::handle moved = std::move(handle);
    const auto null = CERTRELOAD_RESULT_NULL_PARAMETER;
    CHECK(code_of([&] { handle.event_fd(); }) == null);
    CHECK(code_of([&] { handle.next_event(); }) == null);
    CHECK(code_of([&] { handle.dispatch(); }) == null);
    CHECK(code_of([&] { handle.after_fork(); }) == null);
    CHECK(code_of([&] { handle.push_identity(0, "a", "b"); }) == null);
    CHECK(code_of([&] { handle.find_identity("a"); }) == null);
}

const test tests[] = {
    // First, while the process has no other thread.
    TEST(host_runtime_reloads_in_dispatch),       TEST(child_after_fork_reloads),
    TEST(event_fd_is_readable_while_events_wait), TEST(identity_in_memory_is_replaced_by_a_push),
    TEST(ocsp_response_is_passed_with_the_bytes), TEST(handle_that_was_moved_from_reports_errors),
};

} // namespace

int main() {
    return run_tests(tests);
}
