/*
 * certreload for C++17: the C API of certreload.h with owners, std::function and exceptions.
 *
 *     certreload::handle certificates = certreload::handle::open("fullchain.pem", "privkey.pem");
 *     ...
 *     certreload::connection_ptr tls = certificates.server_connection();   // for each accept()
 *
 * Header-only and thin: certreload.h documents the behaviour, cost and guarantees of each call.
 * This header adds:
 *
 * - Ownership: every owner is move-only and frees its object. Views (identity, bytes, string_view)
 *   are borrowed; the comment of each says how long it is valid.
 * - Errors: a call that fails throws certreload::error, with the result code and the full message.
 *   Functions marked noexcept never throw. An owner that was moved from behaves as NULL does in C:
 *   never a crash, and an error where a call can report one.
 * - Units: durations are std::chrono durations, points in time are time_point. Sizes are bytes.
 * - Text: to_string() names every result and enum. Argument-dependent lookup finds it.
 * - Threads: const member functions may be called from any thread, concurrently. The others
 *   (on_event(), after_fork(), close(), move, destruction) need exclusive access to the object.
 * - Strings: a std::string that contains a NUL is an error (CERTRELOAD_RESULT_INVALID_PARAMETER),
 *   because C would read a shorter string. Check the result of getenv() before it becomes a
 *   std::string: constructing one from a null pointer is undefined behaviour.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
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

/// A point in time. The C API has whole seconds; a date beyond the range of the clock becomes its
/// last (first) point.
using time_point = std::chrono::system_clock::time_point;

enum class event_kind : std::uint32_t {
    reloaded = CERTRELOAD_EVENT_KIND_RELOADED,
    reload_failed = CERTRELOAD_EVENT_KIND_RELOAD_FAILED,
    watch_degraded = CERTRELOAD_EVENT_KIND_WATCH_DEGRADED,
    watch_restored = CERTRELOAD_EVENT_KIND_WATCH_RESTORED,
    expiring = CERTRELOAD_EVENT_KIND_EXPIRING,
    expired = CERTRELOAD_EVENT_KIND_EXPIRED,
    recovered = CERTRELOAD_EVENT_KIND_RECOVERED,
    warning = CERTRELOAD_EVENT_KIND_WARNING,
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
    missing = CERTRELOAD_HEALTH_MISSING, // with start_mode::available alone
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

/// What handle::open() does about files that cannot be used: it throws, or does without them.
enum class start_mode : std::uint32_t {
    strict = CERTRELOAD_START_STRICT,
    available = CERTRELOAD_START_AVAILABLE,
};

/// Which TLS stack uses a handle, besides those of adapters.
enum class tls_stack : std::uint32_t {
    rustls = CERTRELOAD_TLS_RUSTLS,
    none = CERTRELOAD_TLS_NONE,
};

/// Who runs the reloads: threads of the library, or the host, which calls handle::dispatch().
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

/// The kind of a result, by what a program does about it.
enum class category : std::uint32_t {
    ok = CERTRELOAD_CATEGORY_OK,
    not_now = CERTRELOAD_CATEGORY_NOT_NOW,
    call = CERTRELOAD_CATEGORY_CALL,
    system = CERTRELOAD_CATEGORY_SYSTEM,
    file = CERTRELOAD_CATEGORY_FILE,
    content = CERTRELOAD_CATEGORY_CONTENT,
    validation = CERTRELOAD_CATEGORY_VALIDATION,
    unknown = CERTRELOAD_CATEGORY_UNKNOWN,
};

/// The outcome of a reload that did not fail.
enum class reload_outcome { reloaded, unchanged };

/// The outcome of a call: a certreload_result with its name and category.
///
/// It converts to and from certreload_result, so it compares with CERTRELOAD_RESULT_* and works in
/// a switch statement.
class result {
  public:
    constexpr result() noexcept = default;
    constexpr result(certreload_result value) noexcept : value_(value) {}

    constexpr operator certreload_result() const noexcept {
        return value_;
    }

    /// Deleted, because `if (result)` would be true for a failure.
    explicit operator bool() const = delete;

    /// Returns the name of the constant, such as "CERTRELOAD_RESULT_KEY_MISMATCH". It never
    /// changes.
    const char *name() const noexcept {
        return certreload_result_name(value_);
    }

    certreload::category category() const noexcept {
        return static_cast<certreload::category>(certreload_result_category(value_));
    }

    bool is_error() const noexcept {
        return certreload_result_is_error(value_);
    }

  private:
    certreload_result value_ = CERTRELOAD_RESULT_OK;
};

/// A set of CERTRELOAD_WARNING_* bits. It converts to std::uint32_t.
class warnings {
  public:
    constexpr warnings() noexcept = default;
    constexpr explicit warnings(std::uint32_t bits) noexcept : bits_(bits) {}

    constexpr operator std::uint32_t() const noexcept {
        return bits_;
    }

    /// Returns whether any of these CERTRELOAD_WARNING_* bits is set.
    constexpr bool has(std::uint32_t bits) const noexcept {
        return (bits_ & bits) != 0;
    }

  private:
    std::uint32_t bits_ = 0;
};

// The words come from the library that runs, because a later release may have values that this
// header does not know. A value that the library does not know is "unknown".

inline const char *to_string(event_kind kind) noexcept {
    return certreload_event_kind_str(static_cast<certreload_event_kind>(kind));
}

inline const char *to_string(trigger trigger) noexcept {
    return certreload_trigger_str(static_cast<certreload_trigger>(trigger));
}

inline const char *to_string(health health) noexcept {
    return certreload_health_str(static_cast<certreload_health>(health));
}

inline const char *to_string(watch_state state) noexcept {
    return certreload_watch_state_str(static_cast<certreload_watch_state>(state));
}

inline const char *to_string(log_level level) noexcept {
    return certreload_log_level_str(static_cast<certreload_log_level>(level));
}

inline const char *to_string(category category) noexcept {
    return certreload_category_str(static_cast<certreload_category>(category));
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

/// Returns a short description of a result, without path and reason. For scripts, see
/// result::name().
inline const char *to_string(result result) noexcept {
    return certreload_result_str(result);
}

/// Returns the words of warnings, such as "key-readable, names-lost"; "" if there are none.
inline std::string to_string(warnings warnings) {
    std::string words;
    for (std::uint32_t bit = 1; bit != 0; bit <<= 1) {
        if (warnings.has(bit)) {
            words += words.empty() ? "" : ", ";
            words += certreload_warning_str(bit);
        }
    }
    return words;
}

/// A call that failed: code() for the program, what() for the log, with path and reason.
class error : public std::runtime_error {
  public:
    error(result code, const std::string &message) : std::runtime_error(message), code_(code) {}

    result code() const noexcept {
        return code_;
    }

  private:
    result code_;
};

/// Bytes of another owner. `size` is in bytes.
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

/// One event. Its texts are borrowed: in an event function until it returns, from
/// handle::next_event() as documented there.
struct event {
    event_kind kind;
    certreload::trigger trigger;
    certreload::result result;
    certreload::warnings warnings;
    std::uint64_t generation;
    time_point earliest_not_after;
    std::string_view path;
    std::string_view message;
    std::uint64_t count; // how many events this one represents

    /// Returns a copy that owns its texts, to keep or to pass to another thread.
    owned_event to_owned() const;
};

/// An event that owns its texts.
struct owned_event {
    event_kind kind;
    certreload::trigger trigger;
    certreload::result result;
    certreload::warnings warnings;
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

/// The state of a handle: certreload_status in C++ types.
struct status {
    std::uint64_t generation;
    time_point loaded_at;
    time_point earliest_not_after;
    certreload::health health;
    result last_result;
    std::uint64_t reloads;
    std::uint64_t failures;
    std::uint64_t unchanged;
    std::size_t identities;
    std::size_t generations_alive;
    watch_state watch;
    certreload::warnings warnings;
    time_point health_since;
    std::optional<time_point> expiring_from; // none if the expiry warning is off
    time_point last_checked_at;
    std::uint64_t consecutive_failures;
    std::optional<time_point> last_failure_at; // set while a failure persists
    std::string last_failure;                  // "" if no failure persists
    std::size_t identities_configured;         // of these, identities have been loaded
};

/// The state of one identity: certreload_identity_status in C++ types.
struct identity_status {
    certreload::health health;
    result last_result;
    time_point health_since;
    std::optional<time_point> not_before;    // none while health is missing
    std::optional<time_point> not_after;     // none while health is missing
    std::optional<time_point> expiring_from; // none if the warning is off, or health is missing
    std::optional<time_point> renewed_at;    // none while health is missing, and after a fork
    std::uint64_t renewed_generation;
    time_point last_checked_at;
    certreload::warnings warnings;
    bool pending;
    std::uint64_t consecutive_failures;
    std::optional<time_point> last_failure_at; // set while a failure persists
    std::string last_failure;                  // "" if no failure persists
    std::string chain_path;                    // names the identity
};

/// The state of the trust store: certreload_trust_status in C++ types.
struct trust_status {
    certreload::health health;
    result last_result;
    time_point health_since;
    std::size_t client_roots;
    std::size_t server_roots;
    std::size_t crls;
    std::size_t revoked;
    std::optional<time_point> next_update;   // none if no CRL has one
    std::optional<time_point> expiring_from; // none if no CRL has a nextUpdate
    std::optional<time_point> renewed_at;    // none while health is missing, and after a fork
    std::uint64_t renewed_generation;
    time_point last_checked_at;
    certreload::warnings warnings;
    bool pending;
    std::uint64_t consecutive_failures;
    std::optional<time_point> last_failure_at; // set while a failure persists
    std::string last_failure;                  // "" if no failure persists
    std::string path;
};

/// A function that receives log lines; see set_log().
using log_function = std::function<void(log_level, std::string_view message)>;

/// A function that receives events; see handle::on_event().
using event_function = std::function<void(const event &)>;

/// A function that receives the exceptions of an event function.
using exception_function = std::function<void(std::exception_ptr)>;

/// A function that returns the password of the private key at a path, or std::nullopt if it has
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
    if (certreload_result_is_error(result)) {
        fail(result);
    }
}

inline reload_outcome to_reload_outcome(certreload_result result) {
    check(result);
    return result == CERTRELOAD_RESULT_UNCHANGED ? reload_outcome::unchanged
                                                 : reload_outcome::reloaded;
}

/// Returns a string for C, which would take the first NUL for the end: a different name or path.
inline const char *c_text(const std::string &text) {
    if (text.find('\0') != std::string::npos) {
        throw error(CERTRELOAD_RESULT_INVALID_PARAMETER, "a string contains a NUL");
    }
    return text.c_str();
}

inline const char *c_text_or_null(const std::string &text) {
    return text.empty() ? nullptr : c_text(text);
}

inline std::string_view text(const char *text) noexcept {
    return text == nullptr ? std::string_view() : std::string_view(text);
}

/// A certificate may be valid until the year 9999, which a clock in nanoseconds cannot represent.
/// Such a date becomes time_point::max() instead of an overflow.
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

/// The C API writes 0 if there is no such time.
inline std::optional<time_point> to_optional_time_point(std::int64_t unix_seconds) noexcept {
    if (unix_seconds == 0) {
        return std::nullopt;
    }
    return to_time_point(unix_seconds);
}

/// Reads a text of unknown size. It may grow between two calls, so a text that is too long for the
/// buffer is read again.
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

/// Converts a duration. One that is too long for the C API becomes the largest number; a negative
/// one becomes `if_negative`.
template <typename Duration>
std::uint32_t to_count(Duration time, std::uint32_t if_negative) noexcept {
    if (time.count() < 0) {
        return if_negative;
    }
    return time.count() < UINT32_MAX ? static_cast<std::uint32_t>(time.count()) : UINT32_MAX;
}

/// Converts milliseconds for an option with a range. A negative duration becomes a number that is
/// out of every range, so that the C function refuses it.
inline std::uint32_t to_milliseconds(std::chrono::milliseconds time) noexcept {
    return to_count(time, UINT32_MAX);
}

/// Converts seconds for an option where 0 switches something off. A negative duration is an error,
/// because rounding it to 0 would do that by mistake.
inline std::uint32_t to_seconds(std::chrono::seconds time, const char *function) {
    if (time.count() < 0) {
        throw error(CERTRELOAD_RESULT_INVALID_PARAMETER,
                    std::string(function) + ": the duration is negative");
    }
    return to_count(time, 0);
}

/// An event function at an address that does not change when its owner is moved.
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
                 certreload::warnings(raw.warnings),
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
    // The function may replace itself or destroy its handle. This reference keeps it alive until
    // its call has returned.
    const std::shared_ptr<listener> self = static_cast<listener *>(userdata)->shared_from_this();
    try {
        self->on_event(to_event(*raw));
    } catch (...) {
        try {
            if (self->on_exception) {
                self->on_exception(std::current_exception());
            }
        } catch (...) { // dropped, as documented at handle::on_event()
        }
    }
}

inline std::shared_ptr<listener> make_listener(event_function event, exception_function exception) {
    return event ? std::make_shared<listener>(std::move(event), std::move(exception)) : nullptr;
}

/// Frees the function that was passed to the library as userdata. The library calls it after the
/// last call of the function (certreload_userdata_free).
template <typename Function> void free_function(void *userdata) noexcept {
    delete static_cast<Function *>(userdata);
}

/// Moves a function to the heap, where the library can own it as userdata; NULL if it is empty.
template <typename Function> std::unique_ptr<Function> make_userdata(Function function) {
    return function ? std::make_unique<Function>(std::move(function)) : nullptr;
}

inline void deliver_line(void *userdata, certreload_log_level level, const char *line) noexcept {
    try {
        (*static_cast<const log_function *>(userdata))(static_cast<log_level>(level), text(line));
    } catch (...) { // dropped, as documented at set_log()
    }
}

/// Wipes a secret. Writes through a volatile pointer cannot be optimised away, although the memory
/// is freed next.
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
    } catch (...) { // no password, as documented at options::set_key_password()
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

/// Owner of a connection. May outlive the handle.
using connection_ptr = std::unique_ptr<rustls_connection, detail::free_connection>;

/// Owner of one reference to a config. May outlive the handle. Converts to a std::shared_ptr.
using client_config_ptr = std::unique_ptr<const rustls_client_config, detail::free_client_config>;
using server_config_ptr = std::unique_ptr<const rustls_server_config, detail::free_server_config>;

/// Returns the version of the library that runs, such as "0.1.0".
inline const char *version() noexcept {
    return certreload_version();
}

/// Returns the version of the library that runs as a number: CERTRELOAD_VERSION_NUMBER of its
/// header.
inline std::uint32_t version_number() noexcept {
    return certreload_version_number();
}

/// Sets the function that receives log lines. There is one for the process, and none at the start;
/// an empty function removes it.
///
/// It runs on any thread, on several at once, and must be quick: certreload_log_callback lists its
/// restrictions. An exception that it throws is dropped. When set_log() returns, the previous
/// function is not running any more, unless set_log() was called from inside it. The previous
/// function is destroyed after its last call. May be called from any thread, concurrently.
inline void set_log(log_function function, log_level max_level = log_level::info) {
    auto next = detail::make_userdata(std::move(function));
    detail::check(certreload_set_log_callback(next ? detail::deliver_line : nullptr, next.get(),
                                              detail::free_function<log_function>,
                                              static_cast<certreload_log_level>(max_level)));
    static_cast<void>(next.release()); // the library's from here on
}

/// What to load and how to watch it. Every setter returns the options, so that calls can be
/// chained. Temporaries too: `options o = options().add_identity(chain, key);`.
///
/// A setter that fails throws and changes nothing, so a program that catches the exception may open
/// the options without that setting. The failure of a C call on native() is thrown by check() and
/// handle::open(): options fail closed (G22).
class options {
  public:
    options() : raw_(certreload_options_new()), listener_() {
        if (raw_ == nullptr) {
            throw std::bad_alloc();
        }
    }

    /// Adds an identity. The first one serves clients whose name no other identity has. An empty
    /// ocsp_path means no OCSP response.
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

    /// Adds an identity from memory, which handle::push_identity() renews. The bytes are copied;
    /// the caller wipes its own copy.
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

    /// Requires that an identity has this name, a DNS name, an IP address or a URI: opening fails
    /// without it (start_mode::strict), and a change that would lose it is refused (G15).
    options &require_name(const std::string &name) & {
        apply(certreload_options_require_name, detail::c_text(name));
        return *this;
    }
    options require_name(const std::string &name) && {
        return std::move(require_name(name));
    }

    /// Sets the function that returns the passwords of private keys.
    /// certreload_key_password_callback lists its restrictions. An exception that it throws counts
    /// as no password. The string that it returns is wiped; the function wipes any other copy.
    ///
    /// Handles that are opened with the same options share the function and may call it at the same
    /// time. It is destroyed when neither the options nor an open handle can call it any more.
    options &set_key_password(password_function function) & {
        auto next = detail::make_userdata(std::move(function));
        apply(certreload_options_set_key_password_callback,
              next ? detail::ask_for_password : nullptr, next.get(),
              detail::free_function<password_function>);
        static_cast<void>(next.release()); // the library's from here on
        return *this;
    }
    options set_key_password(password_function function) && {
        return std::move(set_key_password(std::move(function)));
    }

    /// Sets the file whose first line is the password of private keys. It replaces a password
    /// function. An empty path means no password.
    options &set_key_password_file(const std::string &path) & {
        apply(certreload_options_set_key_password_file, detail::c_text_or_null(path));
        return *this;
    }
    options set_key_password_file(const std::string &path) && {
        return std::move(set_key_password_file(path));
    }

    /// Sets the protocols that servers accept by ALPN (RFC 7301), the preferred one first.
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

    /// Keeps every setting of an existing server config: only the identity comes from the files.
    /// The options take their own reference to the config.
    options &set_server_template(const rustls_server_config *config) & {
        apply(certreload_options_set_server_template, config);
        return *this;
    }
    options set_server_template(const rustls_server_config *config) && {
        return std::move(set_server_template(config));
    }

    /// Asks clients for certificates and checks them against the roots: a file, or a directory of
    /// files. Every mode except client_auth::none needs roots.
    options &set_client_auth(client_auth mode, const std::string &roots_path = {}) & {
        const char *roots = mode == client_auth::none ? nullptr : detail::c_text(roots_path);
        apply(certreload_options_set_client_auth, static_cast<certreload_client_auth>(mode), roots);
        return *this;
    }
    options set_client_auth(client_auth mode, const std::string &roots_path = {}) && {
        return std::move(set_client_auth(mode, roots_path));
    }

    /// Enables the client role: handle::client_connection() checks servers against these roots.
    options &set_server_roots(const std::string &roots_path) & {
        apply(certreload_options_set_server_roots, detail::c_text(roots_path));
        return *this;
    }
    options set_server_roots(const std::string &roots_path) && {
        return std::move(set_server_roots(roots_path));
    }

    /// Enables the client role with the roots of the operating system.
    options &set_platform_roots() & {
        apply(certreload_options_set_platform_roots);
        return *this;
    }
    options set_platform_roots() && {
        return std::move(set_platform_roots());
    }

    /// Adds certificate revocation lists: a file, or a directory of files.
    options &add_crl(const std::string &crl_path) & {
        apply(certreload_options_add_crl, detail::c_text(crl_path));
        return *this;
    }
    options add_crl(const std::string &crl_path) && {
        return std::move(add_crl(crl_path));
    }

    /// Relaxes the checks of revocation by CERTRELOAD_CRL_* bits; 0, the default, is the strictest.
    options &set_crl_rules(std::uint32_t rules) & {
        apply(certreload_options_set_crl_rules, rules);
        return *this;
    }
    options set_crl_rules(std::uint32_t rules) && {
        return std::move(set_crl_rules(rules));
    }

    /// Adds the identity that clients present. Without one they present the first identity, if its
    /// key usage allows that.
    options &add_client_identity(const std::string &chain_path, const std::string &key_path) & {
        apply(certreload_options_add_client_identity, detail::c_text(chain_path),
              detail::c_text(key_path));
        return *this;
    }
    options add_client_identity(const std::string &chain_path, const std::string &key_path) && {
        return std::move(add_client_identity(chain_path, key_path));
    }

    /// Keeps every setting of an existing client config, except its identity, server verifier and
    /// sessions. The options take their own reference to the config.
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

    /// Sets a file of ticket keys, so that several processes can resume each other's sessions. The
    /// first key encrypts, all keys decrypt.
    options &set_ticket_keys(const std::string &path) & {
        apply(certreload_options_set_ticket_keys, detail::c_text(path));
        return *this;
    }
    options set_ticket_keys(const std::string &path) && {
        return std::move(set_ticket_keys(path));
    }

    /// Sets how long a ticket key encrypts; zero for no limit.
    options &set_ticket_key_lifetime(std::chrono::seconds lifetime) & {
        apply(certreload_options_set_ticket_key_lifetime_seconds,
              detail::to_seconds(lifetime, "set_ticket_key_lifetime"));
        return *this;
    }
    options set_ticket_key_lifetime(std::chrono::seconds lifetime) && {
        return std::move(set_ticket_key_lifetime(lifetime));
    }

    /// Separates sessions from those of services with another context: 1 to 255 bytes.
    options &set_session_context(const std::string &context) & {
        apply(certreload_options_set_session_context, context.data(), context.size());
        return *this;
    }
    options set_session_context(const std::string &context) && {
        return std::move(set_session_context(context));
    }

    /// Sets what handle::open() does about files that cannot be used. With start_mode::available a
    /// server starts although some certificates are expired or missing.
    options &set_start(start_mode mode) & {
        apply(certreload_options_set_start, static_cast<certreload_start>(mode));
        return *this;
    }
    options set_start(start_mode mode) && {
        return std::move(set_start(mode));
    }

    /// Sets whether the handle makes configurations of rustls. With tls_stack::none, adapters alone
    /// serve it, and decide which keys can be used.
    options &set_tls(tls_stack stack) & {
        apply(certreload_options_set_tls, static_cast<certreload_tls>(stack));
        return *this;
    }
    options set_tls(tls_stack stack) && {
        return std::move(set_tls(stack));
    }

    /// Lets identity::key() return the private key. Adapters get it without this option.
    options &set_export_keys(bool export_keys) & {
        apply(certreload_options_set_export_keys, export_keys);
        return *this;
    }
    options set_export_keys(bool export_keys) && {
        return std::move(set_export_keys(export_keys));
    }

    options &set_watch(watch_mode mode) & {
        apply(certreload_options_set_watch, static_cast<certreload_watch>(mode));
        return *this;
    }
    options set_watch(watch_mode mode) && {
        return std::move(set_watch(mode));
    }

    /// Sets who runs the reloads. With runtime::host the library creates no thread: the host waits
    /// for handle::event_fd() and calls handle::dispatch().
    options &set_runtime(runtime mode) & {
        apply(certreload_options_set_runtime, static_cast<certreload_runtime>(mode));
        return *this;
    }
    options set_runtime(runtime mode) && {
        return std::move(set_runtime(mode));
    }

    /// Sets whether the server sends the subject names of its client roots, which is the default.
    options &set_authority_names(bool enabled) & {
        apply(certreload_options_set_authority_names, enabled);
        return *this;
    }
    options set_authority_names(bool enabled) && {
        return std::move(set_authority_names(enabled));
    }

    /// Sets whether files are read on a thread of the library with runtime::host, so that a file
    /// system that does not answer does not block the host's loop.
    options &set_reader_thread(bool enabled) & {
        apply(certreload_options_set_reader_thread, enabled);
        return *this;
    }
    options set_reader_thread(bool enabled) && {
        return std::move(set_reader_thread(enabled));
    }

    /// Sets how often the files are read without a notification: the longest time a change that the
    /// kernel does not report stays undetected (G1).
    options &set_poll_interval(std::chrono::milliseconds interval) & {
        apply(certreload_options_set_poll_interval_ms, detail::to_milliseconds(interval));
        return *this;
    }
    options set_poll_interval(std::chrono::milliseconds interval) && {
        return std::move(set_poll_interval(interval));
    }

    /// Sets the quiet time: how long notifications must have stopped before the files are read.
    options &set_debounce(std::chrono::milliseconds quiet) & {
        apply(certreload_options_set_debounce_ms, detail::to_milliseconds(quiet));
        return *this;
    }
    options set_debounce(std::chrono::milliseconds quiet) && {
        return std::move(set_debounce(quiet));
    }

    /// Sets how long files that look incomplete are retried before they are a failure (G4).
    options &set_incomplete_timeout(std::chrono::milliseconds timeout) & {
        apply(certreload_options_set_incomplete_timeout_ms, detail::to_milliseconds(timeout));
        return *this;
    }
    options set_incomplete_timeout(std::chrono::milliseconds timeout) && {
        return std::move(set_incomplete_timeout(timeout));
    }

    /// Sets how long before its notAfter a certificate counts as expiring; zero for no warning. The
    /// default is the last third of its lifetime, at most 30 days.
    options &set_expiry_warning(std::chrono::seconds before) & {
        apply(certreload_options_set_expiry_warning_seconds,
              detail::to_seconds(before, "set_expiry_warning"));
        return *this;
    }
    options set_expiry_warning(std::chrono::seconds before) && {
        return std::move(set_expiry_warning(before));
    }

    /// Sets the name of the handle in metrics and log lines. An empty name means none.
    options &set_name(const std::string &name) & {
        apply(certreload_options_set_name, detail::c_text_or_null(name));
        return *this;
    }
    options set_name(const std::string &name) && {
        return std::move(set_name(name));
    }

    /// Sets the event function, as handle::on_event() does. Set here, it also receives the events
    /// of the first load, which may come before handle::open() returns. So it must not use the
    /// variable that the handle is assigned to, unless it knows that the assignment is done.
    ///
    /// Handles that are opened with the same options share the function. Its calls for one handle
    /// never overlap; its calls for different handles may.
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

    /// Checks whether all files can be used. Throws the error that handle::open() would throw with
    /// start_mode::strict.
    void check() const {
        detail::check(certreload_check(raw_.get()));
    }

    certreload_options *native() const noexcept {
        return raw_.get();
    }

  private:
    friend class handle;

    /// Calls a setter of the C API. If it fails, the exception reports the failure, so the options
    /// do not remember it as well. The failure of an earlier C call on native() is kept, because no
    /// exception has reported it.
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
    std::shared_ptr<detail::listener> listener_; // shared with the handles, see handle::close()
};

/// A view of one identity, or of none. Borrowed, with all that it returns, from its generation.
///
/// An identity is empty if the generation has no such identity. An empty identity has no names,
/// certificates or texts, and its times are 1970: a check of its expiry date fails.
class identity {
  public:
    identity() noexcept = default;
    explicit identity(const certreload_identity *raw) noexcept : raw_(raw) {}

    /// Returns false for an empty identity.
    explicit operator bool() const noexcept {
        return raw_ != nullptr;
    }

    /// Returns the names of the certificate: DNS names in lower case, wildcards, IP addresses.
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

    /// Returns the time by which the certificate should have been renewed; none if the expiry
    /// warning is off.
    std::optional<time_point> expiring_from() const noexcept {
        return detail::to_optional_time_point(certreload_identity_expiring_from(raw_));
    }

    /// Returns the serial number in lower-case hexadecimal.
    std::string_view serial() const noexcept {
        return detail::text(certreload_identity_serial(raw_));
    }

    /// Returns the fingerprint of the leaf certificate: 64 lower-case hexadecimal digits.
    std::string_view sha256() const noexcept {
        return detail::text(certreload_identity_sha256(raw_));
    }

    /// Returns the certificates in DER, the leaf first.
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

    /// Returns the OCSP response, in DER, that is stapled at this moment. Empty if there is none or
    /// the response has expired.
    bytes ocsp() const noexcept {
        bytes der;
        der.data = certreload_identity_ocsp_der(raw_, &der.size);
        return der;
    }

    /// Returns the private key in PKCS#8 DER. Empty unless options::set_export_keys() allows it.
    bytes key() const noexcept {
        bytes der;
        der.data = certreload_identity_key_der(raw_, &der.size);
        return der;
    }

    /// Returns the number of the identity, in the order in which identities were added.
    std::size_t index() const noexcept {
        return certreload_identity_index(raw_);
    }

    std::string_view chain_path() const noexcept {
        return detail::text(certreload_identity_chain_path(raw_));
    }

    std::string_view key_path() const noexcept {
        return detail::text(certreload_identity_key_path(raw_));
    }

    /// Returns NULL for an empty identity.
    const certreload_identity *native() const noexcept {
        return raw_;
    }

  private:
    const certreload_identity *raw_ = nullptr;
};

/// One reference to an immutable snapshot of every identity. May outlive the handle.
class generation {
  public:
    /// Iterates over the identities in the order in which they were added. Valid as long as the
    /// generation, also without the range.
    class iterator {
      public:
        using iterator_category = std::input_iterator_tag; // an identity is returned by value
        using iterator_concept = std::forward_iterator_tag;
        using value_type = certreload::identity;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = certreload::identity;

        iterator() noexcept = default;
        iterator(const certreload_generation *generation, std::size_t index) noexcept
            : generation_(generation), index_(index) {}

        certreload::identity operator*() const noexcept {
            return certreload::identity(certreload_generation_identity(generation_, index_));
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
        const certreload_generation *generation_ = nullptr;
        std::size_t index_ = 0;
    };

    /// The identities of a generation, for a loop. Borrowed from the generation.
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
        bool empty() const noexcept {
            return size() == 0;
        }
        /// Returns an empty identity if there is no such index.
        certreload::identity operator[](std::size_t index) const noexcept {
            return *iterator(generation_, index);
        }

      private:
        const certreload_generation *generation_;
    };

    /// Takes ownership of one reference, as certreload_generation_acquire() returns it.
    explicit generation(const certreload_generation *raw) noexcept : raw_(raw) {}

    /// Returns the number: the first is 1, later ones are greater; 0 if moved from.
    std::uint64_t number() const noexcept {
        return certreload_generation_number(raw_.get());
    }

    // A view of a temporary generation would dangle. The deleted overloads make that an error of
    // the compiler.

    identity_range identities() const &noexcept {
        return identity_range(raw_.get());
    }
    identity_range identities() const && = delete;

    /// Returns one identity, in the order in which they were added, those left out that have not
    /// been loaded; an empty one if there is no such index.
    certreload::identity identity(std::size_t index) const &noexcept {
        return identities()[index];
    }
    certreload::identity identity(std::size_t index) const && = delete;

    /// Returns the identity that serves a name: an exact match, then a wildcard for one label, then
    /// the first identity. Empty if the generation has no identity to serve.
    certreload::identity select(std::string_view server_name) const & {
        // No certificate has a name with a NUL inside, and C would read a shorter name.
        const bool is_text = server_name.find('\0') == std::string_view::npos;
        const std::string name(is_text ? server_name : std::string_view());
        return certreload::identity(certreload_generation_select(raw_.get(), name.c_str()));
    }
    certreload::identity select(std::string_view server_name) const && = delete;

    /// Borrowed from the generation. NULL if the handle has no identity to serve.
    const rustls_server_config *server_config() const &noexcept {
        return certreload_generation_borrow_server_config(raw_.get());
    }
    const rustls_server_config *server_config() const && = delete;

    /// Borrowed from the generation. NULL if the handle has no client role.
    const rustls_client_config *client_config() const &noexcept {
        return certreload_generation_borrow_client_config(raw_.get());
    }
    const rustls_client_config *client_config() const && = delete;

    /// Returns false for a generation that was moved from.
    explicit operator bool() const noexcept {
        return raw_ != nullptr;
    }

    const certreload_generation *native() const noexcept {
        return raw_.get();
    }

  private:
    std::unique_ptr<const certreload_generation, detail::release_generation> raw_;
};

/// Certificates that reload. Open one at start and ask it for a connection at each accept().
class handle {
  public:
    /// Loads everything that the options name, checks it, and starts to watch it.
    [[nodiscard]] static handle open(const options &options) {
        certreload_handle *raw = nullptr;
        detail::check(certreload_open(options.raw_.get(), &raw));
        return handle(raw, options.listener_);
    }

    /// Opens one identity with every option at its default.
    [[nodiscard]] static handle open(const std::string &chain_path, const std::string &key_path) {
        certreload_handle *raw = nullptr;
        detail::check(
            certreload_open_files(detail::c_text(chain_path), detail::c_text(key_path), &raw));
        return handle(raw, nullptr);
    }

    handle(handle &&) noexcept = default;

    /// Closes the handle that this object owned before.
    handle &operator=(handle &&other) noexcept {
        handle taken(std::move(other));
        raw_.swap(taken.raw_);
        listener_.swap(taken.listener_);
        return *this;
    }

    /// Closes the handle. Afterwards its event function is not running, except for a call that
    /// itself destroys the handle, which is allowed. Connections, configs and generations stay
    /// valid.
    ///
    /// It waits for the event function. To avoid a deadlock, destroy the handle with no lock held
    /// that the function takes, and on no thread that the function joins or waits for: the library
    /// cannot detect waits for the host's mutexes and threads.
    ~handle() = default;

    /// Closes the handle now, as its destruction does. Afterwards the object is as if moved from.
    void close() noexcept {
        // The event function may be using this object until the close has returned, so nothing is
        // written before.
        certreload_close(raw_.get());
        static_cast<void>(raw_.release());
        // The event function may be the last owner of this object, so it is destroyed last.
        const handle rest(std::move(*this));
    }

    /// Requests a reload and returns at once. Async-signal-safe: made for a SIGHUP handler. Does
    /// nothing on a handle that was moved from.
    void reload() const noexcept {
        certreload_reload(raw_.get());
    }

    /// Reloads now and waits for the outcome. Throws if the files cannot be used; the last good
    /// version keeps serving. Throws CERTRELOAD_RESULT_TIMED_OUT if the time runs out; the reload
    /// continues. A negative timeout is 0; milliseconds::max() waits without limit.
    reload_outcome reload_wait(std::chrono::milliseconds timeout) const {
        return detail::to_reload_outcome(try_reload_wait(timeout));
    }

    /// Reloads now and returns the result, for code without exceptions. On failure
    /// certreload_last_error() has path and reason.
    [[nodiscard]] result try_reload_wait(std::chrono::milliseconds timeout) const noexcept {
        return certreload_reload_wait(raw_.get(), detail::to_count(timeout, 0));
    }

    /// Replaces the bytes of an identity, in the format of its files. Throws if the bytes cannot be
    /// used; the last good version keeps serving.
    reload_outcome push_identity(std::size_t index, std::string_view chain_pem,
                                 std::string_view key_pem, bytes ocsp_der = {}) const {
        const certreload_identity_bytes raw =
            detail::to_identity_bytes(chain_pem, key_pem, ocsp_der);
        return detail::to_reload_outcome(
            certreload_push_identity(raw_.get(), index, &raw, sizeof raw));
    }

    /// Returns the index of the identity that serves a name: a DNS name without a trailing dot, or
    /// a wildcard as in the certificate, or an IP address. Throws if no identity has the name.
    std::size_t find_identity(const std::string &server_name) const {
        std::size_t index = 0;
        detail::check(certreload_find_identity(raw_.get(), detail::c_text(server_name), &index));
        return index;
    }

    /// Returns a descriptor that is readable while events wait for next_event(), and with
    /// runtime::host also while there is work for dispatch(). The library owns it: remove it from
    /// the event loop before the handle is closed. Throws CERTRELOAD_RESULT_SYSTEM if there is
    /// none.
    int event_fd() const {
        const int descriptor = certreload_event_fd(raw_.get());
        if (descriptor < 0) {
            detail::fail(raw_ == nullptr ? CERTRELOAD_RESULT_NULL_PARAMETER
                                         : CERTRELOAD_RESULT_SYSTEM);
        }
        return descriptor;
    }

    /// Returns the next event, for hosts without an event function; none if no event is waiting.
    /// Its texts are valid until this thread takes another event, of any handle, or ends.
    std::optional<event> next_event() const {
        const certreload_event *raw = nullptr;
        const certreload_result result = certreload_next_event(raw_.get(), &raw);
        if (result == CERTRELOAD_RESULT_NO_EVENT) {
            return std::nullopt;
        }
        detail::check(result);
        return detail::to_event(*raw);
    }

    /// Runs the work that is pending on this thread and calls the event function here. For
    /// runtime::host.
    void dispatch() const {
        detail::check(certreload_dispatch(raw_.get()));
    }

    /// Restores reloading in a forked child, before other threads of the child use the handle. The
    /// descriptor of event_fd() is a new one afterwards.
    void after_fork() {
        detail::check(certreload_after_fork(raw_.get()));
    }

    /// Sets the function that receives events from now on; an empty one for none.
    ///
    /// If it uses members of the object that owns this handle, declare the handle as the last
    /// member. It is then destroyed first, and no event follows.
    ///
    /// The function runs on a background thread of the library, or inside dispatch() with
    /// runtime::host: one call at a time, in order (G7). It may call any function, also to replace
    /// itself or to destroy this handle. It must not end its thread (pthread_exit()) or longjmp
    /// out. When on_event() returns, the previous function is not running any more, unless
    /// on_event() was called from inside it.
    ///
    /// To avoid a deadlock, call this with no lock held that the function takes, and on no thread
    /// that it joins or waits for: the library cannot detect waits for the host's mutexes and
    /// threads.
    ///
    /// An exception of the function is passed to on_exception, on the same thread. Without
    /// on_exception it is dropped, as are exceptions of on_exception: no exception reaches the
    /// library, and a log line that cannot be written does not end the server.
    void on_event(event_function function, exception_function on_exception = {}) {
        auto next = detail::make_listener(std::move(function), std::move(on_exception));
        detail::check(certreload_set_event_callback(raw_.get(), next ? detail::deliver : nullptr,
                                                    next.get(), nullptr));
        // Last, because the previous function may be the last owner of this object.
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
                                  certreload::warnings(raw.warnings),
                                  detail::to_time_point(raw.health_since),
                                  detail::to_optional_time_point(raw.expiring_from),
                                  detail::to_time_point(raw.last_checked_at),
                                  raw.consecutive_failures,
                                  detail::to_optional_time_point(raw.last_failure_at),
                                  raw.last_failure,
                                  raw.identities_configured};
    }

    /// Returns the state of one identity, by the order in which identities were added. Throws if
    /// there is no such index.
    certreload::identity_status identity_status(std::size_t index) const {
        certreload_identity_status raw = {};
        detail::check(certreload_get_identity_status(raw_.get(), index, &raw, sizeof raw));
        // A certificate may begin in 1970, so 0 alone does not say that there is none.
        const auto date = [&raw](std::int64_t unix_seconds) -> std::optional<time_point> {
            if (raw.health == CERTRELOAD_HEALTH_MISSING) {
                return std::nullopt;
            }
            return detail::to_time_point(unix_seconds);
        };
        return certreload::identity_status{static_cast<certreload::health>(raw.health),
                                           raw.last_result,
                                           detail::to_time_point(raw.health_since),
                                           date(raw.not_before),
                                           date(raw.not_after),
                                           detail::to_optional_time_point(raw.expiring_from),
                                           detail::to_optional_time_point(raw.renewed_at),
                                           raw.renewed_generation,
                                           detail::to_time_point(raw.last_checked_at),
                                           certreload::warnings(raw.warnings),
                                           raw.pending != 0,
                                           raw.consecutive_failures,
                                           detail::to_optional_time_point(raw.last_failure_at),
                                           raw.last_failure,
                                           raw.chain_path};
    }

    /// Returns the state of roots and revocation lists. Throws if there are no roots.
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
                                        detail::to_optional_time_point(raw.renewed_at),
                                        raw.renewed_generation,
                                        detail::to_time_point(raw.last_checked_at),
                                        certreload::warnings(raw.warnings),
                                        raw.pending != 0,
                                        raw.consecutive_failures,
                                        detail::to_optional_time_point(raw.last_failure_at),
                                        raw.last_failure,
                                        raw.path};
    }

    /// Ends every session of this process at once, for the day a key leaks. Call it in every forked
    /// worker and on every host.
    void invalidate_sessions() const {
        detail::check(certreload_invalidate_sessions(raw_.get()));
    }

    /// Returns the metrics in the Prometheus text format. For several handles see metrics_page().
    std::string metrics() const {
        return detail::read_text([this](char *buffer, std::size_t size, std::size_t *needed) {
            return certreload_write_metrics(raw_.get(), buffer, size, needed);
        });
    }

    /// Makes a server connection with the config that is current at this moment. The connection
    /// keeps that config (G8).
    [[nodiscard]] connection_ptr server_connection() const {
        rustls_connection *raw = nullptr;
        detail::check(certreload_server_connection_new(raw_.get(), &raw));
        return connection_ptr(raw);
    }

    /// Returns a reference to the config that is current at this moment, for rustls-ffi's Acceptor.
    [[nodiscard]] server_config_ptr acquire_server_config() const {
        server_config_ptr config(certreload_acquire_server_config(raw_.get()));
        if (config == nullptr) {
            detail::fail(why_no_config());
        }
        return config;
    }

    /// Makes a connection to a server. Its certificate must have this DNS name or IP address.
    [[nodiscard]] connection_ptr client_connection(const std::string &server_name) const {
        rustls_connection *raw = nullptr;
        detail::check(
            certreload_client_connection_new(raw_.get(), detail::c_text(server_name), &raw));
        return connection_ptr(raw);
    }

    /// Returns a reference to the config of the client role that is current at this moment.
    [[nodiscard]] client_config_ptr acquire_client_config() const {
        client_config_ptr config(certreload_acquire_client_config(raw_.get()));
        if (config == nullptr) {
            detail::fail(why_no_config());
        }
        return config;
    }

    /// Returns a reference to the generation that is current at this moment.
    [[nodiscard]] generation acquire() const {
        const certreload_generation *raw = certreload_generation_acquire(raw_.get());
        if (raw == nullptr) {
            detail::fail(CERTRELOAD_RESULT_NULL_PARAMETER);
        }
        return generation(raw);
    }

    /// Returns false for a handle that was moved from or closed.
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

    handle(certreload_handle *raw, std::shared_ptr<detail::listener> listener) noexcept
        : listener_(std::move(listener)), raw_(raw) {}

    // The library does not own the event function, as it owns the other functions: close() has to
    // destroy it after the last use of this object. In this order, because members are destroyed in
    // reverse: the handle is closed before the function that it calls is destroyed.
    std::shared_ptr<detail::listener> listener_;
    std::unique_ptr<certreload_handle, detail::close_handle> raw_;
};

/// Returns the metrics of several handles as one page in the Prometheus text format.
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
