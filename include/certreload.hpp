/*
 * certreload for C++17: the C API of certreload.h with owners, std::function and exceptions.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 *
 *     certreload::handle certificates = certreload::handle::open("fullchain.pem", "privkey.pem");
 *     ...
 *     certreload::connection_ptr tls = certificates.server_connection();   // for each accept()
 *
 * Header-only, and thin: what each call does, costs and promises stands in certreload.h. What this
 * header adds:
 *   Ownership   every owner is move-only and frees what it owns. Views (identity, bytes,
 *               string_view) are borrowed; each says how long they live.
 *   Errors      a call that fails throws certreload::error, with the result code and the full
 *               message. Functions marked noexcept never throw; an owner that was moved from
 *               behaves as NULL does in C: an error, never a crash.
 *   Threads     const members may be called from any thread, concurrently. The others (on_event(),
 *               after_fork(), close(), move, destruction) need exclusive access to the object, as
 *               usual in C++.
 *   Texts       a std::string with a NUL inside, which C cannot be handed, is an error
 *               (CERTRELOAD_RESULT_INVALID_PARAMETER). Check what getenv() returns before it
 *               becomes a std::string: the C++ library does not make one of a null pointer.
 */

#ifndef CERTRELOAD_HPP
#define CERTRELOAD_HPP

#if (defined(_MSVC_LANG) ? _MSVC_LANG : __cplusplus) < 201703L
#error "certreload.hpp needs C++17"
#endif

#include "certreload.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace certreload {

// Three functions of rustls.h, declared here so that this header does not need it. With C linkage
// they are the same functions in any namespace; in this one, rustls.h does not declare them again.
namespace detail::rustls {
extern "C" {
void rustls_connection_free(::rustls_connection *conn);
void rustls_server_config_free(const ::rustls_server_config *config);
void rustls_client_config_free(const ::rustls_client_config *config);
}
} // namespace detail::rustls

using time_point = std::chrono::system_clock::time_point;

enum class event_kind : std::uint32_t {
    reloaded = CERTRELOAD_EVENT_KIND_RELOADED,
    reload_failed = CERTRELOAD_EVENT_KIND_RELOAD_FAILED,
    watch_degraded = CERTRELOAD_EVENT_KIND_WATCH_DEGRADED,
    watch_restored = CERTRELOAD_EVENT_KIND_WATCH_RESTORED,
    expiring = CERTRELOAD_EVENT_KIND_EXPIRING,
    expired = CERTRELOAD_EVENT_KIND_EXPIRED,
};

enum class trigger : std::uint32_t {
    open = CERTRELOAD_TRIGGER_OPEN,
    watch = CERTRELOAD_TRIGGER_WATCH,
    poll = CERTRELOAD_TRIGGER_POLL,
    request = CERTRELOAD_TRIGGER_REQUEST,
    clock = CERTRELOAD_TRIGGER_CLOCK,
    push = CERTRELOAD_TRIGGER_PUSH,
};

enum class health : std::uint32_t {
    ok = CERTRELOAD_HEALTH_OK,
    expiring = CERTRELOAD_HEALTH_EXPIRING,
    stale = CERTRELOAD_HEALTH_STALE,
    expired = CERTRELOAD_HEALTH_EXPIRED,
};

enum class watch_state : std::uint32_t {
    off = CERTRELOAD_WATCH_STATE_OFF,
    polling = CERTRELOAD_WATCH_STATE_POLLING,
    notified = CERTRELOAD_WATCH_STATE_NOTIFIED,
    degraded = CERTRELOAD_WATCH_STATE_DEGRADED,
};

enum class watch_mode : std::uint32_t {
    automatic = CERTRELOAD_WATCH_AUTO,
    poll = CERTRELOAD_WATCH_POLL,
    off = CERTRELOAD_WATCH_OFF,
};

/// Who does the work: threads of the library, or the host, which calls handle::dispatch().
enum class runtime : std::uint32_t {
    thread = CERTRELOAD_RUNTIME_THREAD,
    host = CERTRELOAD_RUNTIME_HOST,
};

/// Whether a server asks clients for a certificate.
enum class client_auth : std::uint32_t {
    none = CERTRELOAD_CLIENT_AUTH_NONE,
    optional = CERTRELOAD_CLIENT_AUTH_OPTIONAL,
    required = CERTRELOAD_CLIENT_AUTH_REQUIRED,
};

/// Which sessions clients can resume.
enum class resumption : std::uint32_t {
    automatic = CERTRELOAD_RESUMPTION_AUTO,
    always_reset = CERTRELOAD_RESUMPTION_ALWAYS_RESET,
    off = CERTRELOAD_RESUMPTION_OFF,
};

enum class log_level : std::uint32_t {
    error = CERTRELOAD_LOG_LEVEL_ERROR,
    warn = CERTRELOAD_LOG_LEVEL_WARN,
    info = CERTRELOAD_LOG_LEVEL_INFO,
    debug = CERTRELOAD_LOG_LEVEL_DEBUG,
    trace = CERTRELOAD_LOG_LEVEL_TRACE,
};

/// What a reload that did not fail came to.
enum class reload_outcome { reloaded, unchanged };

// A newer library may send numbers that this header does not know: they get the word "unknown".

constexpr const char *to_string(event_kind kind) noexcept {
    switch (kind) {
    case event_kind::reloaded:
        return "reloaded";
    case event_kind::reload_failed:
        return "reload-failed";
    case event_kind::watch_degraded:
        return "watch-degraded";
    case event_kind::watch_restored:
        return "watch-restored";
    case event_kind::expiring:
        return "expiring";
    case event_kind::expired:
        return "expired";
    }
    return "unknown";
}

constexpr const char *to_string(trigger why) noexcept {
    switch (why) {
    case trigger::open:
        return "open";
    case trigger::watch:
        return "watch";
    case trigger::poll:
        return "poll";
    case trigger::request:
        return "request";
    case trigger::clock:
        return "clock";
    case trigger::push:
        return "push";
    }
    return "unknown";
}

constexpr const char *to_string(health how) noexcept {
    switch (how) {
    case health::ok:
        return "ok";
    case health::expiring:
        return "expiring";
    case health::stale:
        return "stale";
    case health::expired:
        return "expired";
    }
    return "unknown";
}

