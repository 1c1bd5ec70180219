// Generations and the views of their identities, compared with openssl.
//
// SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT

#include <iterator>
#include <type_traits>
#if __cplusplus >= 202002L
#include <ranges>
#endif

#include "support.hpp"

namespace {

// A view of a temporary generation does not compile, because it would dangle.
template <typename T, typename = void> struct can_select : std::false_type {};
template <typename T>
struct can_select<T, std::void_t<decltype(std::declval<T>().select("a"))>> : std::true_type {};
static_assert(can_select<const certreload::generation &>::value);
static_assert(!can_select<certreload::generation>::value);

template <typename T, typename = void> struct can_index : std::false_type {};
template <typename T>
struct can_index<T, std::void_t<decltype(std::declval<T>().identity(0))>> : std::true_type {};
static_assert(can_index<const certreload::generation &>::value);
static_assert(!can_index<certreload::generation>::value);

static_assert(!std::is_convertible_v<certreload::identity, bool>);
static_assert(std::is_nothrow_default_constructible_v<certreload::identity>);
static_assert(std::is_nothrow_default_constructible_v<certreload::generation::iterator>);
#ifdef __cpp_lib_ranges
static_assert(std::ranges::forward_range<certreload::generation::identity_range>);
static_assert(std::ranges::sized_range<certreload::generation::identity_range>);
#endif

void identities_have_the_values_that_openssl_prints() {
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
    CHECK(generation.select("absent.test").native() == one.native());
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

void date_beyond_the_clock_becomes_the_last_time_point() {
    const certreload::handle handle =
        certreload::handle::open(made().endless.chain, made().endless.key);
    const certreload::generation generation = handle.acquire();
    CHECK(generation.select("").not_after() == certreload::time_point::max());
    CHECK(handle.status().earliest_not_after == certreload::time_point::max());
}

// Every getter of a view without an identity returns an empty value, and none dangles.
void identity_without_index_is_empty() {
    const certreload::handle handle = certreload::handle::open(made().one.chain, made().one.key);
    const certreload::generation generation = handle.acquire();
    CHECK(generation.identity(0));
    CHECK(generation.identity(0).sha256() == made().one.sha256());
    for (const certreload::identity &none :
         {generation.identity(1), generation.identities()[1], certreload::identity()}) {
        CHECK(!none);
        CHECK(none.native() == nullptr);
        CHECK(none.names().empty());
        CHECK(none.serial().empty());
        CHECK(none.sha256().empty());
        CHECK(none.chain().empty());
        CHECK(none.ocsp().empty());
        CHECK(none.not_before() == certreload::time_point());
        CHECK(none.not_after() < std::chrono::system_clock::now());
        CHECK(!none.expiring_from());
    }
}

void select_without_identities_returns_an_empty_identity() {
    certreload::options options;
    options.set_server_roots(made().one.chain).set_watch(certreload::watch_mode::off);
    const certreload::handle client = certreload::handle::open(options);
    const certreload::generation generation = client.acquire();
    CHECK(generation);
    CHECK(!generation.select("one.test"));
    CHECK(!generation.select(""));
    CHECK(generation.identities().empty());
    CHECK(generation.server_config() == nullptr);

    certreload::generation moved = client.acquire();
    const certreload::generation target = std::move(moved);
    CHECK(!moved);
    CHECK(!moved.identity(0));
    CHECK(moved.identities().begin() == moved.identities().end());
}

void identity_iterator_outlives_its_range() {
    certreload::options options;
    options.add_identity(made().one.chain, made().one.key)
        .add_identity(made().two.chain, made().two.key);
    const certreload::generation generation = certreload::handle::open(options).acquire();
    certreload::generation::iterator first = generation.identities().begin();
    const certreload::generation::iterator again = first++;
    CHECK((*again).sha256() == made().one.sha256());
    CHECK((*first).sha256() == made().two.sha256());
    CHECK(again != first);
    CHECK(++first == generation.identities().end());
    CHECK(!*first);
    CHECK(std::distance(again, generation.identities().end()) == 2);
}

const test tests[] = {
    TEST(identities_have_the_values_that_openssl_prints),
    TEST(date_beyond_the_clock_becomes_the_last_time_point),
    TEST(identity_without_index_is_empty),
    TEST(select_without_identities_returns_an_empty_identity),
    TEST(identity_iterator_outlives_its_range),
};

} // namespace

int main() {
    return run_tests(tests);
}
