// Handles and options of certreload.hpp, with real files. Exit code 0: every test passed.
//
// SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT

#include <type_traits>

#include "rustls.h"
#include "support.hpp"

namespace {

// ---- checks of the compiler ----

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

// ---- the tests ----

void failed_call_throws_code_and_message() {
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

void owner_that_was_moved_from_reports_errors() {
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

void string_with_a_nul_is_refused() {
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
    CHECK(generation.select(cut).sha256() == made().two.sha256()); // no identity has this name
}

void options_temporary_chains_every_setter() {
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

void options_after_open_can_be_used_again() {
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

void reload_wait_returns_the_outcome() {
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

void reload_wait_after_its_timeout_throws() {
    const pair live = made().place.live("timeout");
    deploy(live, made().one);
    certreload::options options = quiet_options(live);
    options.set_debounce(5ms).set_incomplete_timeout(1h); // incomplete files stay pending
    const certreload::handle handle = certreload::handle::open(options);
    CHECK(handle.reload_wait(std::chrono::milliseconds::max()) ==
          certreload::reload_outcome::unchanged);
    replace(live.key, made().two.key);
    CHECK(code_of([&] { handle.reload_wait(50ms); }) == CERTRELOAD_RESULT_TIMED_OUT);
    CHECK(code_of([&] { handle.reload_wait(-1ms); }) == CERTRELOAD_RESULT_TIMED_OUT);
}

void required_name_that_is_missing_fails_the_check() {
    const pair live = made().place.live("required");
    deploy(live, made().one);
    certreload::options options = quiet_options(live);
    CHECK(code_of([&] { options.require_name("not a name"); }) ==
          CERTRELOAD_RESULT_INVALID_PARAMETER);
    options.require_name("absent.test");
    CHECK(code_of([&] { options.check(); }, "absent.test") == CERTRELOAD_RESULT_NAME_MISSING);
}

void generation_and_config_outlive_the_handle() {
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

void identity_status_has_dates_and_failures() {
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

void missing_identity_has_no_dates() {
    const pair live = made().place.live("missing");
    certreload::options options = quiet_options(live);
    options.set_server_roots(live.chain.string() + ".roots");
    options.set_start(certreload::start_mode::available);
    const certreload::handle handle = certreload::handle::open(options);
    const certreload::identity_status missing = handle.identity_status(0);
    CHECK(missing.health == certreload::health::missing);
    CHECK(!missing.not_before && !missing.not_after && !missing.expiring_from);
    CHECK(!missing.renewed_at);
    CHECK(!handle.trust_status().renewed_at);
    deploy(live, made().one);
    CHECK(handle.try_reload_wait(patience) == CERTRELOAD_RESULT_FILE_NOT_FOUND); // the roots
    const certreload::identity_status loaded = handle.identity_status(0);
    CHECK(loaded.not_before && loaded.not_after && *loaded.not_before < *loaded.not_after);
    CHECK(loaded.renewed_at.has_value());
}

void metrics_are_returned_as_a_string() {
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

const test tests[] = {
    TEST(failed_call_throws_code_and_message),
    TEST(owner_that_was_moved_from_reports_errors),
    TEST(string_with_a_nul_is_refused),
    TEST(options_temporary_chains_every_setter),
    TEST(options_after_open_can_be_used_again),
    TEST(reload_wait_returns_the_outcome),
    TEST(reload_wait_after_its_timeout_throws),
    TEST(required_name_that_is_missing_fails_the_check),
    TEST(generation_and_config_outlive_the_handle),
    TEST(identity_status_has_dates_and_failures),
    TEST(missing_identity_has_no_dates),
    TEST(metrics_are_returned_as_a_string),
};

} // namespace

int main() {
    return run_tests(tests);
}