constexpr const char *to_string(watch_state state) noexcept {
    switch (state) {
    case watch_state::off:
        return "off";
    case watch_state::polling:
        return "polling";
    case watch_state::notified:
        return "notified";
    case watch_state::degraded:
        return "degraded";
    }
    return "unknown";
}

constexpr const char *to_string(log_level level) noexcept {
    switch (level) {
    case log_level::error:
        return "error";
    case log_level::warn:
        return "warn";
    case log_level::info:
        return "info";
    case log_level::debug:
        return "debug";
    case log_level::trace:
        return "trace";
    }
    return "unknown";
}

constexpr const char *to_string(reload_outcome outcome) noexcept {
    switch (outcome) {
    case reload_outcome::reloaded:
        return "reloaded";
    case reload_outcome::unchanged:
        return "unchanged";
    }
    return "unknown";
}

/// What a result means, in a sentence.
inline const char *to_string(certreload_result result) noexcept {
    return certreload_result_str(result);
}

/// The words of CERTRELOAD_WARNING_* bits, such as "key-readable, names-lost"; "" where there are
/// none.
inline std::string warnings_to_string(std::uint32_t warnings) {
    std::string words;
    for (std::uint32_t bit = 1; bit != 0; bit <<= 1) {
        if ((warnings & bit) != 0) {
            words += words.empty() ? "" : ", ";
            words += certreload_warning_str(bit);
        }
    }
    return words;
}

/// A call that failed: code() for the program, what() for the log, with path and reason.
class error : public std::runtime_error {
  public:
    error(certreload_result code, const std::string &message)
        : std::runtime_error(message), code_(code) {}

    certreload_result code() const noexcept {
        return code_;
    }

  private:
    certreload_result code_;
};

/// Bytes that someone else owns.
struct bytes {
    const std::uint8_t *data = nullptr;
    std::size_t size = 0;

    bool empty() const noexcept {
        return size == 0;
    }
    const std::uint8_t *begin() const noexcept {
        return data;
    }
    const std::uint8_t *end() const noexcept {
        return data == nullptr ? nullptr : data + size;
    }
};

struct owned_event;

/// One event. The texts are borrowed until the event function that sees it returns, or as long as
/// handle::next_event() says.
struct event {
    event_kind kind;
    certreload::trigger trigger;
    certreload_result result;
    std::uint32_t warnings; // CERTRELOAD_WARNING_* bits
    std::uint64_t generation;
    time_point earliest_not_after;
    std::string_view path;
    std::string_view message;
    std::uint64_t count; // how many events this one stands for

    /// A copy to keep, or to hand to another thread.
    owned_event to_owned() const;
};

/// An event that owns its texts.
struct owned_event {
    event_kind kind;
    certreload::trigger trigger;
    certreload_result result;
    std::uint32_t warnings;
    std::uint64_t generation;
    time_point earliest_not_after;
    std::string path;
    std::string message;
    std::uint64_t count;
};

inline owned_event event::to_owned() const {
    return owned_event{kind,
                       trigger,
                       result,
                       warnings,
                       generation,
                       earliest_not_after,
                       std::string(path),
                       std::string(message),
                       count};
}

/// How a handle is doing: certreload_status in C++ types.
struct status {
    std::uint64_t generation;
    time_point loaded_at;
    time_point earliest_not_after;
    certreload::health health;
    certreload_result last_result;
    std::uint64_t reloads;
    std::uint64_t failures;
    std::uint64_t unchanged;
    std::size_t identities;
    std::size_t generations_alive;
    watch_state watch;
    std::uint32_t warnings; // CERTRELOAD_WARNING_* bits
    time_point health_since;
    std::optional<time_point> expiring_from; // none where no warning is wanted
    time_point last_checked_at;
    std::uint64_t consecutive_failures;
    std::optional<time_point> last_failure_at; // none where no failure stands
    std::string last_failure;                  // "" where none stands
};

/// How one identity is doing: certreload_identity_status in C++ types.
struct identity_status {
    certreload::health health;
    certreload_result last_result;
    time_point health_since;
    time_point not_before;
    time_point not_after;
    std::optional<time_point> expiring_from; // none where no warning is wanted
    time_point renewed_at;
    std::uint64_t renewed_generation;
    time_point last_checked_at;
    std::uint32_t warnings; // CERTRELOAD_WARNING_* bits
    bool pending;
    std::uint64_t consecutive_failures;
    std::optional<time_point> last_failure_at; // none where no failure stands
    std::string last_failure;                  // "" where none stands
    std::string chain_path;                    // which identity this is
};

/// How what peers are checked against is doing: certreload_trust_status in C++ types.
struct trust_status {
    certreload::health health;
    certreload_result last_result;
    time_point health_since;
    std::size_t client_roots;
    std::size_t server_roots;
    std::size_t crls;
    std::size_t revoked;
    std::optional<time_point> next_update;   // none where no list says
    std::optional<time_point> expiring_from; // none where no list says
    time_point renewed_at;
    std::uint64_t renewed_generation;
    time_point last_checked_at;
    std::uint32_t warnings; // CERTRELOAD_WARNING_* bits
    bool pending;
    std::uint64_t consecutive_failures;
    std::optional<time_point> last_failure_at; // none where no failure stands
    std::string last_failure;                  // "" where none stands
    std::string path;
};

/// A function that is told of log lines; see set_log().
using log_function = std::function<void(log_level, std::string_view message)>;

/// A function that is told of events; see handle::on_event().
using event_function = std::function<void(const event &)>;

/// A function that is told what an event function threw.
using exception_function = std::function<void(std::exception_ptr)>;

/// A function that knows the password of the private key at a path; std::nullopt where there is
/// none.
using password_function = std::function<std::optional<std::string>(const std::string &key_path)>;

