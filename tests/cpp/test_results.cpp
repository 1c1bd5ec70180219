// Results, enums, warnings and units of certreload.hpp.
//
// SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT

#include <type_traits>

#include "support.hpp"

namespace {

static_assert(std::is_nothrow_default_constructible_v<certreload::result>);
// `if (result)` would read as success and be true for a failure.
static_assert(!std::is_constructible_v<bool, certreload::result>);
static_assert(std::is_convertible_v<certreload::result, certreload_result>);

void to_string_names_every_enum() {
    CHECK(to_string(event_kind::reload_failed) == std::string("reload-failed"));
    CHECK(to_string(event_kind::watch_degraded) == std::string("watch-degraded"));
    CHECK(to_string(certreload::health::expiring) == std::string("expiring"));
    CHECK(to_string(certreload::trigger::poll) == std::string("poll"));
    CHECK(to_string(certreload::watch_state::notified) == std::string("notified"));
    CHECK(to_string(static_cast<event_kind>(99)) == std::string("unknown"));
    CHECK(to_string(event_kind::expiring) == std::string("expiring"));
    CHECK(to_string(event_kind::expired) == std::string("expired"));
    CHECK(to_string(event_kind::recovered) == std::string("recovered"));
    CHECK(to_string(event_kind::warning) == std::string("warning"));
    CHECK(to_string(certreload::trigger::clock) == std::string("clock"));
    CHECK(to_string(certreload::log_level::warn) == std::string("warn"));
    CHECK(to_string(certreload::category::not_now) ==
          std::string(certreload_category_str(CERTRELOAD_CATEGORY_NOT_NOW)));
    CHECK(to_string(certreload::reload_outcome::unchanged) == std::string("unchanged"));
}

// Found by argument-dependent lookup: this file has no using-declaration for them.
void to_string_of_result_is_found_by_lookup() {
    const certreload::result mismatch = CERTRELOAD_RESULT_KEY_MISMATCH;
    CHECK(to_string(mismatch) ==
          std::string(certreload_result_str(CERTRELOAD_RESULT_KEY_MISMATCH)));
    CHECK(to_string(mismatch.category()) == std::string("validation"));
    CHECK(to_string(certreload::result(static_cast<certreload_result>(99999))) ==
          std::string("unknown result"));
}

void result_has_the_name_and_category_of_the_c_api() {
    for (const certreload_result each :
         {CERTRELOAD_RESULT_OK, CERTRELOAD_RESULT_NO_EVENT, CERTRELOAD_RESULT_TIMED_OUT,
          CERTRELOAD_RESULT_CRL_EXPIRED, static_cast<certreload_result>(99999)}) {
        const certreload::result result = each;
        CHECK(result == each);
        CHECK(result.name() == std::string(certreload_result_name(each)));
        CHECK(static_cast<std::uint32_t>(result.category()) == certreload_result_category(each));
        CHECK(result.is_error() == certreload_result_is_error(each));
    }
    CHECK(certreload::result().name() == std::string("CERTRELOAD_RESULT_OK"));
    CHECK(certreload::result(CERTRELOAD_RESULT_TLS).category() == certreload::category::system);
    CHECK(certreload::result(CERTRELOAD_RESULT_NO_EVENT).category() ==
          certreload::category::not_now);
    CHECK(certreload::result(static_cast<certreload_result>(99999)).category() ==
          certreload::category::unknown);
}

void result_of_a_failed_call_works_in_a_switch() {
    certreload::category category = certreload::category::unknown;
    try {
        static_cast<void>(certreload::handle::open("/no/such/chain", made().one.key));
    } catch (const certreload::error &error) {
        switch (error.code()) {
        case CERTRELOAD_RESULT_FILE_NOT_FOUND:
            category = error.code().category();
            break;
        default:
            throw;
        }
    }
    CHECK(category == certreload::category::file);
}

void warnings_are_a_set_of_bits_with_words() {
    const certreload::warnings both(CERTRELOAD_WARNING_NAMES_LOST |
                                    CERTRELOAD_WARNING_KEY_READABLE);
    CHECK(both.has(CERTRELOAD_WARNING_NAMES_LOST));
    CHECK(!both.has(CERTRELOAD_WARNING_OCSP_UNUSABLE));
    CHECK((both & CERTRELOAD_WARNING_KEY_READABLE) != 0);
    CHECK(to_string(both) == "key-readable, names-lost");
    CHECK(to_string(certreload::warnings()).empty());
    CHECK(to_string(certreload::warnings(both | 0x80000000U)) ==
          "key-readable, names-lost, unknown");
}

void durations_that_are_negative_are_refused() {
    certreload::options options;
    const auto invalid = CERTRELOAD_RESULT_INVALID_PARAMETER;
    CHECK(code_of([&] { options.set_expiry_warning(-1s); }, "set_expiry_warning: ") == invalid);
    CHECK(code_of([&] { options.set_ticket_key_lifetime(-1s); }, "set_ticket_key_lifetime: ") ==
          invalid);
    CHECK(code_of([&] { options.set_poll_interval(-1ms); }) == invalid);
    CHECK(code_of([&] { options.set_debounce(-1ms); }) == invalid);
    CHECK(code_of([&] { options.set_incomplete_timeout(-1ms); }) == invalid);
    options.set_expiry_warning(std::chrono::seconds::max());
}

void version_number_is_that_of_the_version() {
    const std::uint32_t number = certreload::version_number();
    CHECK(number >= CERTRELOAD_VERSION_NUMBER);
    CHECK(certreload::version() == std::to_string(number / 1000000) + "." +
                                       std::to_string(number / 1000 % 1000) + "." +
                                       std::to_string(number % 1000));
}

const test tests[] = {
    TEST(to_string_names_every_enum),
    TEST(to_string_of_result_is_found_by_lookup),
    TEST(result_has_the_name_and_category_of_the_c_api),
    TEST(result_of_a_failed_call_works_in_a_switch),
    TEST(warnings_are_a_set_of_bits_with_words),
    TEST(durations_that_are_negative_are_refused),
    TEST(version_number_is_that_of_the_version),
};

} // namespace

int main() {
    return run_tests(tests);
}
