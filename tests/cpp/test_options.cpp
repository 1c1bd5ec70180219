// G22: options fail closed in C++, too. A setter that fails throws, and a program that catches the
// exception may continue without that setting.
//
// SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT

#include "support.hpp"

#include <functional>
#include <utility>

namespace {

// G22: the exception reports the failure, so the options do not remember it as well.
void options_setter_that_throws_leaves_options_that_open() {
    const pair live = made().place.live("caught");
    deploy(live, made().one);
    certreload::options options = quiet_options(live);
    const auto null_or_invalid = [](certreload_result result) {
        return result == CERTRELOAD_RESULT_NULL_PARAMETER ||
               result == CERTRELOAD_RESULT_INVALID_PARAMETER;
    };
    const std::string long_name(256, 'a');
    const std::vector<std::pair<const char *, std::function<void()>>> failures = {
        {"add_identity", [&] { options.add_identity("", ""); }},
        {"add_identity_memory", [&] { options.add_identity_memory({}, {}); }},
        {"add_client_identity", [&] { options.add_client_identity("", ""); }},
        {"add_crl", [&] { options.add_crl(""); }},
        {"require_name", [&] { options.require_name("a test"); }},
        {"set_alpn",
         [&] {
             options.set_alpn({"h2", ""});
         }},
        {"set_server_template", [&] { options.set_server_template(nullptr); }},
        {"set_client_template", [&] { options.set_client_template(nullptr); }},
        {"set_client_auth",
         [&] { options.set_client_auth(certreload::client_auth::required, ""); }},
        {"set_server_roots", [&] { options.set_server_roots(""); }},
        {"set_crl_rules", [&] { options.set_crl_rules(8); }},
        {"set_resumption", [&] { options.set_resumption(certreload::resumption{3}); }},
        {"set_ticket_keys", [&] { options.set_ticket_keys(""); }},
        {"set_session_context", [&] { options.set_session_context(""); }},
        {"set_watch", [&] { options.set_watch(certreload::watch_mode{3}); }},
        {"set_start", [&] { options.set_start(certreload::start_mode{2}); }},
        {"set_tls", [&] { options.set_tls(certreload::tls_stack{2}); }},
        {"set_runtime", [&] { options.set_runtime(certreload::runtime{2}); }},
        {"set_poll_interval_ms", [&] { options.set_poll_interval(1ms); }},
        {"set_debounce_ms", [&] { options.set_debounce(2h); }},
        {"set_incomplete_timeout_ms", [&] { options.set_incomplete_timeout(2h); }},
        {"set_name", [&] { options.set_name(long_name); }},
    };
    for (const auto &[function, fail] : failures) {
        const std::string prefix = std::string("certreload_options_") + function + ": ";
        CHECK(null_or_invalid(code_of(fail, prefix)));
        CHECK(certreload_options_error(options.native()) == CERTRELOAD_RESULT_OK);
        options.check();
    }
    const certreload::handle handle = certreload::handle::open(options);
    CHECK(certreload_generation_identity_count(handle.acquire().native()) == 1);

    // A chain ends at the call that fails: earlier settings are set, later ones are not.
    certreload::options chained;
    CHECK(null_or_invalid(code_of([&] {
        chained.add_identity(live.chain, live.key).set_poll_interval(1ms).require_name("no.test");
    })));
    chained.check();
}

// G22: no exception has reported the failure of a C call, so a setter that throws must not clear
// it.
void failure_in_c_is_kept_when_a_setter_throws() {
    const pair live = made().place.live("native");
    deploy(live, made().one);
    certreload::options options = quiet_options(live);
    certreload_options_set_client_auth(options.native(), CERTRELOAD_CLIENT_AUTH_REQUIRED, nullptr);
    CHECK(code_of([&] { options.set_alpn({""}); }, "certreload_options_set_alpn: ") ==
          CERTRELOAD_RESULT_INVALID_PARAMETER);
    const std::string expected = "certreload_options_set_client_auth: roots_path is NULL";
    CHECK(code_of([&] { options.check(); }, expected) == CERTRELOAD_RESULT_NULL_PARAMETER);
    CHECK(code_of([&] { return certreload::handle::open(options); }, expected) ==
          CERTRELOAD_RESULT_NULL_PARAMETER);
    CHECK(certreload_options_clear_error(options.native()) == CERTRELOAD_RESULT_NULL_PARAMETER);
    options.check();
}

const test tests[] = {
    TEST(options_setter_that_throws_leaves_options_that_open),
    TEST(failure_in_c_is_kept_when_a_setter_throws),
};

} // namespace

int main() {
    return run_tests(tests);
}