namespace detail {

inline error to_error(certreload_result result) {
    const char *message = certreload_last_error();
    return error(result, *message != '\0' ? message : certreload_result_str(result));
}

[[noreturn]] inline void fail(certreload_result result) {
    throw to_error(result);
}

inline void check(certreload_result result) {
    if (result != CERTRELOAD_RESULT_OK && result != CERTRELOAD_RESULT_UNCHANGED) {
        fail(result);
    }
}

/// A text for C, which takes the first NUL for its end: another name or path than was meant.
inline const char *c_text(const std::string &text) {
    if (text.find('\0') != std::string::npos) {
        throw error(CERTRELOAD_RESULT_INVALID_PARAMETER, "a text has a NUL inside");
    }
    return text.c_str();
}

inline const char *c_text_or_null(const std::string &text) {
    return text.empty() ? nullptr : c_text(text);
}

inline std::string_view text(const char *text) noexcept {
    return text == nullptr ? std::string_view() : std::string_view(text);
}

/// A certificate may say "until the year 9999", which a clock in nanoseconds cannot: that becomes
/// time_point::max(), not an overflow.
inline time_point to_time_point(std::int64_t unix_seconds) noexcept {
    using std::chrono::duration_cast;
    using std::chrono::seconds;
    if (unix_seconds >= duration_cast<seconds>(time_point::max().time_since_epoch()).count()) {
        return time_point::max();
    }
    if (unix_seconds <= duration_cast<seconds>(time_point::min().time_since_epoch()).count()) {
        return time_point::min();
    }
    return time_point(duration_cast<time_point::duration>(seconds(unix_seconds)));
}

/// 0 is how the C API says that there is no such time.
inline std::optional<time_point> to_optional_time_point(std::int64_t unix_seconds) noexcept {
    if (unix_seconds == 0) {
        return std::nullopt;
    }
    return to_time_point(unix_seconds);
}

/// Asks for the size of a text, then for the text, as often as it grows in between.
template <typename Write> std::string read_text(const Write &write) {
    std::size_t needed = 0;
    for (;;) {
        std::string text(needed, '\0');
        const certreload_result result = write(text.data(), text.size(), &needed);
        if (result != CERTRELOAD_RESULT_BUFFER_TOO_SMALL) {
            check(result);
            text.resize(needed - 1); // without the NUL
            return text;
        }
    }
}

/// What is too long for the C API becomes the largest number; what is negative, `if_negative`.
inline std::uint32_t to_milliseconds(std::chrono::milliseconds time,
                                     std::uint32_t if_negative) noexcept {
    if (time.count() < 0) {
        return if_negative;
    }
    return time.count() < UINT32_MAX ? static_cast<std::uint32_t>(time.count()) : UINT32_MAX;
}

/// The same for seconds, where a negative time is 0.
inline std::uint32_t to_seconds(std::chrono::seconds time) noexcept {
    if (time.count() < 0) {
        return 0;
    }
    return time.count() < UINT32_MAX ? static_cast<std::uint32_t>(time.count()) : UINT32_MAX;
}

/// An event function at an address that stays, whatever is moved around it.
struct listener : std::enable_shared_from_this<listener> {
    listener(event_function event, exception_function exception)
        : on_event(std::move(event)), on_exception(std::move(exception)) {}

    event_function on_event;
    exception_function on_exception;
};

inline event to_event(const certreload_event &raw) noexcept {
    return event{static_cast<event_kind>(raw.kind),
                 static_cast<trigger>(raw.trigger),
                 raw.result,
                 raw.warnings,
                 raw.generation,
                 to_time_point(raw.earliest_not_after),
                 text(raw.path),
                 text(raw.message),
                 raw.count};
}

inline certreload_identity_bytes
to_identity_bytes(std::string_view chain_pem, std::string_view key_pem, bytes ocsp_der) noexcept {
    certreload_identity_bytes raw = {};
    raw.chain_pem = chain_pem.data();
    raw.chain_pem_size = chain_pem.size();
    raw.key_pem = key_pem.data();
    raw.key_pem_size = key_pem.size();
    raw.ocsp_der = ocsp_der.data;
    raw.ocsp_der_size = ocsp_der.size;
    return raw;
}

inline void deliver(void *userdata, const certreload_event *raw) noexcept {
    // The function may replace itself or destroy its handle. Its own call keeps it alive.
    const std::shared_ptr<listener> self = static_cast<listener *>(userdata)->shared_from_this();
    try {
        self->on_event(to_event(*raw));
    } catch (...) {
        try {
            if (self->on_exception) {
                self->on_exception(std::current_exception());
            }
        } catch (...) { // said at handle::on_event(): dropped
        }
    }
}

inline std::shared_ptr<listener> make_listener(event_function event, exception_function exception) {
    return event ? std::make_shared<listener>(std::move(event), std::move(exception)) : nullptr;
}

/// A log function at an address that stays.
struct log_listener : std::enable_shared_from_this<log_listener> {
    explicit log_listener(log_function line) : on_line(std::move(line)) {}

    log_function on_line;
};

inline void deliver_line(void *userdata, certreload_log_level level, const char *line) noexcept {
    // The function may replace itself. Its own call keeps it alive.
    const auto self = static_cast<log_listener *>(userdata)->shared_from_this();
    try {
        self->on_line(static_cast<log_level>(level), text(line));
    } catch (...) { // said at set_log(): dropped
    }
}

/// Never destroyed: the library's threads may log while the process ends.
inline std::shared_ptr<log_listener> &current_log_listener() {
    static auto *const current = new std::shared_ptr<log_listener>();
    return *current;
}

/// A compiler may leave out writing to what is freed next, but not through a volatile pointer.
inline void wipe(std::string &secret) noexcept {
    volatile char *bytes = secret.data();
    for (std::size_t index = 0; index < secret.size(); ++index) {
        bytes[index] = 0;
    }
}

inline bool ask_for_password(void *userdata, const char *key_path, char *password_out,
                             std::size_t password_size, std::size_t *length_out) noexcept {
    try {
        std::optional<std::string> password =
            (*static_cast<const password_function *>(userdata))(key_path);
        if (!password) {
            return false;
        }
        const bool fits = password->size() <= password_size;
        if (fits) {
            password->copy(password_out, password->size());
            *length_out = password->size();
        }
        wipe(*password);
        return fits;
    } catch (...) { // said at options::set_key_password(): no password
        return false;
    }
}

struct close_handle {
    void operator()(certreload_handle *handle) const noexcept {
        certreload_close(handle);
    }
};

struct free_options {
    void operator()(certreload_options *options) const noexcept {
        certreload_options_free(options);
    }
};

struct release_generation {
    void operator()(const certreload_generation *generation) const noexcept {
        certreload_generation_release(generation);
    }
};

struct free_connection {
    void operator()(rustls_connection *connection) const noexcept {
        detail::rustls::rustls_connection_free(connection);
    }
};

struct free_server_config {
    void operator()(const rustls_server_config *config) const noexcept {
        detail::rustls::rustls_server_config_free(config);
    }
};

struct free_client_config {
    void operator()(const rustls_client_config *config) const noexcept {
        detail::rustls::rustls_client_config_free(config);
    }
};

} // namespace detail

