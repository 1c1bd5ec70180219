// What certreload.hpp promises, with real files. Exit code 0: everything held.
//
// SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT

#include <type_traits>

#include "rustls.h"
#include "support.hpp"

namespace {

// ---- what the compiler can check ----

template <typename T>
constexpr bool move_only =
    std::is_nothrow_move_constructible_v<T> &&std::is_nothrow_move_assignable_v<T> &&
    !std::is_copy_constructible_v<T>;
static_assert(move_only<certreload::handle>);
static_assert(move_only<certreload::generation>);
static_assert(move_only<certreload::options>);
static_assert(noexcept(std::declval<const certreload::handle &>().reload()));
static_assert(noexcept(std::declval<const certreload::handle &>().try_reload_wait(
    std::declval<std::chrono::milliseconds>())));

// What is borrowed cannot be taken from a temporary generation.
template <typename T, typename = void> struct can_select : std::false_type {};
template <typename T>
struct can_select<T, std::void_t<decltype(std::declval<T>().select("a"))>> : std::true_type {};
static_assert(can_select<const certreload::generation &>::value);
static_assert(!can_select<certreload::generation>::value);

// ---- the tests ----

void a_failed_call_throws_its_code_and_message() {
    const pair missing = made().place.live("missing");
    CHECK(code_of([&] { return certreload::handle::open(missing.chain, missing.key); },
                  missing.chain.string()) == CERTRELOAD_RESULT_FILE_NOT_FOUND);
    CHECK(code_of([&] { quiet_options(missing).check(); }, missing.chain.string()) ==
          CERTRELOAD_RESULT_FILE_NOT_FOUND);

    certreload::options options;
    CHECK(code_of([&] { return certreload::handle::open(options); }) ==
          CERTRELOAD_RESULT_NOTHING_TO_LOAD);
    CHECK(code_of([&] { options.add_identity("", "key.pem"); }) ==
          CERTRELOAD_RESULT_INVALID_PARAMETER);
    CHECK(code_of([&] { options.set_poll_interval(1ms); }) == CERTRELOAD_RESULT_INVALID_PARAMETER);
    CHECK(code_of([&] { options.set_poll_interval(-10s); }) == CERTRELOAD_RESULT_INVALID_PARAMETER);
    CHECK(code_of([&] { options.set_expiry_warning(-1s); }) == CERTRELOAD_RESULT_INVALID_PARAMETER);
    CHECK(code_of([&] { options.set_debounce(2h); }) == CERTRELOAD_RESULT_INVALID_PARAMETER);
    CHECK(code_of([&] { options.set_alpn({""}); }) == CERTRELOAD_RESULT_INVALID_PARAMETER);
    CHECK(code_of([&] { options.set_server_template(nullptr); }) ==
          CERTRELOAD_RESULT_NULL_PARAMETER);
}

void an_owner_that_was_moved_from_is_an_error_and_no_crash() {
    certreload::handle handle = certreload::handle::open(made().one.chain, made().one.key);
    certreload::generation generation = handle.acquire();
    const certreload::handle moved = std::move(handle);
    const certreload::generation moved_generation = std::move(generation);
    CHECK(moved);
    CHECK(!handle);
    CHECK(handle.native() == nullptr);
    handle.reload();
    const auto null = CERTRELOAD_RESULT_NULL_PARAMETER;
    CHECK(handle.try_reload_wait(1s) == null);
    CHECK(code_of([&] { handle.reload_wait(1s); }) == null);
    CHECK(code_of([&] { handle.status(); }) == null);
    CHECK(code_of([&] { return handle.acquire(); }) == null);
    CHECK(code_of([&] { return handle.acquire_server_config(); }) == null);
    CHECK(code_of([&] { return handle.server_connection(); }) == null);
    CHECK(code_of([&] { handle.on_event([](const certreload::event &) {}); }) == null);
    CHECK(generation.number() == 0);
    CHECK(generation.identities().size() == 0);
    CHECK(generation.server_config() == nullptr);
    CHECK(generation.select("one.test").names().empty());
    CHECK(generation.select("one.test").sha256().empty());
    CHECK(generation.select("one.test").ocsp().empty());
    CHECK(moved_generation.number() == 1);
}

void a_text_with_a_nul_inside_is_an_error() {
    const std::string cut("one.test\0.two", 13);
    const auto invalid = CERTRELOAD_RESULT_INVALID_PARAMETER;
    certreload::options options;
    CHECK(code_of([&] { options.add_identity(cut, "key.pem"); }) == invalid);
    CHECK(code_of([&] { options.add_identity("chain.pem", cut); }) == invalid);
    CHECK(code_of([&] { options.add_identity("chain.pem", "key.pem", cut); }) == invalid);
    CHECK(code_of([&] { options.require_name(cut); }) == invalid);
    CHECK(code_of([&] { options.set_key_password_file(cut); }) == invalid);
    CHECK(code_of([&] { options.set_name(cut); }) == invalid);
    CHECK(code_of([&] { options.set_alpn({"h2", cut}); }) == invalid);
    CHECK(code_of([&] { options.check(); }) == CERTRELOAD_RESULT_NOTHING_TO_LOAD);
    const std::string path = made().one.chain.string() + std::string("\0", 1);
    CHECK(code_of([&] { return certreload::handle::open(path, made().one.key); }) == invalid);
    CHECK(code_of([&] { return certreload::handle::open(made().one.chain, path); }) == invalid);

    options.add_identity(made().two.chain, made().two.key)
        .add_identity(made().one.chain, made().one.key);
    const certreload::handle handle = certreload::handle::open(options);
    CHECK(handle.find_identity("one.test") == 1);
    CHECK(code_of([&] { handle.find_identity(cut); }) == invalid);
    const certreload::generation generation = handle.acquire();
    CHECK(generation.select("one.test").sha256() == made().one.sha256());
    CHECK(generation.select(cut).sha256() == made().two.sha256()); // nobody's
}

void options_can_be_made_in_one_expression() {
    const std::vector<std::string> protocols = {"h2"};
    mailbox box;
    const certreload::options options = certreload::options()
                                            .add_identity(made().one.chain, made().one.key)
                                            .require_name("one.test")
                                            .set_watch(certreload::watch_mode::off)
                                            .set_runtime(certreload::runtime::thread)
                                            .set_poll_interval(1h)
                                            .set_debounce(5ms)
                                            .set_incomplete_timeout(100ms)
                                            .set_expiry_warning(0s)
                                            .set_alpn(protocols)
                                            .set_name("one")
                                            .set_key_password_file("")
                                            .set_key_password({})
                                            .on_event(box.function());
    options.check();
    const certreload::handle handle = certreload::handle::open(options);
    box.wait_for(event_kind::reloaded, 1);
    CHECK(handle.metrics().find("handle=\"one\"") != std::string::npos);
    CHECK(certreload::handle::open(certreload::options()
                                       .add_identity(made().one.chain, made().one.key)
                                       .set_server_template(handle.acquire_server_config().get()))
              .acquire()
              .number() == 1);
}

void options_can_be_chained_checked_and_used_again() {
    const pair live = made().place.live("options");
    deploy(live, made().one);
    certreload::options options = quiet_options(live);
    options.set_alpn({"h2", "http/1.1"}).check();
    CHECK(options.native() != nullptr);
    const certreload::handle first = certreload::handle::open(options);
    const certreload::handle second = certreload::handle::open(options);
    CHECK(first.native() != second.native());

    const certreload::server_config_ptr config = first.acquire_server_config();
    options.set_server_template(config.get());
    const certreload::handle third = certreload::handle::open(options);
    CHECK(third.server_connection() != nullptr);
    CHECK(std::string(certreload::version()) == certreload_version());
}

void identities_are_as_openssl_sees_them() {
    certreload::options options;
    options.add_identity(made().one.chain, made().one.key)
        .add_identity(made().two.chain, made().two.key)
        .add_identity(made().endless.chain, made().endless.key);
    const auto before = std::chrono::system_clock::now();
    const certreload::handle handle = certreload::handle::open(options);
    const certreload::generation generation = handle.acquire();
    CHECK(generation.number() == 1);

    std::vector<std::string> fingerprints;
    for (const certreload::identity identity : generation.identities()) {
        fingerprints.emplace_back(identity.sha256());
    }
    CHECK(fingerprints == std::vector<std::string>(
                              {made().one.sha256(), made().two.sha256(), made().endless.sha256()}));
    CHECK(generation.identities().size() == 3);
    CHECK(generation.identities()[1].sha256() == made().two.sha256());

    const certreload::identity one = generation.select("one.test");
    CHECK(one.sha256() == made().one.sha256());
    CHECK(one.serial() == made().one.serial());
    CHECK(one.names() == std::vector<std::string_view>({"one.test", "*.wild.test"}));
    CHECK(generation.select("a.wild.test").native() == one.native());
    CHECK(generation.select("nobody.test").native() == one.native());
    CHECK(generation.select("").native() == one.native());
    CHECK(generation.select("TWO.test").sha256() == made().two.sha256());

    CHECK(one.chain().size() == 1);
    const certreload::bytes der = one.chain()[0];
    CHECK(std::string(der.begin(), der.end()) == made().one.der());
    CHECK(one.ocsp().empty());
    CHECK(one.not_before() < before);
    CHECK(one.not_after() > before + 24h * 59);
    CHECK(one.not_after() < before + 24h * 61);
}

void a_date_that_the_clock_cannot_hold_is_the_last_one_it_can() {
    const certreload::handle handle =
        certreload::handle::open(made().endless.chain, made().endless.key);
    const certreload::generation generation = handle.acquire();
    CHECK(generation.select("").not_after() == certreload::time_point::max());
    CHECK(handle.status().earliest_not_after == certreload::time_point::max());
}

void reload_wait_says_what_the_files_came_to() {
    const pair live = made().place.live("wait");
    deploy(live, made().one);
    const certreload::handle handle = certreload::handle::open(quiet_options(live));
    CHECK(handle.reload_wait(patience) == certreload::reload_outcome::unchanged);

    deploy(live, made().two);
    CHECK(handle.reload_wait(patience) == certreload::reload_outcome::reloaded);
    CHECK(handle.acquire().number() == 2);

    replace(live.key, made().one.key); // the wrong one
    CHECK(code_of([&] { handle.reload_wait(patience); }, live.key.string()) ==
          CERTRELOAD_RESULT_KEY_MISMATCH);
    CHECK(handle.try_reload_wait(patience) == CERTRELOAD_RESULT_KEY_MISMATCH);
    certreload::status status = handle.status();
    CHECK(status.generation == 2);
    CHECK(status.health == certreload::health::stale);
    CHECK(status.last_result == CERTRELOAD_RESULT_KEY_MISMATCH);
    CHECK(status.failures == 1);

    replace(live.key, made().two.key);
    CHECK(handle.try_reload_wait(patience) == CERTRELOAD_RESULT_UNCHANGED);
    deploy(live, made().one);
    CHECK(handle.try_reload_wait(patience) == CERTRELOAD_RESULT_OK);
    status = handle.status();
    CHECK(status.generation == 3);
    CHECK(status.health == certreload::health::ok);
    CHECK(status.last_result == CERTRELOAD_RESULT_OK);
    CHECK(status.reloads == 2);
    CHECK(status.failures == 1);
    CHECK(status.unchanged == 2);
    CHECK(status.identities == 1);
    CHECK(status.watch == certreload::watch_state::off);
    const auto age = std::chrono::system_clock::now() - status.loaded_at;
    CHECK(age > -2s && age < 10min);
}

void a_wait_that_runs_out_throws_and_a_long_one_is_for_ever() {
    const pair live = made().place.live("timeout");
    deploy(live, made().one);
    certreload::options options = quiet_options(live);
    options.set_debounce(5ms).set_incomplete_timeout(1h); // what looks half-written stays pending
    const certreload::handle handle = certreload::handle::open(options);
    CHECK(handle.reload_wait(std::chrono::milliseconds::max()) ==
          certreload::reload_outcome::unchanged);
    replace(live.key, made().two.key);
    CHECK(code_of([&] { handle.reload_wait(50ms); }) == CERTRELOAD_RESULT_TIMED_OUT);
    CHECK(code_of([&] { handle.reload_wait(-1ms); }) == CERTRELOAD_RESULT_TIMED_OUT);
}

void encrypted_keys_are_opened_with_a_function_or_a_file() {
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

void a_required_name_has_to_be_there() {
    const pair live = made().place.live("required");
    deploy(live, made().one);
    certreload::options options = quiet_options(live);
    CHECK(code_of([&] { options.require_name("not a name"); }) ==
          CERTRELOAD_RESULT_INVALID_PARAMETER);
    options.require_name("nobody.test");
    CHECK(code_of([&] { options.check(); }, "nobody.test") == CERTRELOAD_RESULT_NAME_MISSING);
}

void events_are_told_from_the_first_load_on() {
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

void events_follow_a_handle_that_is_moved() {
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

    // Assigned over a handle that has events of its own: those end, these go on.
    const pair other = made().place.live("other");
    deploy(other, made().one);
    mailbox other_box;
    certreload::handle third = certreload::handle::open(quiet_options(other));
    third.on_event([&other_box, gone = tell_when_gone(other_box, "gone")](const auto &event) {
        other_box.put(event);
    });
    third = std::move(second);
    other_box.wait_for_text("gone");
    deploy(live, made().one);
    third.reload();
    box.wait_for(event_kind::reloaded, 3);
}

void a_function_is_not_called_once_it_is_replaced() {
    const pair live = made().place.live("replaced");
    deploy(live, made().one);
    mailbox before;
    mailbox after;
    certreload::handle handle = certreload::handle::open(quiet_options(live));
    handle.on_event(before.function());
    deploy(live, made().two);
    handle.reload_wait(patience);
    before.wait_for(event_kind::reloaded, 2);
    const std::size_t told = before.count();

    handle.on_event(after.function());
    deploy(live, made().one);
    handle.reload_wait(patience);
    after.wait_for(event_kind::reloaded, 3);
    CHECK(before.count() == told);

    handle.on_event({});
    deploy(live, made().two);
    handle.reload_wait(patience);
    handle.on_event(before.function()); // what was waiting for nobody is not told later
    deploy(live, made().one);
    handle.reload_wait(patience);
    before.wait_for(event_kind::reloaded, 5);
    CHECK(after.count() == 1);
}

void a_function_may_replace_itself() {
    const pair live = made().place.live("self");
    deploy(live, made().one);
    mailbox box;
    certreload::handle handle = certreload::handle::open(quiet_options(live));
    const std::string text = "captured, and long enough to live on the heap: still there";
    handle.on_event([&, text, gone = tell_when_gone(box, "gone")](const certreload::event &) {
        handle.on_event(box.function());
        box.put_text(text); // this function runs on, so what it captured must be there
    });
    deploy(live, made().two);
    handle.reload();
    box.wait_for_text(text);
    box.wait_for_text("gone");
    deploy(live, made().one);
    handle.reload();
    box.wait_for(event_kind::reloaded, 3);
}

void a_function_may_destroy_its_handle() {
    const pair live = made().place.live("destroy");
    deploy(live, made().one);
    mailbox box;
    std::optional<certreload::handle> handle = certreload::handle::open(quiet_options(live));
    const std::string text = "captured, and long enough to live on the heap: still there";
    handle->on_event([&, text, gone = tell_when_gone(box, "gone")](const certreload::event &) {
        handle.reset();
        box.put_text(text);
    });
    deploy(live, made().two);
    handle->reload();
    box.wait_for_text(text);
    box.wait_for_text("gone");
    CHECK(!handle.has_value());
}

void a_handle_can_be_closed_before_it_goes() {
    const pair live = made().place.live("closed");
    deploy(live, made().one);
    mailbox box;
    certreload::handle handle = certreload::handle::open(quiet_options(live));
    const certreload::generation generation = handle.acquire();
    handle.on_event(
        [&box, gone = tell_when_gone(box, "gone")](const auto &event) { box.put(event); });
    handle.close();
    box.wait_for_text("gone");
    CHECK(!handle);
    CHECK(handle.try_reload_wait(1s) == CERTRELOAD_RESULT_NULL_PARAMETER);
    CHECK(generation.identities()[0].sha256() == made().one.sha256());
    handle.close();

    // The last thing that holds the handle's owner may be its event function.
    auto owner = std::make_shared<std::optional<certreload::handle>>(
        certreload::handle::open(quiet_options(live)));
    certreload::handle &owned = **owner;
    owned.on_event([owner, gone = tell_when_gone(box, "owner gone")](const auto &) {});
    owner.reset();
    owned.close();
    box.wait_for_text("owner gone");

    // From inside, as destruction.
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

void a_handle_may_go_while_events_come() {
    const pair live = made().place.live("going");
    for (int round = 0; round < 100; ++round) {
        deploy(live, made().one);
        const certreload::handle handle = certreload::handle::open(quiet_options(live).on_event(
            [calls = std::make_shared<int>(0)](const certreload::event &) { ++*calls; }));
        deploy(live, made().two);
        handle.reload();
    }
}

void an_exception_goes_to_on_exception_and_no_further() {
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
        throw 1; // nobody wants to know
    });
    deploy(live, made().two);
    handle.reload();
    box.wait_for(event_kind::reloaded, 4);
    deploy(live, made().one);
    handle.reload();
    box.wait_for(event_kind::reloaded, 5);
}

void what_was_acquired_outlives_the_handle() {
    const pair live = made().place.live("outlive");
    deploy(live, made().one);
    std::optional<certreload::handle> handle = certreload::handle::open(quiet_options(live));
    const certreload::generation old = handle->acquire();
    const certreload::connection_ptr connection = handle->server_connection();
    const std::shared_ptr<const rustls_server_config> config = handle->acquire_server_config();
    deploy(live, made().two);
    handle->reload_wait(patience);
    CHECK(handle->status().generations_alive == 2);
    CHECK(handle->acquire().number() == 2);

    handle.reset();
    CHECK(old.number() == 1);
    CHECK(old.select("").sha256() == made().one.sha256());
    CHECK(rustls_connection_wants_read(connection.get()));
    for (const rustls_server_config *each : {config.get(), old.server_config()}) {
        rustls_connection *raw = nullptr;
        CHECK(rustls_server_connection_new(each, &raw) == RUSTLS_RESULT_OK);
        CHECK(certreload::connection_ptr(raw) != nullptr);
    }
}

void every_number_has_a_word() {
    CHECK(to_string(event_kind::reload_failed) == std::string("reload-failed"));
    CHECK(to_string(event_kind::watch_degraded) == std::string("watch-degraded"));
    CHECK(to_string(certreload::health::expiring) == std::string("expiring"));
    CHECK(to_string(certreload::trigger::poll) == std::string("poll"));
    CHECK(to_string(certreload::watch_state::notified) == std::string("notified"));
    CHECK(to_string(static_cast<event_kind>(99)) == std::string("unknown"));
    CHECK(to_string(event_kind::expiring) == std::string("expiring"));
    CHECK(to_string(event_kind::expired) == std::string("expired"));
    CHECK(to_string(certreload::trigger::clock) == std::string("clock"));
    CHECK(to_string(certreload::log_level::warn) == std::string("warn"));
    CHECK(to_string(certreload::reload_outcome::unchanged) == std::string("unchanged"));
    CHECK(certreload::to_string(CERTRELOAD_RESULT_FILE_EMPTY) ==
          std::string(certreload_result_str(CERTRELOAD_RESULT_FILE_EMPTY)));
    CHECK(certreload::warnings_to_string(0).empty());
    CHECK(certreload::warnings_to_string(CERTRELOAD_WARNING_KEY_READABLE) == "key-readable");
    CHECK(certreload::warnings_to_string(CERTRELOAD_WARNING_NAMES_LOST | 0x80000000U |
                                         CERTRELOAD_WARNING_KEY_READABLE) ==
          "key-readable, names-lost, unknown");
}

void dates_and_failures_are_told_for_each_identity() {
    const pair live = made().place.live("dates");
    deploy(live, made().one);
    certreload::options options = quiet_options(live);
    options.add_identity(made().two.chain, made().two.key).set_expiry_warning(24h * 61);
    mailbox box;
    options.on_event(box.function());
    const certreload::handle handle = certreload::handle::open(options);
    CHECK(box.wait_for(event_kind::expiring, 1).trigger == certreload::trigger::clock);
    CHECK(handle.status().health == certreload::health::expiring);
    CHECK(handle.status().expiring_from == handle.status().health_since);
    CHECK(!handle.status().last_failure_at);

    std::ofstream(live.key) << "garbage";
    CHECK(handle.try_reload_wait(patience) == CERTRELOAD_RESULT_NO_PRIVATE_KEY);
    const certreload::identity_status stale = handle.identity_status(0);
    CHECK(stale.health == certreload::health::stale);
    CHECK(stale.last_failure.find(live.key.string()) != std::string::npos);
    CHECK(stale.last_failure_at && *stale.last_failure_at == stale.health_since);
    CHECK(stale.consecutive_failures == 1);
    CHECK(stale.renewed_generation == 1);
    CHECK(!stale.pending);
    CHECK(handle.status().last_failure == stale.last_failure);
    CHECK(handle.identity_status(1).health == certreload::health::expiring);
    CHECK(!handle.identity_status(1).chain_path.empty());
    CHECK(code_of([&] { handle.identity_status(2); }) == CERTRELOAD_RESULT_INVALID_PARAMETER);

    const certreload::generation generation = handle.acquire();
    CHECK(generation.identities()[0].expiring_from() == stale.expiring_from);
    options.set_expiry_warning(0s);
    deploy(live, made().one);
    const certreload::handle unwarned = certreload::handle::open(options);
    CHECK(!unwarned.status().expiring_from);
    CHECK(unwarned.status().health == certreload::health::ok);
}

void metrics_are_a_string() {
    const pair live = made().place.live("metrics");
    deploy(live, made().one);
    certreload::options options = quiet_options(live);
    const certreload::handle admin = certreload::handle::open(options.set_name("admin"));
    const certreload::handle nameless = certreload::handle::open(options.set_name(""));
    const std::string one = nameless.metrics();
    CHECK(one.find("\ncertreload_generation 1\n") != std::string::npos);
    CHECK(one.back() == '\n');
    const std::string both = certreload::metrics_page({&admin, &nameless});
    CHECK(both.find("\ncertreload_generation{handle=\"admin\"} 1\n") != std::string::npos);
    CHECK(both.find("\ncertreload_generation{handle=\"1\"} 1\n") != std::string::npos);
    CHECK(code_of([&] {
              certreload::metrics_page({&admin, nullptr});
          }) == CERTRELOAD_RESULT_NULL_PARAMETER);
}

void log_lines_reach_a_function_until_it_is_replaced() {
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

    // From inside: it is gone when its own call ends, not before.
    mailbox box;
    std::shared_ptr<int> token = tell_when_gone(box, "gone");
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

const test tests[] = {
    TEST(a_failed_call_throws_its_code_and_message),
    TEST(an_owner_that_was_moved_from_is_an_error_and_no_crash),
    TEST(a_text_with_a_nul_inside_is_an_error),
    TEST(options_can_be_made_in_one_expression),
    TEST(options_can_be_chained_checked_and_used_again),
    TEST(identities_are_as_openssl_sees_them),
    TEST(a_date_that_the_clock_cannot_hold_is_the_last_one_it_can),
    TEST(reload_wait_says_what_the_files_came_to),
    TEST(a_wait_that_runs_out_throws_and_a_long_one_is_for_ever),
    TEST(encrypted_keys_are_opened_with_a_function_or_a_file),
    TEST(a_required_name_has_to_be_there),
    TEST(events_are_told_from_the_first_load_on),
    TEST(events_follow_a_handle_that_is_moved),
    TEST(a_function_is_not_called_once_it_is_replaced),
    TEST(a_function_may_replace_itself),
    TEST(a_function_may_destroy_its_handle),
    TEST(a_handle_can_be_closed_before_it_goes),
    TEST(a_handle_may_go_while_events_come),
    TEST(an_exception_goes_to_on_exception_and_no_further),
    TEST(what_was_acquired_outlives_the_handle),
    TEST(every_number_has_a_word),
    TEST(dates_and_failures_are_told_for_each_identity),
    TEST(metrics_are_a_string),
    TEST(log_lines_reach_a_function_until_it_is_replaced),
};

} // namespace

int main() {
    return run_tests(tests);
}
