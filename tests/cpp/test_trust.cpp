// Both roles of a handle, and what it checks peers against, by way of certreload.hpp.
//
// SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT

#include "rustls.h"

#include "support.hpp"

namespace {

// An authority, and a certificate of its that is for servers and clients alike.
struct authority {
    authority() {
        run("cd '" + at("") +
            "' && { printf '[req]\\ndistinguished_name=x\\n[x]\\n' >cnf &&"
            " new='openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config cnf"
            " -days 60' && $new -keyout ca.key -out ca.pem -subj /CN=root"
            " -addext basicConstraints=critical,CA:TRUE && $new -keyout own.key -out own.pem"
            " -subj /CN=own -addext subjectAltName=DNS:own.test -CA ca.pem -CAkey ca.key; } 2>&1");
    }

    std::string at(const std::string &name) const {
        return (place.live().chain.parent_path() / name).string();
    }

    workplace place;
};

const authority &root() {
    static const authority one;
    return one;
}

certreload::options quiet() {
    return certreload::options()
        .set_watch(certreload::watch_mode::off)
        .set_debounce(5ms)
        .set_incomplete_timeout(100ms);
}

certreload::options both_roles() {
    return quiet()
        .add_identity(root().at("own.pem"), root().at("own.key"))
        .set_client_auth(certreload::client_auth::required, root().at("ca.pem"))
        .set_server_roots(root().at("ca.pem"));
}

rustls_io_result put(void *wire, const std::uint8_t *bytes, std::size_t size, std::size_t *done) {
    static_cast<std::string *>(wire)->append(reinterpret_cast<const char *>(bytes), size);
    *done = size;
    return 0;
}

rustls_io_result take(void *wire, std::uint8_t *bytes, std::size_t size, std::size_t *done) {
    std::string &text = *static_cast<std::string *>(wire);
    *done = text.copy(reinterpret_cast<char *>(bytes), size);
    text.erase(0, *done);
    return 0;
}

// Carries what one end has to say to the other.
rustls_result carry(rustls_connection *from, rustls_connection *to) {
    std::string wire;
    std::size_t done = 0;
    while (rustls_connection_wants_write(from)) {
        rustls_connection_write_tls(from, put, &wire, &done);
    }
    rustls_result result = RUSTLS_RESULT_OK;
    while (result == RUSTLS_RESULT_OK && !wire.empty()) {
        rustls_connection_read_tls(to, take, &wire, &done);
        result = rustls_connection_process_new_packets(to);
    }
    return result;
}

bool do_meet(const certreload::handle &server, const certreload::handle &client) {
    const certreload::connection_ptr there = server.server_connection();
    const certreload::connection_ptr here = client.client_connection("own.test");
    for (int turn = 0; turn < 5; ++turn) {
        if (carry(here.get(), there.get()) != RUSTLS_RESULT_OK ||
            carry(there.get(), here.get()) != RUSTLS_RESULT_OK) {
            return false;
        }
    }
    return !rustls_connection_is_handshaking(here.get()) &&
           rustls_connection_get_peer_certificate(there.get(), 0) != nullptr;
}

void one_handle_has_both_roles() {
    const certreload::handle handle = certreload::handle::open(both_roles());
    CHECK(do_meet(handle, handle));
    const certreload::trust_status trust = handle.trust_status();
    CHECK(trust.health == certreload::health::ok);
    CHECK(trust.client_roots == 1 && trust.server_roots == 1);
    CHECK(trust.crls == 0 && trust.revoked == 0 && !trust.next_update);
    CHECK(trust.renewed_generation == 1 && !trust.pending && trust.last_failure.empty());
    CHECK(trust.path == root().at("ca.pem"));
    CHECK(handle.acquire_client_config() != nullptr);
    const certreload::generation generation = handle.acquire();
    CHECK(generation.client_config() != nullptr);
    handle.invalidate_sessions();
    CHECK(do_meet(handle, handle));
}

void a_client_has_an_identity_of_its_own() {
    const certreload::handle server = certreload::handle::open(both_roles());
    const certreload::handle nobody =
        certreload::handle::open(quiet().set_server_roots(root().at("ca.pem")));
    CHECK(!do_meet(server, nobody));
    const certreload::handle client = certreload::handle::open(
        quiet()
            .set_server_roots(root().at("ca.pem"))
            .add_client_identity(root().at("own.pem"), root().at("own.key")));
    CHECK(do_meet(server, client));
}

void what_a_handle_has_no_role_for_is_an_error() {
    const auto not_configured = CERTRELOAD_RESULT_NOT_CONFIGURED;
    const certreload::handle server =
        certreload::handle::open(root().at("own.pem"), root().at("own.key"));
    CHECK(code_of([&] { (void)server.client_connection("own.test"); }) == not_configured);
    CHECK(code_of([&] { (void)server.acquire_client_config(); }) == not_configured);
    CHECK(code_of([&] { (void)server.trust_status(); }) == not_configured);
    const certreload::handle client =
        certreload::handle::open(quiet().set_server_roots(root().at("ca.pem")));
    CHECK(code_of([&] { (void)client.server_connection(); }) == not_configured);
    CHECK(code_of([&] { (void)client.acquire_server_config(); }) == not_configured);
    CHECK(client.status().identities == 0);
    CHECK(client.trust_status().server_roots == 1);
    CHECK(client.trust_status().client_roots == 0);
}

void names_and_settings_that_are_none_are_errors() {
    const auto invalid = CERTRELOAD_RESULT_INVALID_PARAMETER;
    const certreload::handle handle = certreload::handle::open(both_roles());
    CHECK(code_of([&] { (void)handle.client_connection(""); }) == invalid);
    CHECK(code_of([&] { (void)handle.client_connection("a b"); }) == invalid);
    CHECK(code_of([&] { (void)handle.client_connection(std::string("own.test\0.evil", 14)); }) ==
          invalid);
    certreload::options options = quiet();
    CHECK(code_of([&] { options.set_crl_rules(1U << 31); }) == invalid);
    CHECK(code_of([&] { options.add_crl(""); }) == invalid);
    CHECK(code_of([&] { options.set_server_roots(""); }) == invalid);
    CHECK(code_of([&] { options.set_client_auth(certreload::client_auth::required); }) == invalid);
    options.set_client_auth(certreload::client_auth::none);
    CHECK(code_of([&] { options.set_session_context(""); }) == invalid);
    CHECK(code_of([&] { options.set_session_context(std::string(256, 'x')); }) == invalid);
}

// A chain of calls on options that are moved along, and one on options that stay.
void settings_of_trust_chain() {
    const certreload::client_config_ptr config =
        certreload::handle::open(both_roles()).acquire_client_config();
    certreload::options stays = both_roles();
    stays.set_client_template(config.get())
        .set_resumption(certreload::resumption::always_reset)
        .set_crl_rules(CERTRELOAD_CRL_LEAF_ONLY | CERTRELOAD_CRL_ALLOW_UNKNOWN)
        .set_ticket_key_lifetime(1h)
        .set_session_context("one");
    const certreload::handle one = certreload::handle::open(stays);
    const certreload::handle two =
        certreload::handle::open(both_roles()
                                     .set_client_template(config.get())
                                     .set_resumption(certreload::resumption::off)
                                     .set_crl_rules(0)
                                     .set_ticket_key_lifetime(0s)
                                     .set_session_context(std::string("\0", 1)));
    CHECK(do_meet(one, two));
    CHECK(do_meet(two, one));
}

const test tests[] = {
    TEST(one_handle_has_both_roles),
    TEST(a_client_has_an_identity_of_its_own),
    TEST(what_a_handle_has_no_role_for_is_an_error),
    TEST(names_and_settings_that_are_none_are_errors),
    TEST(settings_of_trust_chain),
};

} // namespace

int main() {
    return run_tests(tests);
}