/// Owns a connection. May outlive the handle.
using connection_ptr = std::unique_ptr<rustls_connection, detail::free_connection>;

/// Owns one reference to a config. May outlive the handle; becomes a std::shared_ptr by assignment.
using client_config_ptr = std::unique_ptr<const rustls_client_config, detail::free_client_config>;
using server_config_ptr = std::unique_ptr<const rustls_server_config, detail::free_server_config>;

/// The release of the library that runs.
inline const char *version() noexcept {
    return certreload_version();
}

/// Name the function that is told of log lines from now on; an empty one for none. One for the
/// process, and none at the start.
///
/// It runs on any thread, on several at once, and must be quick: see certreload_log_callback for
/// what it may not do. What it throws is dropped. When this returns, the function before is not
/// running any more, but for the call that this is made from. Call it from one thread at a time.
inline void set_log(log_function function, log_level max_level = log_level::info) {
    auto next = function ? std::make_shared<detail::log_listener>(std::move(function)) : nullptr;
    detail::check(certreload_set_log_callback(next ? detail::deliver_line : nullptr, next.get(),
                                              nullptr,
                                              static_cast<certreload_log_level>(max_level)));
    detail::current_log_listener().swap(next);
}

/// What to load and how to watch it. Every function returns the options, for chaining: also those
/// of a temporary, as in `options o = options().add_identity(chain, key);`.
///
/// A function that fails throws and changes nothing, so a program that catches the exception may
/// open the options without that setting. What fails in C, by native(), is thrown by check() and
/// handle::open().
class options {
  public:
    options() : raw_(certreload_options_new()), listener_(), password_() {
        if (raw_ == nullptr) {
            throw std::bad_alloc();
        }
    }

    /// The first identity added is the default one. An empty ocsp path means none.
    options &add_identity(const std::string &chain_path, const std::string &key_path,
                          const std::string &ocsp_path = std::string()) & {
        apply(certreload_options_add_identity, detail::c_text(chain_path), detail::c_text(key_path),
              detail::c_text_or_null(ocsp_path));
        return *this;
    }
    options add_identity(const std::string &chain_path, const std::string &key_path,
                         const std::string &ocsp_path = std::string()) && {
        return std::move(add_identity(chain_path, key_path, ocsp_path));
    }

    /// An identity that is in memory, renewed by handle::push_identity(). Copied; wiping the
    /// caller's own copy is the caller's affair.
    options &add_identity_memory(std::string_view chain_pem, std::string_view key_pem,
                                 bytes ocsp_der = {}) & {
        const certreload_identity_bytes raw =
            detail::to_identity_bytes(chain_pem, key_pem, ocsp_der);
        apply(certreload_options_add_identity_memory, &raw, sizeof raw);
        return *this;
    }
    options add_identity_memory(std::string_view chain_pem, std::string_view key_pem,
                                bytes ocsp_der = {}) && {
        return std::move(add_identity_memory(chain_pem, key_pem, ocsp_der));
    }

    options &require_name(const std::string &dns_name) & {
        apply(certreload_options_require_name, detail::c_text(dns_name));
        return *this;
    }
    options require_name(const std::string &dns_name) && {
        return std::move(require_name(dns_name));
    }

    /// The function is called as certreload_key_password_callback says; what it throws counts as no
    /// password. What it returns is wiped, other copies of the password are its own business.
    /// Handles that are opened with the same options share the one function object, and may call it
    /// at the same time.
    options &set_key_password(password_function function) & {
        std::shared_ptr<password_function> next;
        if (function) {
            next = std::make_shared<password_function>(std::move(function));
        }
        apply(certreload_options_set_key_password_callback,
              next ? detail::ask_for_password : nullptr, next.get(), nullptr);
        password_ = std::move(next);
        return *this;
    }
    options set_key_password(password_function function) && {
        return std::move(set_key_password(std::move(function)));
    }

    /// An empty path means none.
    options &set_key_password_file(const std::string &path) & {
        apply(certreload_options_set_key_password_file, detail::c_text_or_null(path));
        password_.reset();
        return *this;
    }
    options set_key_password_file(const std::string &path) && {
        return std::move(set_key_password_file(path));
    }

    options &set_alpn(const std::vector<std::string> &protocols) & {
        std::vector<const char *> pointers;
        pointers.reserve(protocols.size());
        for (const std::string &protocol : protocols) {
            pointers.push_back(detail::c_text(protocol));
        }
        apply(certreload_options_set_alpn, pointers.data(), pointers.size());
        return *this;
    }
    options set_alpn(const std::vector<std::string> &protocols) && {
        return std::move(set_alpn(protocols));
    }

    /// The options keep a reference of their own.
    options &set_server_template(const rustls_server_config *config) & {
        apply(certreload_options_set_server_template, config);
        return *this;
    }
    options set_server_template(const rustls_server_config *config) && {
        return std::move(set_server_template(config));
    }

    /// Ask clients for certificates, and check them against roots: a file, or a directory of
    /// files. Only client_auth::none goes without.
    options &set_client_auth(client_auth mode, const std::string &roots_path = {}) & {
        const char *roots = mode == client_auth::none ? nullptr : detail::c_text(roots_path);
        apply(certreload_options_set_client_auth, static_cast<certreload_client_auth>(mode), roots);
        return *this;
    }
    options set_client_auth(client_auth mode, const std::string &roots_path = {}) && {
        return std::move(set_client_auth(mode, roots_path));
    }

    /// The client role: handle::client_connection() checks servers against these roots.
    options &set_server_roots(const std::string &roots_path) & {
        apply(certreload_options_set_server_roots, detail::c_text(roots_path));
        return *this;
    }
    options set_server_roots(const std::string &roots_path) && {
        return std::move(set_server_roots(roots_path));
    }

