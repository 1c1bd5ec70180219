// Functions that the host passes to the library: events, log, passwords; how long they live.
//
// SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT

#include <fstream>
#include <thread>

#include "support.hpp"

namespace {

void event_function_of_options_receives_the_first_load() {
    const pair live = made().place.live("events");
    deploy(live, made().one);
    mailbox box;
    certreload::options options = quiet_options(live);
    options.on_event(box.function());
    const certreload::handle handle = certreload::handle::open(options);
    CHECK(box.wait_for(event_kind::reloaded, 1).trigger == certreload::trigger::open);

    deploy(live, made().two);
    handle.reload();
    const certreload::owned_event reloaded = box.wait_for(event_kind::reloaded, 2);
    CHECK(reloaded.trigger == certreload::trigger::request);
    CHECK(reloaded.result == CERTRELOAD_RESULT_OK);
    CHECK(!reloaded.message.empty());
    CHECK(reloaded.earliest_not_after > std::chrono::system_clock::now());

    replace(live.key, made().one.key);
    handle.reload();
    const certreload::owned_event failed = box.wait_for(event_kind::reload_failed, 2);
    CHECK(failed.result == CERTRELOAD_RESULT_KEY_MISMATCH);
    CHECK(failed.path == live.key.string());
}

void event_function_follows_a_moved_handle() {
    const pair live = made().place.live("moved");
    deploy(live, made().one);
    mailbox box;
    certreload::options options = quiet_options(live);
    options.on_event(box.function());
    certreload::handle first = certreload::handle::open(options);
    options = certreload::options(); // the handle keeps the function alive, not the options
    certreload::handle second = std::move(first);
    deploy(live, made().two);
    CHECK(second.reload_wait(patience) == certreload::reload_outcome::reloaded);
    box.wait_for(event_kind::reloaded, 2);

    // Assigned over a handle with events: its events end, those of the assigned handle continue.
    const pair other = made().place.live("other");
    deploy(other, made().one);
    mailbox other_box;
    certreload::handle third = certreload::handle::open(quiet_options(other));
    third.on_event([&other_box, gone = report_when_destroyed(other_box, "gone")](
                       const auto &event) { other_box.put(event); });
    third = std::move(second);
    other_box.wait_for_text("gone");
    deploy(live, made().one);
    third.reload();
    box.wait_for(event_kind::reloaded, 3);
}

void event_function_that_was_replaced_is_not_called() {
    const pair live = made().place.live("replaced");
    deploy(live, made().one);
    mailbox before;
    mailbox after;
    certreload::handle handle = certreload::handle::open(quiet_options(live));
    handle.on_event(before.function());
    deploy(live, made().two);
    handle.reload_wait(patience);
    before.wait_for(event_kind::reloaded, 2);
    const std::size_t count = before.count();

    handle.on_event(after.function());
    deploy(live, made().one);
    handle.reload_wait(patience);
    after.wait_for(event_kind::reloaded, 3);
    CHECK(before.count() == count);

    handle.on_event({});
    deploy(live, made().two);
    handle.reload_wait(patience);
    handle.on_event(before.function()); // events without a function are not kept for a later one
    deploy(live, made().one);
    handle.reload_wait(patience);
    before.wait_for(event_kind::reloaded, 5);
    CHECK(after.count() == 1);
}

void event_function_can_replace_itself() {
    const pair live = made().place.live("self");
    deploy(live, made().one);
    mailbox box;
    certreload::handle handle = certreload::handle::open(quiet_options(live));
    const std::string text = "captured, and long enough to live on the heap: still there";
    handle.on_event(
        [&, text, gone = report_when_destroyed(box, "gone")](const certreload::event &) {
            handle.on_event(box.function());
            box.put_text(text); // the function still runs, so its captures must be alive
        });
    deploy(live, made().two);
    handle.reload();
    box.wait_for_text(text);
    box.wait_for_text("gone");
    deploy(live, made().one);
    handle.reload();
    box.wait_for(event_kind::reloaded, 3);
}

void event_function_can_destroy_its_handle() {
    const pair live = made().place.live("destroy");
    deploy(live, made().one);
    mailbox box;
    std::optional<certreload::handle> handle = certreload::handle::open(quiet_options(live));
    const std::string text = "captured, and long enough to live on the heap: still there";
    handle->on_event(
        [&, text, gone = report_when_destroyed(box, "gone")](const certreload::event &) {
            handle.reset();
            box.put_text(text);
        });
    deploy(live, made().two);
    handle->reload();
    box.wait_for_text(text);
    box.wait_for_text("gone");
    CHECK(!handle.has_value());
}

void close_destroys_the_event_function_last() {
    const pair live = made().place.live("closed");
    deploy(live, made().one);
    mailbox box;
    certreload::handle handle = certreload::handle::open(quiet_options(live));
    const certreload::generation generation = handle.acquire();
    handle.on_event(
        [&box, gone = report_when_destroyed(box, "gone")](const auto &event) { box.put(event); });
    handle.close();
    box.wait_for_text("gone");
    CHECK(!handle);
    CHECK(handle.try_reload_wait(1s) == CERTRELOAD_RESULT_NULL_PARAMETER);
    CHECK(generation.identities()[0].sha256() == made().one.sha256());
    handle.close();

    // The event function may be the last owner of the object that owns the handle.
    auto owner = std::make_shared<std::optional<certreload::handle>>(
        certreload::handle::open(quiet_options(live)));
    certreload::handle &owned = **owner;
    owned.on_event([owner, gone = report_when_destroyed(box, "owner gone")](const auto &) {});
    owner.reset();
    owned.close();
    box.wait_for_text("owner gone");

    // From inside the event function, as destruction.
    handle = certreload::handle::open(quiet_options(live));
    handle.on_event([&](const auto &) {
        handle.close();
        box.put_text("closed from inside");
    });
    deploy(live, made().two);
    handle.reload();
    box.wait_for_text("closed from inside");
    CHECK(!handle);
}

void handle_destroyed_during_events_does_not_crash() {
    const pair live = made().place.live("going");
    for (int round = 0; round < 100; ++round) {
        deploy(live, made().one);
        const certreload::handle handle = certreload::handle::open(quiet_options(live).on_event(
            [calls = std::make_shared<int>(0)](const certreload::event &) { ++*calls; }));
        deploy(live, made().two);
        handle.reload();
    }
}

void event_function_exception_reaches_on_exception_only() {
    const pair live = made().place.live("exception");
    deploy(live, made().one);
    mailbox box;
    certreload::handle handle = certreload::handle::open(quiet_options(live));
    const auto throwing = [](const certreload::event &event) {
        throw std::runtime_error("thrown at " + std::to_string(event.generation));
    };
    handle.on_event(throwing, [&](std::exception_ptr thrown) {
        try {
            std::rethrow_exception(thrown);
        } catch (const std::exception &error) {
            box.put_text(error.what());
        }
        throw std::runtime_error("dropped");
    });
    deploy(live, made().two);
    handle.reload();
    box.wait_for_text("thrown at 2");
    deploy(live, made().one);
    handle.reload();
    box.wait_for_text("thrown at 3");

    handle.on_event([&](const certreload::event &event) {
        box.put(event);
        throw 1; // dropped, because there is no on_exception
    });
    deploy(live, made().two);
    handle.reload();
    box.wait_for(event_kind::reloaded, 4);
    deploy(live, made().one);
    handle.reload();
    box.wait_for(event_kind::reloaded, 5);
}

void log_function_receives_lines_until_replaced() {
    std::mutex mutex;
    std::vector<std::string> lines;
    certreload::set_log([&](certreload::log_level level, std::string_view message) {
        const std::lock_guard<std::mutex> guard(mutex);
        lines.push_back(to_string(level) + std::string(" ") + std::string(message));
        throw std::runtime_error("dropped");
    });
    static_cast<void>(certreload::handle::open(made().one.chain, made().one.key));
    certreload::set_log({});
    CHECK(lines.size() == 1);
    CHECK(lines[0].find("info generation 1 serves: " + made().one.chain.string()) == 0);
    static_cast<void>(certreload::handle::open(made().one.chain, made().one.key));
    CHECK(lines.size() == 1);

    // From inside: the function is destroyed when its own call has ended, not before.
    mailbox box;
    std::shared_ptr<int> token = report_when_destroyed(box, "gone");
    int calls = 0;
    certreload::set_log([&calls, held = token](certreload::log_level, std::string_view) {
        certreload::set_log({});
        calls += 1 + *held;
    });
    token.reset();
    static_cast<void>(certreload::handle::open(made().one.chain, made().one.key));
    box.wait_for_text("gone");
    CHECK(calls == 1);
}

void encrypted_key_opens_with_password_function_or_file() {
    const pair live = made().place.live("encrypted");
    deploy(live, made().one);
    const fs::path plain = live.key.string() + ".plain";
    const fs::path file = live.key.string() + ".password";
    fs::rename(live.key, plain);
    run("umask 077; echo one >'" + file.string() + "'; openssl pkcs8 -topk8 -in '" +
        plain.string() + "' -passout pass:one -out '" + live.key.string() + "'");

    certreload::options options = quiet_options(live);
    CHECK(code_of([&] { options.check(); }) == CERTRELOAD_RESULT_KEY_ENCRYPTED);
    options.set_key_password_file(file.string()).check();
    CHECK(code_of([&] { options.set_key_password_file("").check(); }) ==
          CERTRELOAD_RESULT_KEY_ENCRYPTED);

    std::string asked;
    options.set_key_password([&](const std::string &path) {
        asked = path;
        return std::string("one");
    });
    const certreload::handle handle = certreload::handle::open(options);
    CHECK(asked == live.key.string());
    // The handle keeps the function alive, not the options.
    options.set_key_password([](const std::string &) { return std::nullopt; });
    CHECK(code_of([&] { options.check(); }) == CERTRELOAD_RESULT_KEY_ENCRYPTED);
    options.set_key_password([](const std::string &) -> std::optional<std::string> {
        throw std::runtime_error("the vault is shut");
    });
    CHECK(code_of([&] { options.check(); }) == CERTRELOAD_RESULT_KEY_ENCRYPTED);
    options.set_key_password([](const std::string &) { return std::string(2000, 'x'); });
    CHECK(code_of([&] { options.check(); }) == CERTRELOAD_RESULT_KEY_ENCRYPTED);
    options = certreload::options();
    asked.clear();
    deploy(live, made().two);
    run("openssl pkcs8 -topk8 -in '" + made().two.key.string() + "' -passout pass:one -out '" +
        live.key.string() + "'");
    CHECK(handle.reload_wait(patience) == certreload::reload_outcome::reloaded);
    CHECK(asked == live.key.string());
}

// The library owns the function: it is alive as long as options or a handle can call it.
void password_function_is_destroyed_with_its_last_user() {
    mailbox box;
    const auto with_token = [&](const std::string &text) {
        return [token = report_when_destroyed(box, text)](const std::string &) {
            return std::optional<std::string>();
        };
    };
    certreload::options options;
    options.add_identity(made().one.chain, made().one.key).set_key_password(with_token("first"));
    options.set_key_password(with_token("second"));
    CHECK(box.has_text("first"));
    std::optional<certreload::handle> handle = certreload::handle::open(options);
    options.set_key_password_file("");
    CHECK(!box.has_text("second"));
    handle.reset();
    box.wait_for_text("second");
}

void log_function_can_be_set_on_several_threads() {
    mailbox box;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&box] {
            for (int round = 0; round < 100; ++round) {
                certreload::set_log([token = report_when_destroyed(box, "log")](
                                        certreload::log_level, std::string_view) {});
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    certreload::set_log({});
    CHECK(box.count_texts("log") == 400);
}

const test tests[] = {
    TEST(event_function_of_options_receives_the_first_load),
    TEST(event_function_follows_a_moved_handle),
    TEST(event_function_that_was_replaced_is_not_called),
    TEST(event_function_can_replace_itself),
    TEST(event_function_can_destroy_its_handle),
    TEST(close_destroys_the_event_function_last),
    TEST(handle_destroyed_during_events_does_not_crash),
    TEST(event_function_exception_reaches_on_exception_only),
    TEST(log_function_receives_lines_until_replaced),
    TEST(encrypted_key_opens_with_password_function_or_file),
    TEST(password_function_is_destroyed_with_its_last_user),
    TEST(log_function_can_be_set_on_several_threads),
};

} // namespace

int main() {
    return run_tests(tests);
}
