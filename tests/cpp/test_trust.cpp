// Both roles of a handle and its trust store, with certreload.hpp.
//
// SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT

#include "rustls.h"

#include "support.hpp"

namespace {

// An authority, and a certificate that it issued for servers and clients.
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

// Transfers the TLS bytes of one end to the other.
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

bool can_connect(const certreload::handle &server, const certreload::handle &client) {
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

void handle_with_both_roles_connects_to_itself() {
    const certreload::handle handle = certreload::handle::open(both_roles());
    CHECK(can_connect(handle, handle));
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
    CHECK(can_connect(handle, handle));
}

void client_without_an_identity_is_refused() {
    const certreload::handle server = certreload::handle::open(both_roles());
    const certreload::handle anonymous =
        certreload::handle::open(quiet().set_server_roots(root().at("ca.pem")));
    CHECK(!can_connect(server, anonymous));
    const certreload::handle client = certreload::handle::open(
        quiet()
            .set_server_roots(root().at("ca.pem"))
            .add_client_identity(root().at("own.pem"), root().at("own.key")));
    CHECK(can_connect(server, client));
}

void handle_without_the_role_reports_not_configured() {
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

void invalid_names_and_settings_are_refused() {
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

// Chains on a temporary, and chains on a variable.
void trust_setters_chain_on_temporaries_and_variables() {
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
    CHECK(can_connect(one, two));
    CHECK(can_connect(two, one));
}

const test tests[] = {
    TEST(handle_with_both_roles_connects_to_itself),
    TEST(client_without_an_identity_is_refused),
    TEST(handle_without_the_role_reports_not_configured),
    TEST(invalid_names_and_settings_are_refused),
    TEST(trust_setters_chain_on_temporaries_and_variables),
};

} // namespace

int main() {
    return run_tests(tests);
}