    /// The client role, with the roots of the system.
    options &set_platform_roots() & {
        apply(certreload_options_set_platform_roots);
        return *this;
    }
    options set_platform_roots() && {
        return std::move(set_platform_roots());
    }

    /// Revocation lists: a file, or a directory of files.
    options &add_crl(const std::string &crl_path) & {
        apply(certreload_options_add_crl, detail::c_text(crl_path));
        return *this;
    }
    options add_crl(const std::string &crl_path) && {
        return std::move(add_crl(crl_path));
    }

    /// CERTRELOAD_CRL_* bits; 0, the default, is the strict rule.
    options &set_crl_rules(std::uint32_t rules) & {
        apply(certreload_options_set_crl_rules, rules);
        return *this;
    }
    options set_crl_rules(std::uint32_t rules) && {
        return std::move(set_crl_rules(rules));
    }

    /// What a client proves itself with; without it the first identity, where that may be.
    options &add_client_identity(const std::string &chain_path, const std::string &key_path) & {
        apply(certreload_options_add_client_identity, detail::c_text(chain_path),
              detail::c_text(key_path));
        return *this;
    }
    options add_client_identity(const std::string &chain_path, const std::string &key_path) && {
        return std::move(add_client_identity(chain_path, key_path));
    }

    /// The options keep a reference of their own.
    options &set_client_template(const rustls_client_config *config) & {
        apply(certreload_options_set_client_template, config);
        return *this;
    }
    options set_client_template(const rustls_client_config *config) && {
        return std::move(set_client_template(config));
    }

    options &set_resumption(resumption which) & {
        apply(certreload_options_set_resumption, static_cast<certreload_resumption>(which));
        return *this;
    }
    options set_resumption(resumption which) && {
        return std::move(set_resumption(which));
    }

    /// A file of ticket keys that several processes share; the first encrypts, all decrypt.
    options &set_ticket_keys(const std::string &path) & {
        apply(certreload_options_set_ticket_keys, detail::c_text(path));
        return *this;
    }
    options set_ticket_keys(const std::string &path) && {
        return std::move(set_ticket_keys(path));
    }

    /// Zero for no limit. A negative time is refused: it would switch the limit off by mistake.
    options &set_ticket_key_lifetime(std::chrono::seconds lifetime) & {
        if (lifetime.count() < 0) {
            throw error(CERTRELOAD_RESULT_INVALID_PARAMETER,
                        "set_ticket_key_lifetime: a lifetime is not negative");
        }
        apply(certreload_options_set_ticket_key_lifetime_seconds, detail::to_seconds(lifetime));
        return *this;
    }
    options set_ticket_key_lifetime(std::chrono::seconds lifetime) && {
        return std::move(set_ticket_key_lifetime(lifetime));
    }

    /// Keeps sessions apart from those of services with another context: 1 to 255 bytes.
    options &set_session_context(const std::string &context) & {
        apply(certreload_options_set_session_context, context.data(), context.size());
        return *this;
    }
    options set_session_context(const std::string &context) && {
        return std::move(set_session_context(context));
    }

    options &set_watch(watch_mode mode) & {
        apply(certreload_options_set_watch, static_cast<certreload_watch>(mode));
        return *this;
    }
    options set_watch(watch_mode mode) && {
        return std::move(set_watch(mode));
    }

    /// With runtime::host the library creates no thread: the host waits for handle::event_fd() and
    /// calls handle::dispatch().
    options &set_runtime(runtime who) & {
        apply(certreload_options_set_runtime, static_cast<certreload_runtime>(who));
        return *this;
    }
    options set_runtime(runtime who) && {
        return std::move(set_runtime(who));
    }

    options &set_poll_interval(std::chrono::milliseconds interval) & {
        apply(certreload_options_set_poll_interval_ms,
              detail::to_milliseconds(interval, UINT32_MAX));
        return *this;
    }
    options set_poll_interval(std::chrono::milliseconds interval) && {
        return std::move(set_poll_interval(interval));
    }

    options &set_debounce(std::chrono::milliseconds quiet) & {
        apply(certreload_options_set_debounce_ms, detail::to_milliseconds(quiet, UINT32_MAX));
        return *this;
    }
    options set_debounce(std::chrono::milliseconds quiet) && {
        return std::move(set_debounce(quiet));
    }

    options &set_incomplete_timeout(std::chrono::milliseconds timeout) & {
        apply(certreload_options_set_incomplete_timeout_ms,
              detail::to_milliseconds(timeout, UINT32_MAX));
        return *this;
    }
    options set_incomplete_timeout(std::chrono::milliseconds timeout) && {
        return std::move(set_incomplete_timeout(timeout));
    }

    /// How long before its end a certificate counts as expiring; zero for no warning. Without this
    /// it is the last third of its lifetime, at most 30 days.
    options &set_expiry_warning(std::chrono::seconds before) & {
        const auto limit = std::chrono::seconds(UINT32_MAX);
        if (before.count() < 0) {
            throw error(CERTRELOAD_RESULT_INVALID_PARAMETER, "an expiry warning is negative");
        }
        apply(certreload_options_set_expiry_warning_seconds,
              static_cast<std::uint32_t>((before < limit ? before : limit).count()));
        return *this;
    }
    options set_expiry_warning(std::chrono::seconds before) && {
        return std::move(set_expiry_warning(before));
    }

    /// What people call the handle: a label of its metrics. An empty name is none.
    options &set_name(const std::string &name) & {
        apply(certreload_options_set_name, detail::c_text_or_null(name));
        return *this;
    }
    options set_name(const std::string &name) && {
        return std::move(set_name(name));
    }

    /// As handle::on_event(), and told of the first load too: the first event may come before
    /// handle::open() returns, so the function must not use the variable that the handle goes into
    /// unless it knows that it is there.
    ///
    /// Handles that are opened with the same options share the one function object. Its calls for
    /// one handle never overlap; those for different handles may.
    options &on_event(event_function function, exception_function on_exception = {}) & {
        auto next = detail::make_listener(std::move(function), std::move(on_exception));
        apply(certreload_options_set_event_callback, next ? detail::deliver : nullptr, next.get(),
              nullptr);
        listener_ = std::move(next);
        return *this;
    }
    options on_event(event_function function, exception_function on_exception = {}) && {
        return std::move(on_event(std::move(function), std::move(on_exception)));
    }

    /// Find out whether handle::open() would succeed: throws what it would throw.
    void check() const {
        detail::check(certreload_check(raw_.get()));
    }

    certreload_options *native() const noexcept {
        return raw_.get();
    }

  private:
    friend class handle;

    /// Calls a function of the C API that changes the options. If it fails, the options forget this
    /// failure, for the exception reports it. A failure of a C call on native() that came before is
    /// kept: no exception has reported it.
    template <typename Setter, typename... Arguments>
    void apply(Setter setter, Arguments... arguments) {
        const certreload_result result = setter(raw_.get(), arguments...);
        if (result != CERTRELOAD_RESULT_OK) {
            const error failure = detail::to_error(result);
            certreload_options_clear_error(raw_.get());
            throw failure;
        }
    }

    std::unique_ptr<certreload_options, detail::free_options> raw_;
    std::shared_ptr<detail::listener> listener_;
    std::shared_ptr<password_function> password_;
};

/// A view of one identity: borrowed, with all that it returns, from the generation it came from.
class identity {
  public:
    explicit identity(const certreload_identity *raw) noexcept : raw_(raw) {}

    /// Names as in the certificate: DNS names in lower case, wildcards, IP addresses.
    std::vector<std::string_view> names() const {
        std::vector<std::string_view> names;
        const std::size_t count = certreload_identity_name_count(raw_);
        names.reserve(count);
        for (std::size_t index = 0; index < count; ++index) {
            names.push_back(detail::text(certreload_identity_name(raw_, index)));
        }
        return names;
    }

    time_point not_before() const noexcept {
        return detail::to_time_point(certreload_identity_not_before(raw_));
    }

    time_point not_after() const noexcept {
        return detail::to_time_point(certreload_identity_not_after(raw_));
    }

    /// From when on it should have been renewed; none where no warning is wanted.
    std::optional<time_point> expiring_from() const noexcept {
        return detail::to_optional_time_point(certreload_identity_expiring_from(raw_));
    }

    /// Lower-case hexadecimal.
    std::string_view serial() const noexcept {
        return detail::text(certreload_identity_serial(raw_));
    }

    /// The leaf certificate's fingerprint: 64 lower-case hexadecimal digits.
    std::string_view sha256() const noexcept {
        return detail::text(certreload_identity_sha256(raw_));
    }

    /// The certificates in DER, the leaf first.
    std::vector<bytes> chain() const {
        std::vector<bytes> chain;
        const std::size_t count = certreload_identity_certificate_count(raw_);
        chain.reserve(count);
        for (std::size_t index = 0; index < count; ++index) {
            bytes der;
            der.data = certreload_identity_certificate_der(raw_, index, &der.size);
            chain.push_back(der);
        }
        return chain;
    }

    /// The OCSP response in DER that is stapled now; empty where there is none, or it has expired.
    bytes ocsp() const noexcept {
        bytes der;
        der.data = certreload_identity_ocsp_der(raw_, &der.size);
        return der;
    }

    const certreload_identity *native() const noexcept {
        return raw_;
    }

  private:
    const certreload_identity *raw_;
};

/// One reference to an immutable snapshot of every identity. May outlive the handle.
class generation {
  public:
    /// Iterates over the identities in the order in which they were added.
    class iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = identity;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = identity;

        iterator(const certreload_generation *generation, std::size_t index) noexcept
            : generation_(generation), index_(index) {}

        identity operator*() const noexcept {
            return identity(certreload_generation_identity(generation_, index_));
        }
        iterator &operator++() noexcept {
            ++index_;
            return *this;
        }
        iterator operator++(int) noexcept {
            return iterator(generation_, index_++);
        }
        friend bool operator==(const iterator &left, const iterator &right) noexcept {
            return left.index_ == right.index_ && left.generation_ == right.generation_;
        }
        friend bool operator!=(const iterator &left, const iterator &right) noexcept {
            return !(left == right);
        }

      private:
        const certreload_generation *generation_;
        std::size_t index_;
    };

    /// What identities() returns: something to loop over. Borrowed from the generation.
    class identity_range {
      public:
        explicit identity_range(const certreload_generation *generation) noexcept
            : generation_(generation) {}

        iterator begin() const noexcept {
            return iterator(generation_, 0);
        }
        iterator end() const noexcept {
            return iterator(generation_, size());
        }
        std::size_t size() const noexcept {
            return certreload_generation_identity_count(generation_);
        }
        identity operator[](std::size_t index) const noexcept {
            return *iterator(generation_, index);
        }

      private:
        const certreload_generation *generation_;
    };

    /// Takes over one reference, as certreload_generation_acquire() returns it.
    explicit generation(const certreload_generation *raw) noexcept : raw_(raw) {}

    std::uint64_t number() const noexcept {
        return certreload_generation_number(raw_.get());
    }

    // What is borrowed from a generation cannot be taken from a temporary one: it would dangle.

    identity_range identities() const &noexcept {
        return identity_range(raw_.get());
    }
    identity_range identities() const && = delete;

    /// The identity that serves a name; the first one where the name is empty or nobody has it; one
    /// that is empty where there is none to serve.
    identity select(std::string_view server_name) const & {
        const bool is_text = server_name.find('\0') == std::string_view::npos; // else nobody's
        const std::string name(is_text ? server_name : std::string_view());
        return identity(certreload_generation_select(raw_.get(), name.c_str()));
    }
    identity select(std::string_view server_name) const && = delete;

    const rustls_server_config *server_config() const &noexcept {
        return certreload_generation_borrow_server_config(raw_.get());
    }
    const rustls_server_config *server_config() const && = delete;

    /// NULL where the handle has no client role.
    const rustls_client_config *client_config() const &noexcept {
        return certreload_generation_borrow_client_config(raw_.get());
    }
    const rustls_client_config *client_config() const && = delete;

    const certreload_generation *native() const noexcept {
        return raw_.get();
    }

  private:
    std::unique_ptr<const certreload_generation, detail::release_generation> raw_;
};

/// Certificates that reload. Open one at start; ask it for a connection at each accept().
class handle {
  public:
    /// Load everything that the options name, check it, and begin to watch it.
    [[nodiscard]] static handle open(const options &options) {
        certreload_handle *raw = nullptr;
        detail::check(certreload_open(options.raw_.get(), &raw));
        return handle(raw, options.listener_, options.password_);
    }

    /// Open one identity with every option at its default.
    [[nodiscard]] static handle open(const std::string &chain_path, const std::string &key_path) {
        certreload_handle *raw = nullptr;
        detail::check(
            certreload_open_files(detail::c_text(chain_path), detail::c_text(key_path), &raw));
        return handle(raw, nullptr, nullptr);
    }

    handle(handle &&) noexcept = default;

    /// Closes what this handle held before.
    handle &operator=(handle &&other) noexcept {
        handle taken(std::move(other));
        raw_.swap(taken.raw_);
        listener_.swap(taken.listener_);
        password_.swap(taken.password_);
        return *this;
    }

    /// Closes the handle: afterwards its event function is not running, but for a call that itself
    /// destroys the handle, which it may. Connections, configs and generations live on.
    ///
    /// It waits for the event function. So hold no lock that the function takes, and do this on no
    /// thread that it joins or waits for: the library cannot see the host's mutexes and joins.
    ~handle() = default;

    /// Closes the handle now, as its destruction does; what is left is as if it was moved from.
    void close() noexcept {
        // The event function may be using this handle until it has ended: nothing is written
        // before.
        certreload_close(raw_.get());
        static_cast<void>(raw_.release());
        // Last of all goes the event function, and with it perhaps what owns this handle.
        const handle rest(std::move(*this));
    }

    /// Ask for a reload and return at once. Async-signal-safe: made for a SIGHUP handler.
    void reload() const noexcept {
        certreload_reload(raw_.get());
    }

    /// Reload now. Throws where the files cannot be used, while what served goes on serving, and
    /// where the time runs out, while the work goes on (code(): CERTRELOAD_RESULT_TIMED_OUT). A
    /// negative timeout is none at all; milliseconds::max() waits as long as it takes.
    reload_outcome reload_wait(std::chrono::milliseconds timeout) const {
        const certreload_result result = try_reload_wait(timeout);
        detail::check(result);
        return result == CERTRELOAD_RESULT_UNCHANGED ? reload_outcome::unchanged
                                                     : reload_outcome::reloaded;
    }

    /// Reload now and return the result as it is; on failure certreload_last_error() has the story.
    [[nodiscard]] certreload_result
    try_reload_wait(std::chrono::milliseconds timeout) const noexcept {
        return certreload_reload_wait(raw_.get(), detail::to_milliseconds(timeout, 0));
    }

    /// Hand over new bytes for an identity, as they would be in its files. Throws where they cannot
    /// be used, while what served goes on serving.
    reload_outcome push_identity(std::size_t index, std::string_view chain_pem,
                                 std::string_view key_pem, bytes ocsp_der = {}) const {
        const certreload_identity_bytes raw =
            detail::to_identity_bytes(chain_pem, key_pem, ocsp_der);
        const certreload_result result =
            certreload_push_identity(raw_.get(), index, &raw, sizeof raw);
        detail::check(result);
        return result == CERTRELOAD_RESULT_UNCHANGED ? reload_outcome::unchanged
                                                     : reload_outcome::reloaded;
    }

    /// The index of the identity that serves a name: a DNS name without a dot at its end, a
    /// wildcard or an IP address as the certificate has it. Throws where none has it.
    std::size_t find_identity(const std::string &server_name) const {
        std::size_t index = 0;
        detail::check(certreload_find_identity(raw_.get(), detail::c_text(server_name), &index));
        return index;
    }

    /// A descriptor that is readable as long as events wait for next_event(), and with
    /// runtime::host as long as there is something to dispatch. The library's: take it out of the
    /// event loop before the handle goes. Throws where there is none (code():
    /// CERTRELOAD_RESULT_SYSTEM, whatever the reason).
    int event_fd() const {
        const int descriptor = certreload_event_fd(raw_.get());
        if (descriptor < 0) {
            detail::fail(raw_ == nullptr ? CERTRELOAD_RESULT_NULL_PARAMETER
                                         : CERTRELOAD_RESULT_SYSTEM);
        }
        return descriptor;
    }

    /// Take the next event without an event function; none where none is waiting. Its texts are
    /// valid until this thread takes another event, of whichever handle, or ends.
    std::optional<event> next_event() const {
        const certreload_event *raw = nullptr;
        const certreload_result result = certreload_next_event(raw_.get(), &raw);
        if (result == CERTRELOAD_RESULT_NO_EVENT) {
            return std::nullopt;
        }
        detail::check(result);
        return detail::to_event(*raw);
    }

    /// Do the work that is pending, on this thread, and call the event function here: for
    /// runtime::host.
    void dispatch() const {
        detail::check(certreload_dispatch(raw_.get()));
    }

    /// Take the handle up in a child that was forked, before its other threads use it. Ask for
    /// event_fd() anew then.
    void after_fork() {
        detail::check(certreload_after_fork(raw_.get()));
    }

    /// Name the function that is told of events from now on; an empty one for none.
    ///
    /// Where it uses members of the object that holds this handle, let the handle be the last
    /// member: it is then the first to go, and no event comes after it.
    ///
    /// It runs on a background thread of the library, with runtime::host in dispatch(), one call at
    /// a time, in order, and may call anything, replacing itself and destroying this handle
    /// included; only it must not end its thread (pthread_exit()) nor longjmp out. When this
    /// returns the function before is not running any more, but for the call that this is made
    /// from.
    ///
    /// So call this with no lock held that the function takes, and on no thread that it joins or
    /// waits for: the library cannot see the host's mutexes and joins.
    ///
    /// What the function throws goes to on_exception, if there is one, on the same thread, and is
    /// dropped otherwise, as is what on_exception throws: an exception never reaches the library,
    /// and a log line that failed never ends the server.
    void on_event(event_function function, exception_function on_exception = {}) {
        auto next = detail::make_listener(std::move(function), std::move(on_exception));
        detail::check(certreload_set_event_callback(raw_.get(), next ? detail::deliver : nullptr,
                                                    next.get(), nullptr));
        // Last, because destroying the function before may destroy what owns this handle.
        listener_.swap(next);
    }

    certreload::status status() const {
        certreload_status raw = {};
        detail::check(certreload_get_status(raw_.get(), &raw, sizeof raw));
        return certreload::status{raw.generation,
                                  detail::to_time_point(raw.loaded_at),
                                  detail::to_time_point(raw.earliest_not_after),
                                  static_cast<certreload::health>(raw.health),
                                  raw.last_result,
                                  raw.reloads,
                                  raw.failures,
                                  raw.unchanged,
                                  raw.identities,
                                  raw.generations_alive,
                                  static_cast<watch_state>(raw.watch),
                                  raw.warnings,
                                  detail::to_time_point(raw.health_since),
                                  detail::to_optional_time_point(raw.expiring_from),
                                  detail::to_time_point(raw.last_checked_at),
                                  raw.consecutive_failures,
                                  detail::to_optional_time_point(raw.last_failure_at),
                                  raw.last_failure};
    }

    /// How one identity is doing; index as in generation::identities(). Throws where there is none.
    certreload::identity_status identity_status(std::size_t index) const {
        certreload_identity_status raw = {};
        detail::check(certreload_get_identity_status(raw_.get(), index, &raw, sizeof raw));
        return certreload::identity_status{static_cast<certreload::health>(raw.health),
                                           raw.last_result,
                                           detail::to_time_point(raw.health_since),
                                           detail::to_time_point(raw.not_before),
                                           detail::to_time_point(raw.not_after),
                                           detail::to_optional_time_point(raw.expiring_from),
                                           detail::to_time_point(raw.renewed_at),
                                           raw.renewed_generation,
                                           detail::to_time_point(raw.last_checked_at),
                                           raw.warnings,
                                           raw.pending != 0,
                                           raw.consecutive_failures,
                                           detail::to_optional_time_point(raw.last_failure_at),
                                           raw.last_failure,
                                           raw.chain_path};
    }

    /// How roots and revocation lists are doing. Throws where there are no roots.
    certreload::trust_status trust_status() const {
        certreload_trust_status raw = {};
        detail::check(certreload_get_trust_status(raw_.get(), &raw, sizeof raw));
        return certreload::trust_status{static_cast<certreload::health>(raw.health),
                                        raw.last_result,
                                        detail::to_time_point(raw.health_since),
                                        raw.client_roots,
                                        raw.server_roots,
                                        raw.crls,
                                        raw.revoked,
                                        detail::to_optional_time_point(raw.next_update),
                                        detail::to_optional_time_point(raw.expiring_from),
                                        detail::to_time_point(raw.renewed_at),
                                        raw.renewed_generation,
                                        detail::to_time_point(raw.last_checked_at),
                                        raw.warnings,
                                        raw.pending != 0,
                                        raw.consecutive_failures,
                                        detail::to_optional_time_point(raw.last_failure_at),
                                        raw.last_failure,
                                        raw.path};
    }

    /// End every session of this process at once: for the day a key leaks. Forked workers and other
    /// hosts have to be told, too.
    void invalidate_sessions() const {
        detail::check(certreload_invalidate_sessions(raw_.get()));
    }

    /// What there is to measure, in the Prometheus text format; see also metrics_page().
    std::string metrics() const {
        return detail::read_text([this](char *buffer, std::size_t size, std::size_t *needed) {
            return certreload_write_metrics(raw_.get(), buffer, size, needed);
        });
    }

    /// Make a connection with the config that is current at this moment.
    [[nodiscard]] connection_ptr server_connection() const {
        rustls_connection *raw = nullptr;
        detail::check(certreload_server_connection_new(raw_.get(), &raw));
        return connection_ptr(raw);
    }

    /// Take a reference to the config that is current at this moment: for rustls-ffi's Acceptor.
    [[nodiscard]] server_config_ptr acquire_server_config() const {
        server_config_ptr config(certreload_acquire_server_config(raw_.get()));
        if (config == nullptr) {
            detail::fail(why_no_config());
        }
        return config;
    }

    /// Make a connection to a server: a DNS name or an IP address, which its certificate must have.
    [[nodiscard]] connection_ptr client_connection(const std::string &server_name) const {
        rustls_connection *raw = nullptr;
        detail::check(
            certreload_client_connection_new(raw_.get(), detail::c_text(server_name), &raw));
        return connection_ptr(raw);
    }

    /// Take a reference to the config of the client role that is current at this moment.
    [[nodiscard]] client_config_ptr acquire_client_config() const {
        client_config_ptr config(certreload_acquire_client_config(raw_.get()));
        if (config == nullptr) {
            detail::fail(why_no_config());
        }
        return config;
    }

    /// Take a reference to the generation that is current at this moment.
    [[nodiscard]] generation acquire() const {
        const certreload_generation *raw = certreload_generation_acquire(raw_.get());
        if (raw == nullptr) {
            detail::fail(CERTRELOAD_RESULT_NULL_PARAMETER);
        }
        return generation(raw);
    }

    /// False for a handle that was moved from.
    explicit operator bool() const noexcept {
        return raw_ != nullptr;
    }

    certreload_handle *native() const noexcept {
        return raw_.get();
    }

  private:
    certreload_result why_no_config() const noexcept {
        return raw_ == nullptr ? CERTRELOAD_RESULT_NULL_PARAMETER
                               : CERTRELOAD_RESULT_NOT_CONFIGURED;
    }

    handle(certreload_handle *raw, std::shared_ptr<detail::listener> listener,
           std::shared_ptr<password_function> password) noexcept
        : listener_(std::move(listener)), password_(std::move(password)), raw_(raw) {}

    // In this order: the handle is closed before the functions go that it calls.
    std::shared_ptr<detail::listener> listener_;
    std::shared_ptr<password_function> password_;
    std::unique_ptr<certreload_handle, detail::close_handle> raw_;
};

/// What there is to measure of several handles, as one page in the Prometheus text format.
inline std::string metrics_page(const std::vector<const handle *> &handles) {
    std::vector<certreload_handle *> raw;
    raw.reserve(handles.size());
    for (const handle *one : handles) {
        raw.push_back(one == nullptr ? nullptr : one->native());
    }
    return detail::read_text([&raw](char *buffer, std::size_t size, std::size_t *needed) {
        return certreload_write_metrics_page(raw.data(), raw.size(), buffer, size, needed);
    });
}

} // namespace certreload

#endif // CERTRELOAD_HPP
