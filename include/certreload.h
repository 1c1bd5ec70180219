/*
 * certreload: TLS certificates that are renewed while a C or C++ server runs. For C11 and C++17, and later.
 *
 * Four functions are enough for most servers:
 *
 *     certreload_handle *handle = NULL;
 *     if (certreload_open_files("chain.pem", "key.pem", &handle) != CERTRELOAD_RESULT_OK)
 *         die(certreload_last_error());
 *
 *     // for each accepted connection: the certificate that is current now
 *     rustls_connection *connection = NULL;
 *     certreload_server_connection_new(handle, &connection);
 *
 *     certreload_reload(handle); // optional, for SIGHUP: changes of the files are found anyway
 *     certreload_close(handle);  // at the end; connections live on
 *
 * certreload_open() takes options instead: several identities, client authentication, events, an event loop.
 *
 * Sections: results and versions; open and close; per connection; reload; events and log; status; options;
 * trust store; sessions; fork and event loops; introspection.
 *
 * Rules for all functions:
 *   Names      certreload_<type>_<verb>; the functions of a handle are certreload_<verb>. Outputs come last: *_out.
 *   Units      durations have their unit in the name (_ms, _seconds). Sizes are bytes. Points in time are seconds
 *              since 1970-01-01 UTC.
 *   Ownership  A result of "new" or "open" is the caller's until "free" or "close". A result of "acquire" is counted:
 *              release it with the function that its comment names. Any other result is borrowed.
 *              Parameters of "set" and "add" are copied.
 *   Failure    A result code, a NULL or a 0, with the reason in certreload_last_error(). NULL where it is not allowed
 *              is a failure, never a crash. No function prints, installs a signal handler or ends the process.
 *   Options    Options fail closed: they remember a certreload_options_* function that failed, and
 *              certreload_open() returns that failure instead of opening. The results need no check.
 *
 * Each comment answers four questions: Ownership; Threads: which calls may run at the same time; Signals: whether a
 * signal handler may call the function (certreload_reload() is made for that); Blocks: how long the call can take.
 *
 * Generated from src/ffi: edit there, not here.
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */


#ifndef CERTRELOAD_H
#define CERTRELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The types of rustls-ffi, declared here so that this header stands alone; rustls.h defines them. */
typedef struct rustls_connection rustls_connection;
typedef struct rustls_server_config rustls_server_config;
typedef struct rustls_client_config rustls_client_config;

/* An enum of 32 bits in every language: results of later releases fit, and so does any number from outside. */
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
#define CERTRELOAD_ENUM(name)                                                                      \
    enum name : uint32_t;                                                                          \
    typedef enum name name;                                                                        \
    enum name : uint32_t
#else
#define CERTRELOAD_ENUM(name)                                                                      \
    typedef uint32_t name;                                                                         \
    enum
#endif

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Certificates that reload: opaque.
 */
typedef struct certreload_handle certreload_handle;

/**
 * What to load and how to watch it: opaque.
 */
typedef struct certreload_options certreload_options;

/**
 * An immutable snapshot of every identity, with the config built from it: opaque.
 */
typedef struct certreload_generation certreload_generation;

/**
 * A certificate chain and its key, as one generation serves them: opaque.
 */
typedef struct certreload_identity certreload_identity;

/* ==============================================================================================
 * Results and versions
 *
 * What a call returns, why it failed, and which release runs.
 * ============================================================================================== */

/**
 * What a call came to. Numbers are stable and never reused.
 *
 * 0 and 1 are good outcomes; 2 to 99 are about the call; 100 to 199 about reading a file; 200 to 299
 * about what is in it; 300 to 399 about whether it can serve.
 */
CERTRELOAD_ENUM(certreload_result) {
  /**
   * Done.
   */
  CERTRELOAD_RESULT_OK = 0,
  /**
   * Done, and there was nothing to change: what is served already equals the files.
   */
  CERTRELOAD_RESULT_UNCHANGED = 1,
  /**
   * The time given ran out before an answer. The work goes on, and the outcome comes as an event.
   */
  CERTRELOAD_RESULT_TIMED_OUT = 2,
  /**
   * A pointer that must not be NULL was NULL.
   */
  CERTRELOAD_RESULT_NULL_PARAMETER = 3,
  /**
   * A parameter is out of its documented range.
   */
  CERTRELOAD_RESULT_INVALID_PARAMETER = 4,
  /**
   * The options name nothing to load: add an identity, or roots, first.
   */
  CERTRELOAD_RESULT_NOTHING_TO_LOAD = 5,
  /**
   * The handle is being closed.
   */
  CERTRELOAD_RESULT_CLOSED = 6,
  /**
   * The call would wait for itself: it was made from inside a callback that it would have to wait for.
   */
  CERTRELOAD_RESULT_WOULD_DEADLOCK = 7,
  /**
   * The system refused a thread or a descriptor.
   */
  CERTRELOAD_RESULT_SYSTEM = 8,
  /**
   * rustls refused to make a connection or a config.
   */
  CERTRELOAD_RESULT_TLS = 9,
  /**
   * A defect inside the library was caught. What served goes on serving; please report it.
   */
  CERTRELOAD_RESULT_PANIC = 10,
  /**
   * The handle was opened before a fork(): in this process it serves, and does not reload until
   * certreload_after_fork() is called.
   */
  CERTRELOAD_RESULT_FORKED = 11,
  /**
   * The buffer is too small for the text; the size that it needs is told.
   */
  CERTRELOAD_RESULT_BUFFER_TOO_SMALL = 12,
  /**
   * The process is a Rust program that has a logger of its own: it gets the lines.
   */
  CERTRELOAD_RESULT_LOGGER_IN_USE = 13,
  /**
   * No event is waiting.
   */
  CERTRELOAD_RESULT_NO_EVENT = 14,
  /**
   * The handle was not opened for this: it has no identity to serve, or no roots to check servers with.
   */
  CERTRELOAD_RESULT_NOT_CONFIGURED = 15,
  /**
   * The file, or a directory on the way to it, does not exist.
   */
  CERTRELOAD_RESULT_FILE_NOT_FOUND = 100,
  /**
   * The file, or a directory on the way to it, may not be read by this process.
   */
  CERTRELOAD_RESULT_FILE_PERMISSION = 101,
  /**
   * Not a regular file: a directory, FIFO, socket or device.
   */
  CERTRELOAD_RESULT_FILE_NOT_REGULAR = 102,
  /**
   * Larger than CERTRELOAD_MAX_FILE_SIZE, or what is trusted larger than CERTRELOAD_MAX_TRUST_SIZE.
   */
  CERTRELOAD_RESULT_FILE_TOO_LARGE = 103,
  /**
   * The file has no bytes in it.
   */
  CERTRELOAD_RESULT_FILE_EMPTY = 104,
  /**
   * The file kept changing while it was read.
   */
  CERTRELOAD_RESULT_FILE_UNSTABLE = 105,
  /**
   * Reading failed for another reason; the message has the system's words.
   */
  CERTRELOAD_RESULT_FILE_IO = 106,
  /**
   * More files that count in a directory than CERTRELOAD_MAX_DIRECTORY_FILES, or ten times as many of any name.
   */
  CERTRELOAD_RESULT_TOO_MANY_FILES = 107,
  /**
   * The text between BEGIN and END is not valid PEM (RFC 7468).
   */
  CERTRELOAD_RESULT_PEM_MALFORMED = 200,
  /**
   * A PEM section begins and does not end.
   */
  CERTRELOAD_RESULT_PEM_TRUNCATED = 201,
  /**
   * No certificate in the chain file, or among the roots: trusting nobody would lock everybody out.
   */
  CERTRELOAD_RESULT_NO_CERTIFICATE = 202,
  /**
   * More certificates than CERTRELOAD_MAX_CERTIFICATES in the chain file, or CERTRELOAD_MAX_ROOTS among the roots.
   */
  CERTRELOAD_RESULT_TOO_MANY_CERTIFICATES = 203,
  /**
   * A certificate that cannot be parsed (RFC 5280), or that is damaged: its signature does not fit.
   */
  CERTRELOAD_RESULT_CERTIFICATE_MALFORMED = 204,
  /**
   * No private key in the key file.
   */
  CERTRELOAD_RESULT_NO_PRIVATE_KEY = 205,
  /**
   * More than one private key in the key file.
   */
  CERTRELOAD_RESULT_SEVERAL_PRIVATE_KEYS = 206,
  /**
   * The private key is encrypted, and no password is given.
   */
  CERTRELOAD_RESULT_KEY_ENCRYPTED = 207,
  /**
   * The private key is malformed, of a kind or size that the crypto provider refuses, or encrypted in a way that is
   * not supported: the traditional one of PEM, PBES1, or one that asks for too much memory or work.
   */
  CERTRELOAD_RESULT_KEY_UNSUPPORTED = 208,
  /**
   * The private key is encrypted with another password than the one that is given.
   */
  CERTRELOAD_RESULT_KEY_PASSWORD_WRONG = 209,
  /**
   * No certificate revocation list in the file.
   */
  CERTRELOAD_RESULT_NO_CRL = 210,
  /**
   * More certificate revocation lists than CERTRELOAD_MAX_CRLS.
   */
  CERTRELOAD_RESULT_TOO_MANY_CRLS = 211,
  /**
   * A certificate revocation list that cannot be parsed (RFC 5280 section 5), or that needs what is not supported.
   */
  CERTRELOAD_RESULT_CRL_MALFORMED = 212,
  /**
   * The ticket key file holds no keys of 48 or 80 bytes, or is cut off.
   */
  CERTRELOAD_RESULT_TICKET_KEYS_MALFORMED = 213,
  /**
   * The private key belongs to no certificate of the chain file.
   */
  CERTRELOAD_RESULT_KEY_MISMATCH = 300,
  /**
   * The certificate's notAfter has passed.
   */
  CERTRELOAD_RESULT_CERTIFICATE_EXPIRED = 301,
  /**
   * The certificate's notBefore has not come.
   */
  CERTRELOAD_RESULT_CERTIFICATE_NOT_YET_VALID = 302,
  /**
   * No TLS handshake could be completed with the new identity.
   */
  CERTRELOAD_RESULT_SELF_CHECK_FAILED = 303,
  /**
   * The certificate is not for TLS servers, or that of a client not for TLS clients: its extended key usage has neither
   * serverAuth (clientAuth) nor any (RFC 5280 section 4.2.1.12).
   */
  CERTRELOAD_RESULT_KEY_USAGE_UNFIT = 304,
  /**
   * No identity would have a name that certreload_options_require_name() asks for.
   */
  CERTRELOAD_RESULT_NAME_MISSING = 305,
  /**
   * A certificate revocation list was not signed with the key of the issuer that it names.
   */
  CERTRELOAD_RESULT_CRL_SIGNATURE = 306,
  /**
   * A certificate revocation list's nextUpdate has passed.
   */
  CERTRELOAD_RESULT_CRL_EXPIRED = 307,
  /**
   * A certificate revocation list is older than one that has served since open.
   */
  CERTRELOAD_RESULT_CRL_ROLLBACK = 308,
  /**
   * The certificate revocation list of an issuer that is, or may be, still trusted is there no more.
   */
  CERTRELOAD_RESULT_CRL_LOST = 309,
  /**
   * Two keys of the ticket key file are the same.
   */
  CERTRELOAD_RESULT_TICKET_KEY_REPEATED = 310,
  /**
   * Every user of the system may read the ticket key file.
   */
  CERTRELOAD_RESULT_TICKET_KEYS_READABLE = 311,
};

/**
 * The kind of outcome that a result is, by what a program does about it.
 */
CERTRELOAD_ENUM(certreload_category) {
  /**
   * The call has done its work: OK and UNCHANGED.
   */
  CERTRELOAD_CATEGORY_OK = 0,
  /**
   * There is no answer yet: TIMED_OUT and NO_EVENT. Call again later, or wait for the event.
   */
  CERTRELOAD_CATEGORY_NOT_NOW = 1,
  /**
   * The call is wrong, or the handle cannot do what was asked: change the program or the options.
   */
  CERTRELOAD_CATEGORY_CALL = 2,
  /**
   * The system, rustls or this library failed: SYSTEM, TLS and PANIC.
   */
  CERTRELOAD_CATEGORY_SYSTEM = 3,
  /**
   * A file cannot be read (100 to 199): check its path, its type and its permissions.
   */
  CERTRELOAD_CATEGORY_FILE = 4,
  /**
   * A file does not contain what it should (200 to 299): replace the file.
   */
  CERTRELOAD_CATEGORY_CONTENT = 5,
  /**
   * The files were read, and must not be served (300 to 399): renew the certificate or the list, or match the files.
   */
  CERTRELOAD_CATEGORY_VALIDATION = 6,
  /**
   * The number is not a result of this release.
   */
  CERTRELOAD_CATEGORY_UNKNOWN = 7,
};

/**
 * Returns a short description of a result, without path and reason.
 *
 * For the full description of a failure, with path and reason, see certreload_last_error().
 *
 * @param result   any number
 * @return         the text, never NULL; "unknown result" for a number that is not a result
 * Ownership:      static text; do not free
 * Threads:        any thread, concurrently
 * Signals:        async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
const char *certreload_result_str(certreload_result result);

/**
 * Returns the name of a result's constant, such as "CERTRELOAD_RESULT_KEY_MISMATCH".
 *
 * For logs and scripts: the name never changes, and the text of certreload_result_str() may.
 *
 * @param result   any number
 * @return         the name, never NULL; "unknown" for a number that is not a result
 * Ownership:      static text; do not free
 * Threads:        any thread, concurrently
 * Signals:        async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
const char *certreload_result_name(certreload_result result);

/**
 * Returns the category of a result, for programs that act on the kind of an outcome and not on each result.
 *
 * A later release may add results. A program that acts on categories then needs no change.
 *
 * @param result   any number
 * @return         the category; CERTRELOAD_CATEGORY_UNKNOWN for a number that is not a result
 * Ownership:      a number; nothing to free
 * Threads:        any thread, concurrently
 * Signals:        async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_category certreload_result_category(certreload_result result);

/**
 * Returns whether a call failed, so that certreload_last_error() describes the failure.
 *
 * OK, UNCHANGED and NO_EVENT are not errors. TIMED_OUT is one: the reason so far is in certreload_last_error().
 *
 * @param result   any number
 * @return         false for OK, UNCHANGED and NO_EVENT; true for every other number
 * Ownership:      a number; nothing to free
 * Threads:        any thread, concurrently
 * Signals:        async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
bool certreload_result_is_error(certreload_result result);

/**
 * Returns the name of a category, for logs and metrics.
 *
 * @param category  any number
 * @return          one lower-case word, such as "validation"; "unknown" for a number that is not a category; never NULL
 * Ownership:       static text; do not free
 * Threads:         any thread, concurrently
 * Signals:         async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const char *certreload_category_str(certreload_category category);

/**
 * Tell the last failure on this thread in full: stage, path and reason, fit to print in a log.
 *
 * Each thread has its own. A call that succeeds leaves it as it was, and so does certreload_reload(), which may run
 * in a signal handler. In C, arguments are evaluated in any order: keep the result of a call first, then call this.
 *
 * @return         the text, cut at 8191 bytes; "" where no call has failed on this thread; never NULL
 * Ownership:      borrowed; until the next certreload call on this thread that fails, which writes another text there
 * Threads:        any thread, concurrently; do not hand the pointer to another thread
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
const char *certreload_last_error(void);

/**
 * The version of this header: the first of three numbers.
 */
#define CERTRELOAD_VERSION_MAJOR 0

/**
 * The version of this header: the second of three numbers.
 */
#define CERTRELOAD_VERSION_MINOR 1

/**
 * The version of this header: the third of three numbers.
 */
#define CERTRELOAD_VERSION_PATCH 0

/**
 * The version of this header as one number that grows with every release: major * 1000000 + minor * 1000 + patch.
 */
#define CERTRELOAD_VERSION_NUMBER (((CERTRELOAD_VERSION_MAJOR * 1000000) + (CERTRELOAD_VERSION_MINOR * 1000)) + CERTRELOAD_VERSION_PATCH)

/**
 * Name the release of the library that runs, such as `"0.1.0"`.
 *
 * Compare it with CERTRELOAD_VERSION_MAJOR, _MINOR and _PATCH to learn whether the header that the
 * program was compiled with is of another release than the library that it found.
 *
 * @return         the text, never NULL
 * Ownership:      static text; do not free
 * Threads:        any thread, concurrently
 * Signals:        async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
const char *certreload_version(void);

/**
 * Returns the version of the library that runs, as one number: CERTRELOAD_VERSION_NUMBER of its own header.
 *
 * If it is less than CERTRELOAD_VERSION_NUMBER, the program was compiled for a later release than the library that it found.
 *
 * @return         the number
 * Ownership:      a number; nothing to free
 * Threads:        any thread, concurrently
 * Signals:        async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
uint32_t certreload_version_number(void);

/* ==============================================================================================
 * Open and close
 *
 * Options (below) name the files. A handle loads and watches them.
 * ============================================================================================== */

/**
 * Load everything that the options name, check it, and begin to watch it.
 *
 * Each identity has completed a TLS handshake in memory before this returns. Background threads, one set for the
 * process however many handles it opens, start with the first handle; every signal is blocked in them.
 *
 * In a forked child the handle serves, and reloads again after certreload_after_fork(). Files that only root may read
 * cannot be read again after privileges are dropped: what served goes on, health is stale, and the message says so; see
 * certreload_push_identity() for what a privileged process can do about that.
 *
 * The files are taken as they are: nothing is waited for. One that is half-written at this very moment is a failure
 * (KEY_MISMATCH, FILE_NOT_FOUND, PEM_TRUNCATED, ...). Where they may be renewed while the server starts, try again for
 * about the incomplete-file timeout (5 seconds) before giving up.
 *
 * The first event may be delivered before this returns, and after *handle_out is written.
 *
 * If a certreload_options_* function has failed on these options, its result is returned, with its message in
 * certreload_last_error(), and nothing is opened: see certreload_options_new(). certreload_options_clear_error() ends that.
 *
 * @param options     must not be NULL; copied: it may be changed or freed afterwards
 * @param handle_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
 * @return            OK; NULL_PARAMETER; the first failure that the options remember; NOTHING_TO_LOAD; SYSTEM where no
 *                    thread or descriptor could be had; else what is wrong with the first bad file (100 and up).
 *                    certreload_last_error() has path and reason
 * Ownership:         the caller's, until certreload_close()
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            file reads and one handshake per TLS version and identity: milliseconds; for an encrypted key
 *                    also its password callback, and deriving from the password: up to a second or so (2,000,000
 *                    rounds are the most that are made)
 * Since:             0.1.0
 */
certreload_result certreload_open(const struct certreload_options *options,
                                  struct certreload_handle **handle_out);

/**
 * Open one identity with every option at its default.
 *
 * @param chain_path  must not be NULL or ""; see certreload_options_add_identity()
 * @param key_path    likewise
 * @param handle_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
 * @return            as certreload_open()
 * Ownership:         the caller's, until certreload_close()
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            file reads and one handshake per TLS version: milliseconds. A key that is encrypted fails at
 *                    once, for no password is given here
 * Since:             0.1.0
 */
certreload_result certreload_open_files(const char *chain_path,
                                        const char *key_path,
                                        struct certreload_handle **handle_out);

/**
 * Find out whether certreload_open() would succeed: for `yourserver --check-config`.
 *
 * Reads, checks and completes the same handshakes; starts no thread, watches nothing, keeps nothing. As
 * certreload_open() it waits for nothing: files that are half-written at this very moment fail, so try again for about
 * the incomplete-file timeout where they may be.
 *
 * If a certreload_options_* function has failed on these options, its result and message are returned, and no file is
 * read.
 *
 * @param options  must not be NULL; borrowed for the call
 * @return         as certreload_open()
 * Ownership:      options stay the caller's
 * Threads:        any thread, concurrently
 * Signals:        not async-signal-safe
 * Blocks:         file reads and one handshake per TLS version and identity: milliseconds; for an encrypted key
 *                 also its password callback, and deriving from the password: up to a second or so (2,000,000
 *                 rounds are the most that are made)
 * Since:          0.1.0
 */
certreload_result certreload_check(const struct certreload_options *options);

/**
 * Stop watching and give everything back.
 *
 * Connections, configs and generations that were acquired live on until they are freed. When this returns no
 * callback of this handle is running or will run, and no call on it that another thread had begun; but for those that
 * this is called from, and those that wait for this very thread, which end by themselves. With the last handle the
 * background threads end.
 *
 * Because it waits for callbacks and calls, call it with no lock held that the callback takes, and from no thread that
 * the callback joins or waits for: it sees threads that wait for each other inside certreload functions, and cannot see
 * the host's own mutexes and joins.
 *
 * A signal handler is the hardest to take the pointer away from: it may have loaded it, on any thread, and be about to
 * pass it. So have every thread block the signal first, for one that does so is not inside the handler; or never close
 * a handle that a handler uses: a process may end with handles open.
 *
 * In a forked child that has not called certreload_after_fork() it frees what the child has, and the parent notices
 * nothing.
 *
 * @param handle  may be NULL, then nothing happens; consumed
 * Ownership:     the pointer is dangling afterwards: first take it away from signal handlers and other threads, so
 *                that no call on it begins any more (a thread that has loaded the pointer and is about to pass it still
 *                has it). A certreload_reload_wait() that is waiting is let go with CLOSED
 * Threads:       any thread; also inside a callback; with no lock held that the callback takes
 * Signals:       not async-signal-safe
 * Blocks:        until a running callback, a file being read, and running calls are done; a password callback that
 *                runs, and a key that is being opened with its password (2,000,000 rounds at the most), too
 * Since:         0.1.0
 */
void certreload_close(struct certreload_handle *handle);

/* ==============================================================================================
 * Per connection
 *
 * One call for each connection, in either role. It takes no lock.
 * ============================================================================================== */

/**
 * Make a server connection with the config that is current at this moment.
 *
 * Stands where rustls_server_connection_new() stood. The connection keeps the config that it was born with, whatever
 * is reloaded later.
 *
 * @param handle          must not be NULL
 * @param connection_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
 * @return                OK; NULL_PARAMETER; NOT_CONFIGURED where the handle has no identity to serve; TLS where rustls
 *                        refuses
 * Ownership:             the caller's, until rustls_connection_free(); may outlive the handle
 * Threads:               any thread, concurrently
 * Signals:               not async-signal-safe
 * Blocks:                never: no lock, no system call
 * Since:                 0.1.0
 */
certreload_result certreload_server_connection_new(struct certreload_handle *handle,
                                                   rustls_connection **connection_out);

/**
 * Take a reference to the config that is current at this moment.
 *
 * For rustls-ffi's Acceptor (rustls_accepted_into_connection()), and for code that wants the config itself. Take one
 * for each connection: a config that is kept does not reload.
 *
 * @param handle  must not be NULL
 * @return        the config; NULL where handle is NULL, or has no identity to serve
 * Ownership:     counted: give it back with rustls_server_config_free(); may outlive the handle
 * Threads:       any thread, concurrently
 * Signals:       not async-signal-safe
 * Blocks:        never: no lock, no system call
 * Since:         0.1.0
 */
const rustls_server_config *certreload_acquire_server_config(struct certreload_handle *handle);

/**
 * Make a connection to a server, with the roots and the identity that are current at this moment.
 *
 * Stands where rustls_client_connection_new() stood. The connection keeps the config that it was born with; the next one
 * has what was reloaded meanwhile.
 *
 * @param handle          must not be NULL
 * @param server_name     must not be NULL; a DNS name (A-labels) or an IP address, which the server's certificate must
 *                        have; copied
 * @param connection_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
 * @return                OK; NULL_PARAMETER; INVALID_PARAMETER where server_name is neither; NOT_CONFIGURED where the handle
 *                        has no roots to check servers with; TLS where rustls refuses
 * Ownership:             the caller's, until rustls_connection_free(); may outlive the handle
 * Threads:               any thread, concurrently
 * Signals:               not async-signal-safe
 * Blocks:                never: no system call
 * Since:                 0.1.0
 */
certreload_result certreload_client_connection_new(struct certreload_handle *handle,
                                                   const char *server_name,
                                                   rustls_connection **connection_out);

/**
 * Take a reference to the config of the client role that is current at this moment.
 *
 * Take one for each connection: a config that is kept does not reload.
 *
 * @param handle  must not be NULL
 * @return        the config; NULL where handle is NULL, or has no roots to check servers with
 * Ownership:     counted: give it back with rustls_client_config_free(); may outlive the handle
 * Threads:       any thread, concurrently
 * Signals:       not async-signal-safe
 * Blocks:        never: no system call
 * Since:         0.1.0
 */
const rustls_client_config *certreload_acquire_client_config(struct certreload_handle *handle);

/* ==============================================================================================
 * Reload
 *
 * Requests to reload now, and identities that the host passes as bytes.
 * ============================================================================================== */

/**
 * For a timeout: wait as long as it takes.
 */
#define CERTRELOAD_WAIT_FOREVER 4294967295

/**
 * Ask for a reload and return at once: for a SIGHUP handler.
 *
 * The files are read by the background thread, or when the host dispatches (CERTRELOAD_RUNTIME_HOST). Requests that
 * come faster than reloads are answered by one reload that begins after the last of them. The outcome comes as an
 * event; files that are unchanged, or as bad as was told already, are no event: certreload_reload_wait() answers in any
 * case. Does one atomic store and one write(2); errno is kept.
 *
 * In a child of a fork() it is answered with OK, and done when certreload_after_fork() is called: the thread that would
 * read the files stayed with the parent.
 *
 * @param handle  NULL is answered with NULL_PARAMETER; else a handle that no thread is closing
 * @return        OK; NULL_PARAMETER
 * Ownership:     the handle stays the caller's
 * Threads:       any thread, concurrently
 * Signals:       async-signal-safe
 * Blocks:        never
 * Since:         0.1.0
 */
certreload_result certreload_reload(struct certreload_handle *handle);

/**
 * Reload now, and answer for the files as they are at or after this call.
 *
 * A new generation is for new bytes: a key that is encrypted anew, with another password or the same, is a reload,
 * though clients see the certificate that they saw.
 *
 * What looks half-written (a key that does not match; a file that is missing, may not be read, holds no PEM, or is
 * still open for writing) is waited for as after any change (certreload_options_set_incomplete_timeout_ms()), so a timeout above the
 * incomplete-file timeout gets the exact failure, and a shorter one TIMED_OUT, with the reason so far in
 * certreload_last_error(). UNCHANGED says that the files are what serves: the watch may have been faster than this
 * call. The event may be delivered after the answer.
 *
 * With CERTRELOAD_RUNTIME_HOST the work is done on the calling thread, and events are left for
 * certreload_dispatch() or certreload_next_event(). Of identities that were handed over in memory there is nothing to
 * read: they are as they are.
 *
 * A timeout of 0 waits for nobody: with CERTRELOAD_RUNTIME_THREAD the answer is always TIMED_OUT, and the request goes
 * on; with CERTRELOAD_RUNTIME_HOST the work is done, and TIMED_OUT is for what looks half-written.
 *
 * @param handle      must not be NULL; opened in this process, or taken up by certreload_after_fork()
 * @param timeout_ms  milliseconds to wait for the answer; CERTRELOAD_WAIT_FOREVER for no limit
 * @return            OK where a new generation is current; UNCHANGED; TIMED_OUT, and the work goes on; CLOSED;
 *                    NULL_PARAMETER; FORKED; WOULD_DEADLOCK where it is called from a password or log callback of
 *                    the thread that would answer; SYSTEM; else why the files cannot be used, while what served goes on
 *                    serving. certreload_last_error() has path and reason
 * Ownership:         the handle stays the caller's
 * Threads:           any thread, concurrently; also inside an event callback
 * Signals:           not async-signal-safe
 * Blocks:            until the reload is done or the time is up
 * Since:             0.1.0
 */
certreload_result certreload_reload_wait(struct certreload_handle *handle,
                                         uint32_t timeout_ms);

/**
 * One identity in memory: what would be in its files.
 *
 * Set `size`, and what there is; a struct that begins as zeros leaves out the rest. It may grow at the end.
 */
typedef struct certreload_identity_bytes {
  /**
   * sizeof(certreload_identity_bytes) of the header that the program was compiled with.
   */
  size_t size;
  /**
   * The chain in PEM, the leaf first; must not be NULL. Needs no NUL at its end.
   */
  const char *chain_pem;
  /**
   * Bytes of it, without a NUL at its end: at most CERTRELOAD_MAX_FILE_SIZE.
   */
  size_t chain_pem_size;
  /**
   * The private key in PEM; must not be NULL. An encrypted one is opened with the password of the options.
   */
  const char *key_pem;
  /**
   * Bytes of it: as many at most.
   */
  size_t key_pem_size;
  /**
   * An OCSP response in DER, or NULL for none.
   */
  const uint8_t *ocsp_der;
  /**
   * Bytes of it: as many at most.
   */
  size_t ocsp_der_size;
} certreload_identity_bytes;

/**
 * Hand over new bytes for an identity, for new connections from now on.
 *
 * They go the way that files go: parsed, validated, proved by a handshake in memory, published; only nothing is waited
 * for, and what cannot be used is refused at once, while what served goes on serving. From the first time that bytes
 * are accepted, UNCHANGED included, the identity is the host's to renew: if it had files, they are not looked at any
 * more, in this process and in children that it forks later. What is refused leaves files what they were.
 *
 * So a worker that was forked and may not read the files pushes what serves, first thing after
 * certreload_after_fork(): a file that may not be read is waited for until the incomplete-file timeout, so no failure is told
 * before, and none after.
 *
 * A master gets a chain and a key of one moment for that like this: read both files, add them to options with
 * certreload_options_add_identity_memory(), and ask certreload_check(); if it refuses them, read both again. Hand over
 * the bytes that passed. (prefork_server.c in examples-c does so.)
 *
 * The outcome is an event too (trigger PUSH); a refusal that was told already is none again. Messages and events of
 * pushes are about memory:INDEX/chain, memory:INDEX/key and memory:INDEX/ocsp; EXPIRING and EXPIRED,
 * certreload_identity_status and the metrics go on naming the identity by the path of the chain that it was added with.
 *
 * @param handle  must not be NULL; opened in this process, or taken up by certreload_after_fork()
 * @param index   which identity: see certreload_find_identity()
 * @param bytes   must not be NULL, nor its chain_pem and key_pem
 * @return        OK where a new generation is current; UNCHANGED where these bytes serve already; NULL_PARAMETER;
 *                INVALID_PARAMETER where there is no such index; FORKED; CLOSED; WOULD_DEADLOCK inside a password or
 *                log callback of the handle's own work; else why the bytes cannot be used (100 and up).
 *                certreload_last_error() has the reason
 * Ownership:     copied, and the copy of the key is wiped; wiping the caller's own is the caller's affair
 * Threads:       any thread, concurrently; also inside an event callback
 * Signals:       not async-signal-safe
 * Blocks:        for one handshake per TLS version: milliseconds; and while the handle's files are being read
 * Since:         0.1.0
 */
certreload_result certreload_push_identity(struct certreload_handle *handle,
                                           size_t index,
                                           const struct certreload_identity_bytes *bytes);

/**
 * Find the identity that serves a name.
 *
 * Indexes never change: an identity keeps the place in which it was added. An IP address is found as
 * certreload_identity_name() writes it; a DNS name is written without a dot at its end: "example.org", not "example.org.".
 *
 * @param handle       must not be NULL
 * @param server_name  must not be NULL; a DNS name, a wildcard as a certificate has it, or an IP address;
 *                     upper and lower case are one
 * @param index_out    must not be NULL; written only on OK
 * @return             OK; NULL_PARAMETER; INVALID_PARAMETER where no identity has the name: the one that is served to
 *                     clients without a name is at 0
 * Ownership:          server_name is borrowed for the call
 * Threads:            any thread, concurrently
 * Signals:            not async-signal-safe
 * Blocks:             never
 * Since:              0.1.0
 */
certreload_result certreload_find_identity(struct certreload_handle *handle,
                                           const char *server_name,
                                           size_t *index_out);

/* ==============================================================================================
 * Events and log
 *
 * What happened, as structs for the program and as lines for people.
 * ============================================================================================== */

/**
 * What an event is about.
 */
CERTRELOAD_ENUM(certreload_event_kind) {
  /**
   * A new generation is current: the first one at open, and one for each change after it.
   */
  CERTRELOAD_EVENT_KIND_RELOADED = 1,
  /**
   * Something changed and cannot be used; what served goes on serving. Told once per distinct failure: a file that
   * is still as bad as it was told is no event again, not even after a request.
   */
  CERTRELOAD_EVENT_KIND_RELOAD_FAILED = 2,
  /**
   * The kernel's notifications cannot be had; changes are found by polling alone.
   */
  CERTRELOAD_EVENT_KIND_WATCH_DEGRADED = 3,
  /**
   * The kernel's notifications are back.
   */
  CERTRELOAD_EVENT_KIND_WATCH_RESTORED = 4,
  /**
   * A certificate that serves, a revocation list or an OCSP response has come into its warning window
   * (certreload_options_set_expiry_warning_seconds()) and no renewal is there; or the ticket key that encrypts has reached its
   * lifetime (certreload_options_set_ticket_key_lifetime_seconds()). Told once for each of them, at open too, and again only
   * after the clock was set back, and in a child after certreload_after_fork().
   */
  CERTRELOAD_EVENT_KIND_EXPIRING = 5,
  /**
   * A certificate that serves has expired. It goes on serving, for there is nothing better; clients refuse it. Or a
   * revocation list has: peers are refused for it, unless CERTRELOAD_CRL_ALLOW_EXPIRED; or an OCSP response, which is
   * left out; or a ticket key, which encrypts no more. Told once, as EXPIRING; a clock that jumps over the whole window
   * tells this alone.
   */
  CERTRELOAD_EVENT_KIND_EXPIRED = 6,
};

/**
 * Why a reload was tried.
 */
CERTRELOAD_ENUM(certreload_trigger) {
  /**
   * The handle was opened.
   */
  CERTRELOAD_TRIGGER_OPEN = 1,
  /**
   * The kernel told of a change.
   */
  CERTRELOAD_TRIGGER_WATCH = 2,
  /**
   * The poll came round.
   */
  CERTRELOAD_TRIGGER_POLL = 3,
  /**
   * certreload_reload() or certreload_reload_wait() was called.
   */
  CERTRELOAD_TRIGGER_REQUEST = 4,
  /**
   * A date was reached: of a certificate, a revocation list, an OCSP response or a ticket key.
   */
  CERTRELOAD_TRIGGER_CLOCK = 5,
  /**
   * certreload_push_identity() was called.
   */
  CERTRELOAD_TRIGGER_PUSH = 6,
};

/**
 * How many events of a handle wait at the most, for a callback that does not return or a host that does not ask. Beyond
 * that the oldest of which there is a newer one of the same kind, about the same file where there is one, goes into that
 * one, which counts it.
 */
#define CERTRELOAD_MAX_WAITING_EVENTS 256

/**
 * Warning: every user of the system may read the private key file, or the file with its password (mode o+r).
 */
#define CERTRELOAD_WARNING_KEY_READABLE 1

/**
 * Warning: the new certificate lacks a name that the one before it had.
 */
#define CERTRELOAD_WARNING_NAMES_LOST 2

/**
 * Warning: the new certificate expires earlier than the one before it.
 */
#define CERTRELOAD_WARNING_EXPIRES_EARLIER 4

/**
 * Warning: the OCSP response cannot be used and is left out, and the certificate served without it; or there is none, and
 * the certificate is one that must be stapled (TLS feature, RFC 7633). The message says why.
 */
#define CERTRELOAD_WARNING_OCSP_UNUSABLE 8

/**
 * Warning: the certificates in the chain file are not in order, or one is there twice; they are served in order, each
 * once.
 */
#define CERTRELOAD_WARNING_CHAIN_REORDERED 16

/**
 * Warning: the chain file lacks the certificate of the leaf's issuer, so many clients will refuse the leaf.
 */
#define CERTRELOAD_WARNING_CHAIN_INCOMPLETE 32

/**
 * Warning: a certificate in the chain file certifies no other there; it is served, after those that do.
 */
#define CERTRELOAD_WARNING_CHAIN_UNRELATED 64

/**
 * Warning: a certificate of the chain that is not the leaf has expired, is not valid yet, or expires before the leaf
 * does. Health and earliest_not_after go by the leaf alone, for clients may know another way to a root.
 */
#define CERTRELOAD_WARNING_CHAIN_EXPIRED 128

/**
 * Warning: the certificate's key usage leaves out digital signatures, which TLS makes (RFC 8446 section 4.4.2.2); or the
 * client role has nothing to prove itself with, for the first identity is for servers alone.
 */
#define CERTRELOAD_WARNING_KEY_USAGE 256

/**
 * Warning: two identities have the same name and the same kind of key, so the second never serves that name.
 */
#define CERTRELOAD_WARNING_DUPLICATE_NAME 512

/**
 * Warning: a certificate among the roots cannot be used and is passed over; all roots that served are still there.
 */
#define CERTRELOAD_WARNING_ROOT_UNUSABLE 1024

/**
 * Warning: a certificate revocation list has expired, and CERTRELOAD_CRL_ALLOW_EXPIRED tolerates it.
 */
#define CERTRELOAD_WARNING_CRL_EXPIRED 2048

/**
 * Warning: the issuer of a certificate revocation list is none of the roots, and its certificate is not known, so the
 * signature cannot be checked until a peer shows that certificate.
 */
#define CERTRELOAD_WARNING_CRL_UNRELATED 4096

/**
 * Warning: a certificate revocation list has expired and is gone, and its issuer is no root.
 */
#define CERTRELOAD_WARNING_CRL_LOST 8192

/**
 * Warning: the ticket key that encrypts has been in use for longer than its lifetime, and should have been replaced.
 */
#define CERTRELOAD_WARNING_TICKET_KEY_OLD 16384

/**
 * Warning: a root has no revocation list, and the rule is that everybody without one is refused: nobody whose certificate
 * leads to it gets in.
 */
#define CERTRELOAD_WARNING_CRL_MISSING 32768

/**
 * One event. All pointers are borrowed: they are valid until the callback returns, or as long as
 * certreload_next_event() says.
 *
 * The struct may grow at the end; `size` tells how much of it the library knows.
 */
typedef struct certreload_event {
  /**
   * Size of this struct in bytes, as the library was built.
   */
  size_t size;
  /**
   * What happened.
   */
  certreload_event_kind kind;
  /**
   * Why the library looked.
   */
  certreload_trigger trigger;
  /**
   * Why the reload failed; OK for every kind but RELOAD_FAILED: for EXPIRING and EXPIRED, too.
   */
  certreload_result result;
  /**
   * CERTRELOAD_WARNING_* bits; the message spells them out.
   */
  uint32_t warnings;
  /**
   * The generation that serves now.
   */
  uint64_t generation;
  /**
   * The earliest notAfter of all identities of the handle: seconds since 1970-01-01 UTC; INT64_MAX where it has none.
   */
  int64_t earliest_not_after;
  /**
   * The file or directory that the event is about, as the host spelled it (made absolute); "" where it is about none.
   */
  const char *path;
  /**
   * The event in one line, fit to print. Never NULL; holds no secret. Of many identities that are new it describes the
   * first, and tells how many more there are; the log has a line for each.
   */
  const char *message;
  /**
   * How many events this one stands for: 1; more where events had to wait for so long that older ones of its kind went
   * into it.
   */
  uint64_t count;
} certreload_event;

/**
 * Name a kind of event in a word, for logs.
 *
 * @param kind  any number; an unknown one gets "unknown"
 * @return     one lower-case word, such as "reload-failed"; never NULL
 * Ownership:   static text; do not free
 * Threads:     any thread, concurrently
 * Signals:     async-signal-safe
 * Blocks:      never
 * Since:       0.1.0
 */
const char *certreload_event_kind_str(certreload_event_kind kind);

/**
 * Name a trigger in a word, for logs.
 *
 * @param trigger  any number; an unknown one gets "unknown"
 * @return        one lower-case word, such as "watch"; never NULL
 * Ownership:      static text; do not free
 * Threads:        any thread, concurrently
 * Signals:        async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
const char *certreload_trigger_str(certreload_trigger trigger);

/**
 * Name a warning in a word, for logs and metrics.
 *
 * @param warning  one CERTRELOAD_WARNING_* bit; anything else gets "unknown"
 * @return         one lower-case word, such as "key-readable"; never NULL
 * Ownership:      static text; do not free
 * Threads:        any thread, concurrently
 * Signals:        async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
const char *certreload_warning_str(uint32_t warning);

/**
 * A function of the host that frees the userdata of a callback.
 *
 * The library calls it exactly once: after the last call of the callback, when neither options nor an open handle can call
 * the callback any more. It runs on the thread that ends the last use, which may be a thread of the library. That can be
 * shortly after the function that ended the use has returned: after certreload_close() or a replacement from inside the
 * callback, for example. It may call the certreload functions that its callback may call, and must not throw or longjmp
 * out.
 *
 * If the function that sets the callback fails, the caller keeps the userdata, and the library does not free it. With a
 * NULL callback the library ignores userdata and userdata_free. Userdata of handles that are open when the process ends is
 * not freed. In a forked child the call is not guaranteed, because a thread of the parent may have been in the callback.
 */
typedef void (*certreload_userdata_free)(void *userdata);

/**
 * A function of the host that is told of events.
 *
 * It runs on a background thread of the library, one call at a time for each handle, in order; with
 * CERTRELOAD_RUNTIME_HOST on the thread that calls certreload_dispatch(). While it runs no other event of this handle is
 * delivered; those of other handles, connections, reloads and other threads are not held up. Of the events that
 * wait meanwhile CERTRELOAD_MAX_WAITING_EVENTS are kept. Callbacks of different handles may run at the same time, also
 * where they are one function with one userdata. It may call any certreload function, closing the handle included. It
 * must not throw or longjmp out, nor end its thread (pthread_exit()). The thread has 512 KiB of stack.
 */
typedef void (*certreload_event_callback)(void *userdata, const struct certreload_event *event);

/**
 * Name the function that is told of events from now on, or none.
 *
 * When this returns, the callback that was set before is not running and will not be called again; only where this
 * is called from inside that callback, it is of course still running, for the last time. Events that were waiting
 * for a callback, or for certreload_next_event() after that was asked once, go to the new callback; those from before
 * anybody listened do not.
 *
 * Because it waits for a callback that runs, call it with no lock held that the callback takes, and from no thread that
 * the callback joins or waits for: WOULD_DEADLOCK sees threads that wait for each other inside certreload functions, and
 * cannot see the host's own mutexes and joins.
 *
 * @param handle    must not be NULL
 * @param callback  NULL for none
 * @param userdata  handed to each call as it is; must stay valid until the handle is closed or the callback replaced
 * @return          OK; NULL_PARAMETER; WOULD_DEADLOCK where the callback that runs waits for this very thread: nothing
 *                  is changed then; CLOSED
 * Ownership:       userdata stays the caller's
 * Threads:         any thread, concurrently; also inside a callback; with no lock held that the callback takes
 * Signals:         not async-signal-safe
 * Blocks:          until a callback that is running for this handle has returned
 * Since:           0.1.0
 */
certreload_result certreload_set_event_callback(struct certreload_handle *handle,
                                                certreload_event_callback callback,
                                                void *userdata,
                                                certreload_userdata_free userdata_free);

/**
 * How much a log line matters: the lower, the more.
 */
CERTRELOAD_ENUM(certreload_log_level) {
  /**
   * Somebody has to act: a reload failed, a certificate expired.
   */
  CERTRELOAD_LOG_LEVEL_ERROR = 1,
  /**
   * Somebody should look: accepted with a warning, expiring, the watch is degraded.
   */
  CERTRELOAD_LOG_LEVEL_WARN = 2,
  /**
   * Renewals, and a watch that is restored.
   */
  CERTRELOAD_LOG_LEVEL_INFO = 3,
  /**
   * Handles that open and close; the handshakes of rustls.
   */
  CERTRELOAD_LOG_LEVEL_DEBUG = 4,
  /**
   * Every step of rustls.
   */
  CERTRELOAD_LOG_LEVEL_TRACE = 5,
};

/**
 * A function of the host that is told of log lines.
 *
 * The message is one line of UTF-8 without a newline, holds no secret, and is valid until the function returns; lines
 * that are not certreload's own begin with where they come from, such as "rustls::server::hs: ". It runs on
 * whatever thread something happens on, those of the host included, and on several at once; locks of the library may be
 * held. So it is quick, takes no lock that is held while a certreload function is called, and calls none but
 * certreload_set_log_callback() and those whose name ends in _str. What is logged on a thread while it runs there is
 * dropped. It must not throw or longjmp out.
 */
typedef void (*certreload_log_callback)(void *userdata,
                                        certreload_log_level level,
                                        const char *message);

/**
 * Name the function that is told of log lines from now on, or none. One for the process; none at the start.
 *
 * Every event is a line, whether or not an event callback is set, and so is what an explicit request came to where that
 * is no event. Lines of a handle that has a name begin with it: "public: generation 2 serves: ...". rustls's own records
 * pass through too, but for those of the handshakes that the library makes by itself. When this returns, the callback
 * that was set before is not running and will not be called again; only where this is called from inside that callback,
 * it is of course still running there, for the last time.
 *
 * @param callback   NULL for none
 * @param userdata   handed to each call as it is; must stay valid until the callback is replaced
 * @param max_level  CERTRELOAD_LOG_LEVEL_*: lines that matter less are not made; of no meaning where callback is NULL
 * @return           OK; INVALID_PARAMETER where max_level is none; LOGGER_IN_USE where this library is part of a Rust
 *                   program that has a logger, which then gets the lines and goes on as it was
 * Ownership:        userdata stays the caller's
 * Threads:          any thread, concurrently; also inside a callback; with no lock held that the callback takes
 * Signals:          not async-signal-safe
 * Blocks:           until calls of the callback that was set before have returned
 * Since:            0.1.0
 */
certreload_result certreload_set_log_callback(certreload_log_callback callback,
                                              void *userdata,
                                              certreload_userdata_free userdata_free,
                                              certreload_log_level max_level);

/**
 * Name a log level in a word.
 *
 * @param level  any number; an unknown one gets "unknown"
 * @return      one lower-case word, such as "warn"; never NULL
 * Ownership:    static text; do not free
 * Threads:      any thread, concurrently
 * Signals:      async-signal-safe
 * Blocks:       never
 * Since:        0.1.0
 */
const char *certreload_log_level_str(certreload_log_level level);

/* ==============================================================================================
 * Status
 *
 * Health, failures and dates, as structs and as metrics.
 * ============================================================================================== */

/**
 * Whether what serves is good, and whether it will stay so.
 *
 * The worst that is true is told: EXPIRED before STALE before EXPIRING before OK. Of a handle it is the worst of its
 * identities; one that fails makes no other one STALE (certreload_get_identity_status()). Files that look half-written
 * and are waited for make nothing STALE yet.
 */
CERTRELOAD_ENUM(certreload_health) {
  /**
   * What serves is valid and equals the files.
   */
  CERTRELOAD_HEALTH_OK = 0,
  /**
   * Valid, but a renewal should have come: see certreload_options_set_expiry_warning_seconds().
   */
  CERTRELOAD_HEALTH_EXPIRING = 1,
  /**
   * The files cannot be used, as RELOAD_FAILED told. What serves is still valid: the renewal needs a look, the
   * service is not down.
   */
  CERTRELOAD_HEALTH_STALE = 2,
  /**
   * A certificate that serves has expired.
   */
  CERTRELOAD_HEALTH_EXPIRED = 3,
};

/**
 * How changes are being found.
 */
CERTRELOAD_ENUM(certreload_watch_state) {
  /**
   * Not at all: CERTRELOAD_WATCH_OFF.
   */
  CERTRELOAD_WATCH_STATE_OFF = 0,
  /**
   * By polling, as asked: CERTRELOAD_WATCH_POLL.
   */
  CERTRELOAD_WATCH_STATE_POLLING = 1,
  /**
   * By the kernel's notifications, and a poll besides.
   */
  CERTRELOAD_WATCH_STATE_NOTIFIED = 2,
  /**
   * By polling alone, because notifications could not be had; they are tried again at each poll.
   */
  CERTRELOAD_WATCH_STATE_DEGRADED = 3,
};

/**
 * Room for the text of a failure, its NUL included.
 */
#define CERTRELOAD_MAX_FAILURE_TEXT 512

/**
 * Room for the path of an identity in its status, its NUL included: a path is rarely longer.
 */
#define CERTRELOAD_MAX_PATH_TEXT 512

/**
 * How a handle is doing. Times are seconds since 1970-01-01 UTC.
 *
 * The struct may grow at the end; `size` tells how much of it the library filled in. Fields beyond that are not written:
 * zero the struct first.
 */
typedef struct certreload_status {
  /**
   * How many bytes of this struct were filled in.
   */
  size_t size;
  /**
   * The number of the generation that serves; the first is 1, and numbers only grow.
   */
  uint64_t generation;
  /**
   * When that generation was published.
   */
  int64_t loaded_at;
  /**
   * The earliest notAfter of all identities; INT64_MAX where there is none.
   */
  int64_t earliest_not_after;
  /**
   * How good that is.
   */
  certreload_health health;
  /**
   * What the last look at the files came to: OK, UNCHANGED, or why it failed.
   */
  certreload_result last_result;
  /**
   * Generations published after the first.
   */
  uint64_t reloads;
  /**
   * Distinct failures told.
   */
  uint64_t failures;
  /**
   * Looks at the files that found nothing new.
   */
  uint64_t unchanged;
  /**
   * Identities in the generation that serves.
   */
  size_t identities;
  /**
   * Generations whose memory, keys included, lives: the current one, and those that somebody still holds: an
   * acquired generation or config, or a connection, which rustls lets go of when its handshake is done.
   */
  size_t generations_alive;
  /**
   * How changes are being found.
   */
  certreload_watch_state watch;
  /**
   * CERTRELOAD_WARNING_* bits of the generation that serves, until the next one comes. NAMES_LOST and EXPIRES_EARLIER are
   * about the change that it came with; they and DUPLICATE_NAME, which is about several identities, are told here and
   * in the RELOADED event. All others are about one identity and stand as long as it serves so; they are in
   * certreload_identity_status, too.
   */
  uint32_t warnings;
  /**
   * Since when health is what it is. EXPIRED: the notAfter that was reached first; STALE: when the first of the
   * failures that stand was told; EXPIRING: when the first warning window was reached; OK: the open, or when the last
   * trouble ended. 0 where it is not known (in a forked child).
   */
  int64_t health_since;
  /**
   * When the first of all warning windows begins: from then on health is EXPIRING at the best. 0 where no warning is
   * wanted.
   */
  int64_t expiring_from;
  /**
   * When files were last looked at, whatever that came to.
   */
  int64_t last_checked_at;
  /**
   * RELOAD_FAILED events since the identities that fail were last good; 0 where none fails. A file that stays as bad
   * as it was told counts once, however often it is looked at.
   */
  uint64_t consecutive_failures;
  /**
   * When the failure in last_failure was told; 0 where none stands.
   */
  int64_t last_failure_at;
  /**
   * The newest failure that stands, in one line of UTF-8, cut to fit; "" where none stands.
   */
  char last_failure[CERTRELOAD_MAX_FAILURE_TEXT];
} certreload_status;

/**
 * How one identity is doing. Times are seconds since 1970-01-01 UTC.
 *
 * The struct may grow at the end; `size` tells how much of it the library filled in. Fields beyond that are not written:
 * zero the struct first.
 */
typedef struct certreload_identity_status {
  /**
   * How many bytes of this struct were filled in.
   */
  size_t size;
  /**
   * How good it is, whatever the others are.
   */
  certreload_health health;
  /**
   * OK, or why its files cannot be used: that of last_failure.
   */
  certreload_result last_result;
  /**
   * Since when health is what it is; see certreload_status.
   */
  int64_t health_since;
  /**
   * From when the certificate that serves is valid.
   */
  int64_t not_before;
  /**
   * Until when it is.
   */
  int64_t not_after;
  /**
   * When its warning window begins; 0 where no warning is wanted.
   */
  int64_t expiring_from;
  /**
   * When it was last renewed, or loaded first: when what its files held last changed for the better.
   */
  int64_t renewed_at;
  /**
   * The number of the generation that came with that; 0 where it is not known (in a forked child).
   */
  uint64_t renewed_generation;
  /**
   * When its files were last looked at, whatever that came to.
   */
  int64_t last_checked_at;
  /**
   * CERTRELOAD_WARNING_* bits of what serves, but for those that are about a change or several identities.
   */
  uint32_t warnings;
  /**
   * 1 while its files look half-written and are waited for; else 0.
   */
  uint32_t pending;
  /**
   * RELOAD_FAILED events about it since it was last good; 0 where its files are good.
   */
  uint64_t consecutive_failures;
  /**
   * When the failure in last_failure was told; 0 where none stands.
   */
  int64_t last_failure_at;
  /**
   * The failure that stands, in one line of UTF-8, cut to fit; "" where none stands. It goes with the next success.
   */
  char last_failure[CERTRELOAD_MAX_FAILURE_TEXT];
  /**
   * Which identity this is: the path of its chain as the host spelled it (made absolute), fit to print, cut to fit.
   */
  char chain_path[CERTRELOAD_MAX_PATH_TEXT];
} certreload_identity_status;

/**
 * Tell how a handle is doing.
 *
 * One snapshot: its fields agree with each other, and need not with those of a later call, nor with what
 * certreload_get_identity_status() tells, which is a snapshot of its own.
 *
 * @param handle       must not be NULL
 * @param status_out   must not be NULL; its first bytes are written, at most status_size of them; only on OK
 * @param status_size  sizeof(certreload_status) of the header that the program was compiled with
 * @return             OK; NULL_PARAMETER; INVALID_PARAMETER where status_size is below 16 or above 65536; CLOSED
 * Ownership:          a copy; nothing to free
 * Threads:            any thread, concurrently
 * Signals:            not async-signal-safe
 * Blocks:             never for long: waits for no reload
 * Since:              0.1.0
 */
certreload_result certreload_get_status(struct certreload_handle *handle,
                                        struct certreload_status *status_out,
                                        size_t status_size);

/**
 * Tell how one identity of a handle is doing.
 *
 * @param handle       must not be NULL
 * @param index        0 to the identities of certreload_status - 1: in the order in which they were added, which is
 *                     their order in every generation
 * @param status_out   must not be NULL; its first bytes are written, at most status_size of them; only on OK
 * @param status_size  sizeof(certreload_identity_status) of the header that the program was compiled with
 * @return             OK; NULL_PARAMETER; INVALID_PARAMETER where there is no such index, or status_size is below 16 or above
 *                     65536; CLOSED
 * Ownership:          a copy; nothing to free
 * Threads:            any thread, concurrently
 * Signals:            not async-signal-safe
 * Blocks:             never for long: waits for no reload
 * Since:              0.1.0
 */
certreload_result certreload_get_identity_status(struct certreload_handle *handle,
                                                 size_t index,
                                                 struct certreload_identity_status *status_out,
                                                 size_t status_size);

/**
 * Name a state of health in a word, for logs and status pages.
 *
 * @param health  any number; an unknown one gets "unknown"
 * @return       one lower-case word, such as "stale"; never NULL
 * Ownership:     static text; do not free
 * Threads:       any thread, concurrently
 * Signals:       async-signal-safe
 * Blocks:        never
 * Since:         0.1.0
 */
const char *certreload_health_str(certreload_health health);

/**
 * Name a state of the watch in a word, for logs and status pages.
 *
 * @param state  any number; an unknown one gets "unknown"
 * @return      one lower-case word, such as "notified"; never NULL
 * Ownership:    static text; do not free
 * Threads:      any thread, concurrently
 * Signals:      async-signal-safe
 * Blocks:       never
 * Since:        0.1.0
 */
const char *certreload_watch_state_str(certreload_watch_state state);

/**
 * How what peers are checked against is doing. Times are seconds since 1970-01-01 UTC.
 *
 * The struct may grow at the end; `size` tells how much of it the library filled in. Fields beyond that are not written:
 * zero the struct first.
 */
typedef struct certreload_trust_status {
  /**
   * How many bytes of this struct were filled in.
   */
  size_t size;
  /**
   * How good it is, whatever the identities are: EXPIRED where a revocation list has expired and that counts.
   */
  certreload_health health;
  /**
   * OK, or why its files cannot be used: that of last_failure.
   */
  certreload_result last_result;
  /**
   * Since when health is what it is; see certreload_status.
   */
  int64_t health_since;
  /**
   * Roots that clients are checked against.
   */
  size_t client_roots;
  /**
   * Roots that servers are checked against.
   */
  size_t server_roots;
  /**
   * Revocation lists.
   */
  size_t crls;
  /**
   * Entries of all of them.
   */
  size_t revoked;
  /**
   * The earliest nextUpdate of all lists; 0 where there is none.
   */
  int64_t next_update;
  /**
   * When the first of their warning windows begins; 0 where there is none.
   */
  int64_t expiring_from;
  /**
   * When it last changed, or was loaded first.
   */
  int64_t renewed_at;
  /**
   * The number of the generation that came with that; 0 where it is not known (in a forked child).
   */
  uint64_t renewed_generation;
  /**
   * When its files were last looked at, whatever that came to.
   */
  int64_t last_checked_at;
  /**
   * CERTRELOAD_WARNING_* bits of what serves.
   */
  uint32_t warnings;
  /**
   * 1 while its files look half-written and are waited for; else 0.
   */
  uint32_t pending;
  /**
   * RELOAD_FAILED events about it since it was last good; 0 where its files are good.
   */
  uint64_t consecutive_failures;
  /**
   * When the failure in last_failure was told; 0 where none stands.
   */
  int64_t last_failure_at;
  /**
   * The failure that stands, in one line of UTF-8, cut to fit; "" where none stands. It goes with the next success.
   */
  char last_failure[CERTRELOAD_MAX_FAILURE_TEXT];
  /**
   * Its first file or directory as the host spelled it (made absolute), fit to print, cut to fit.
   */
  char path[CERTRELOAD_MAX_PATH_TEXT];
} certreload_trust_status;

/**
 * Tell how the trust of a handle is doing.
 *
 * @param handle       must not be NULL
 * @param status_out   must not be NULL; its first bytes are written, at most status_size of them; only on OK
 * @param status_size  sizeof(certreload_trust_status) of the header that the program was compiled with
 * @return             OK; NULL_PARAMETER; INVALID_PARAMETER where status_size is below 16 or above 65536; NOT_CONFIGURED where
 *                     the handle has no roots; CLOSED
 * Ownership:          a copy; nothing to free
 * Threads:            any thread, concurrently
 * Signals:            not async-signal-safe
 * Blocks:             never for long: waits for no reload
 * Since:              0.1.0
 */
certreload_result certreload_get_trust_status(struct certreload_handle *handle,
                                              struct certreload_trust_status *status_out,
                                              size_t status_size);

/**
 * The largest number of handles on one page.
 */
#define CERTRELOAD_MAX_PAGE_HANDLES 100000

/**
 * Write what there is to measure of a handle in the Prometheus text format, version 0.0.4.
 *
 * For a page that the host serves as "text/plain; version=0.0.4". Of the handle: certreload_reloads_total{result=
 * "reloaded"|"unchanged"|"failed"}, certreload_generation, certreload_generations_alive,
 * certreload_last_reload_timestamp_seconds, certreload_last_check_timestamp_seconds, certreload_health{state} and
 * certreload_watch_state{state}, where the state that it is in is 1 and the others are 0. Of each identity, with the
 * labels identity (the path of its chain) and name (its first name): certreload_not_before_timestamp_seconds,
 * certreload_not_after_timestamp_seconds, certreload_consecutive_failures and certreload_identity_health{state}. An
 * identity that was added twice is written once. Of a handle that checks peers: certreload_trust_client_roots,
 * certreload_trust_server_roots, certreload_trust_crls, certreload_trust_revoked, certreload_trust_consecutive_failures,
 * certreload_trust_renewed_timestamp_seconds, certreload_crl_next_update_timestamp_seconds (where there are lists) and
 * certreload_trust_health{state}. Every series has the label handle where
 * certreload_options_set_name() gave the handle a name. A process with several handles writes them with
 * certreload_write_metrics_page(): two pages pasted together are not valid.
 *
 * The page may grow between two calls, so ask until it fits; the first round of this loop asks for the size:
 *
 * ```c
 * char *page = NULL;
 * size_t size = 0, needed = 0;
 * while (certreload_write_metrics(handle, page, size, &needed) == CERTRELOAD_RESULT_BUFFER_TOO_SMALL) {
 *     free(page);
 *     page = malloc(size = needed);
 *     if (page == NULL) break;
 * }
 * ```
 *
 * @param handle      must not be NULL
 * @param buffer      for the text and its NUL, UTF-8; may be NULL with size 0
 * @param size        bytes in buffer, at most PTRDIFF_MAX
 * @param needed_out  must not be NULL; the size that the text needs, its NUL included; written on OK and
 *                    BUFFER_TOO_SMALL
 * @return            OK; BUFFER_TOO_SMALL, and of the text nothing is written: where size is not 0, buffer is "";
 *                    NULL_PARAMETER, which a NULL buffer with another size is too; INVALID_PARAMETER if size is above
 *                    PTRDIFF_MAX; CLOSED
 * Ownership:         a copy; nothing to free
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never for long: waits for no reload; some microseconds for each identity
 * Since:             0.1.0
 */
certreload_result certreload_write_metrics(struct certreload_handle *handle,
                                           char *buffer,
                                           size_t size,
                                           size_t *needed_out);

/**
 * Write what there is to measure of several handles as one page, as certreload_write_metrics() does of one.
 *
 * Every series has the label handle: the name that certreload_options_set_name() gave, or the position in handles. No
 * two may be the same: a reader refuses a page that has a series twice.
 *
 * @param handles     count open handles, none NULL; NULL only with count 0
 * @param count       at most CERTRELOAD_MAX_PAGE_HANDLES
 * @param buffer      as with certreload_write_metrics()
 * @param size        likewise
 * @param needed_out  likewise
 * @return            likewise; INVALID_PARAMETER also if count is too large, or two handles have the same label, which
 *                    the message names
 * Ownership:         a copy; nothing to free
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never for long: waits for no reload; some microseconds for each identity
 * Since:             0.1.0
 */
certreload_result certreload_write_metrics_page(struct certreload_handle *const *handles,
                                                size_t count,
                                                char *buffer,
                                                size_t size,
                                                size_t *needed_out);

/* ==============================================================================================
 * Options
 *
 * What to load, when to scan it, and who is notified.
 * ============================================================================================== */

/**
 * The most identities that one handle holds.
 */
#define CERTRELOAD_MAX_IDENTITIES 100000

/**
 * The largest file that is read, in bytes.
 */
#define CERTRELOAD_MAX_FILE_SIZE 1048576

/**
 * The longest chain that is accepted, in certificates.
 */
#define CERTRELOAD_MAX_CERTIFICATES 64

/**
 * The most names that certreload_options_require_name() takes.
 */
#define CERTRELOAD_MAX_REQUIRED_NAMES 1000

/**
 * Create an empty set of options: no identity yet, everything else at its default.
 *
 * Options fail closed. A certreload_options_* function that fails changes no setting, and the options remember its result
 * and message: certreload_open() and certreload_check() return the first such failure and do nothing else, each time. A later
 * call of the same function that succeeds does not change that: only certreload_options_clear_error() does. So the results
 * of these functions may be ignored. Without this rule, an ignored failure could open a weaker server: one without client
 * authentication, for example, because a path is NULL.
 *
 * If options is NULL, a function has nothing to remember its failure in; certreload_open() refuses NULL as well.
 *
 * Options may be opened any number of times.
 *
 * @return         the options, or NULL if there is no memory
 * Ownership:      the caller's, until certreload_options_free()
 * Threads:        any thread; each options object by one thread at a time
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
struct certreload_options *certreload_options_new(void);

/**
 * Free options. Handles that were opened with them are not touched.
 *
 * @param options  may be NULL, then nothing happens; consumed
 * Ownership:      the pointer is dangling afterwards
 * Threads:        any thread; exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
void certreload_options_free(struct certreload_options *options);

/**
 * Add an identity: a certificate chain, its private key and, if there is one, an OCSP response.
 *
 * The first identity added is the default: it serves clients that send no server name (SNI, RFC 6066), and names
 * that no identity has. Files are PEM (RFC 7468); chain and key may be the same file, and text and other sections are
 * passed over. The chain is the leaf and after it the issuer of each; where only the order is wrong it is put right,
 * with a warning. The key is PKCS#8, PKCS#1 or SEC1; an encrypted one (PKCS#8 with PBES2, as OpenSSL makes it) takes
 * certreload_options_set_key_password_file() or certreload_options_set_key_password_callback(). Nothing is read yet.
 *
 * The OCSP response is DER (RFC 6960). Clients that ask for it get it from its thisUpdate until its nextUpdate. One that
 * is about another certificate, says anything but "good", has expired, or was not signed for the issuer is left out
 * with a warning (CERTRELOAD_WARNING_OCSP_UNUSABLE) and replaces the one before it all the same; so does a file that is
 * missing. Signature and issuer are checked by the certificates in the chain and in the response.
 *
 * @param options     must not be NULL; changed
 * @param chain_path  must not be NULL or ""; any bytes, UTF-8 or not; copied. A relative path is taken from the
 *                    working directory at the time of open
 * @param key_path    likewise
 * @param ocsp_path   likewise, but may be NULL for none
 * @return            OK; NULL_PARAMETER; INVALID_PARAMETER where a path is empty or the options are full
 * Ownership:         strings are copied
 * Threads:           exclusive access to options
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
certreload_result certreload_options_add_identity(struct certreload_options *options,
                                                  const char *chain_path,
                                                  const char *key_path,
                                                  const char *ocsp_path);

/**
 * Require that some identity has a DNS name: exactly, or by a wildcard for its first label.
 *
 * A handle does not open without it (NAME_MISSING). Later a change that would take the name away is refused, and
 * what serves goes on serving; the changes of other identities are taken.
 *
 * @param options   must not be NULL; changed
 * @param dns_name  must not be NULL; a DNS name as in a certificate, not an IP address: ASCII (A-labels), at most 253 bytes, no dot at its
 *                  end, upper and lower case alike; a first label "*" asks for that wildcard itself. Copied
 * @return          OK, also where it is required already; NULL_PARAMETER; INVALID_PARAMETER where it is no DNS name, or
 *                  CERTRELOAD_MAX_REQUIRED_NAMES are required already
 * Ownership:       strings are copied
 * Threads:         exclusive access to options
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
certreload_result certreload_options_require_name(struct certreload_options *options,
                                                  const char *dns_name);

/**
 * Set the application protocols that the server speaks (ALPN, RFC 7301), the preferred one first.
 *
 * Without this call, or with count 0, ALPN is what the template says, or not negotiated where there is none. A client that
 * offers protocols and none of these is refused (no_application_protocol); one that offers none is served.
 *
 * @param options    must not be NULL; changed
 * @param protocols  count strings of 1 to 255 bytes each, such as "h2" and "http/1.1"; NULL only with count 0; copied
 * @param count      0 to 64
 * @return           OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:        strings are copied
 * Threads:          exclusive access to options
 * Signals:          not async-signal-safe
 * Blocks:           never
 * Since:            0.1.0
 */
certreload_result certreload_options_set_alpn(struct certreload_options *options,
                                              const char *const *protocols,
                                              size_t count);

/**
 * Take over every setting of an existing config: only the identity comes from the files.
 *
 * Cipher suites, versions, ALPN, key log, session storage, tickets and the client verifier stay as the template has
 * them. A template's session storage is used by every generation.
 *
 * @param options   must not be NULL; changed
 * @param config    must not be NULL; a config of rustls_server_config_builder_build(), whose own certificate is not
 *                  used; counted
 * @return          OK; NULL_PARAMETER
 * Ownership:       a reference is kept; free yours with rustls_server_config_free() as usual
 * Threads:         exclusive access to options
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
certreload_result certreload_options_set_server_template(struct certreload_options *options,
                                                         const rustls_server_config *config);

/**
 * Name the handle: what the host's people call it, such as "public" or "admin".
 *
 * Every series of certreload_write_metrics() then has the label handle with this name.
 *
 * @param options  must not be NULL; changed
 * @param name     1 to 255 bytes of UTF-8, copied; NULL for no name, which is the default
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:      the string is copied
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_name(struct certreload_options *options, const char *name);

/**
 * Name the function that each handle opened with these options tells its events from the start.
 *
 * It is told of the first load too, so the warnings of that are not lost.
 *
 * @param options   must not be NULL; changed
 * @param callback  NULL for none
 * @param userdata  handed to each call as it is; must stay valid until the handle is closed or the callback replaced
 * @return          OK; NULL_PARAMETER
 * Ownership:       userdata stays the caller's
 * Threads:         exclusive access to options; see certreload_event_callback for where the callback runs
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
certreload_result certreload_options_set_event_callback(struct certreload_options *options,
                                                        certreload_event_callback callback,
                                                        void *userdata,
                                                        certreload_userdata_free userdata_free);

/**
 * Serve an identity that is in memory: from a config centre, a vault, or another process.
 *
 * It counts as an identity as those from files do, in the order in which they were added, and is renewed by
 * certreload_push_identity(). In messages its parts are called memory:INDEX/chain and memory:INDEX/key.
 *
 * @param options  must not be NULL; changed
 * @param bytes    must not be NULL, nor its chain_pem and key_pem
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER where the size of the struct is none, or the options are full;
 *                 FILE_TOO_LARGE. What is wrong with the bytes themselves certreload_open() tells
 * Ownership:      copied, and the copy of the key is wiped when the options are freed; wiping the caller's own is the
 *                 caller's affair
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_add_identity_memory(struct certreload_options *options,
                                                         const struct certreload_identity_bytes *bytes);

/**
 * How changes are found.
 */
CERTRELOAD_ENUM(certreload_watch) {
  /**
   * The kernel's notifications, and a poll besides. The default.
   */
  CERTRELOAD_WATCH_AUTO = 0,
  /**
   * A poll alone: for file systems that tell of nothing (NFS, some overlays).
   */
  CERTRELOAD_WATCH_POLL = 1,
  /**
   * Neither: only when certreload_reload() or certreload_reload_wait() is called.
   */
  CERTRELOAD_WATCH_OFF = 2,
};

/**
 * Choose how changes are found.
 *
 * Notifications are of the files, by whatever name they are written, and of everything on the way to them: links,
 * directories that hold a file or a link, and directories that merely lead there, wherever one of them is moved,
 * replaced, removed or made. What the kernel tells of to nobody, a poll finds: a mount over the files, a write on
 * another machine or below a layered file system.
 *
 * @param options  must not be NULL; changed
 * @param mode     CERTRELOAD_WATCH_AUTO (the default), _POLL or _OFF
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_watch(struct certreload_options *options,
                                               certreload_watch mode);

/**
 * Set how often the files are read to see whether they changed, notifications or not.
 *
 * A poll follows the links and compares device, inode, size, mtime and ctime: some microseconds a file. It reads the
 * bytes where anything of that changed or proves little (a file changed in the last two seconds, a network or layered
 * file system, a failure that stands), and once a minute whatever it looks like. Requests always read the bytes.
 *
 * @param options       must not be NULL; changed
 * @param interval_ms   10 to 86400000 (a day); the default is 10000
 * @return              OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:           nothing changes hands
 * Threads:             exclusive access to options
 * Signals:             not async-signal-safe
 * Blocks:              never
 * Since:               0.1.0
 */
certreload_result certreload_options_set_poll_interval_ms(struct certreload_options *options,
                                                          uint32_t interval_ms);

/**
 * Sets the quiet time: how long files must be free of notifications before they are read.
 *
 * A burst of changes then results in one reload. A change that only a poll finds is accepted if a second poll, this time later, reads the same bytes.
 * The quiet time applies to changes: certreload_open(), certreload_check() and certreload_push_identity() wait for nothing.
 *
 * @param options   must not be NULL; changed
 * @param quiet_ms  up to 3600000 (an hour), milliseconds; the default is 50. certreload_open() and certreload_check()
 *                  return INVALID_PARAMETER if the quiet time is longer than the incomplete-file timeout
 * @return          OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:       nothing changes hands
 * Threads:         exclusive access to options
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
certreload_result certreload_options_set_debounce_ms(struct certreload_options *options,
                                                     uint32_t quiet_ms);

/**
 * Sets the incomplete-file timeout: how long files that look incomplete are retried before they count as failed.
 *
 * Files look incomplete if the key does not match, the PEM is cut off, a file is missing, may not be read yet or is still open for writing.
 * The timeout also limits the quiet time: files that change without a pause are read when the timeout has passed.
 *
 * @param options     must not be NULL; changed
 * @param timeout_ms  up to 3600000 (an hour), milliseconds; the default is 5000
 * @return            OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:         nothing changes hands
 * Threads:           exclusive access to options
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
certreload_result certreload_options_set_incomplete_timeout_ms(struct certreload_options *options,
                                                               uint32_t timeout_ms);

/**
 * Set how long before its notAfter a certificate counts as expiring.
 *
 * That is when CERTRELOAD_EVENT_KIND_EXPIRING is told, and health becomes EXPIRING. Without this call it is the last
 * third of the certificate's lifetime, at most 30 days: that fits a certificate of six days as well as one of a year.
 * Where certificates are shorter-lived than the time that is set here, they count as expiring from their notBefore on.
 *
 * Revocation lists count as expiring in the last tenth of the time from thisUpdate to nextUpdate, at most 30 days; where
 * something is set here, for that long, and a third of their time at most. OCSP responses do in the last third of theirs,
 * whatever is set here. 0 switches both off.
 *
 * @param options  must not be NULL; changed
 * @param seconds  before notAfter; 0 for no warning: then only expiring itself is told
 * @return         OK; NULL_PARAMETER
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_expiry_warning_seconds(struct certreload_options *options,
                                                                uint32_t seconds);

/**
 * The size of the buffer that a certreload_key_password_callback is given.
 */
#define CERTRELOAD_MAX_KEY_PASSWORD 1024

/**
 * A function of the host that knows the passwords of encrypted private keys.
 *
 * It is called once for each load of an encrypted key: on the thread that opens (or checks), while it does, and on a
 * background thread of the library whenever a file of the identity has changed; again at each try while a change that
 * looks half-written is waited for, and a wrong password looks like that. Reloads of all handles wait for it, and
 * connections do not. A fork() by another thread of the process waits for it too, for up to a second, and goes ahead
 * then: so be quick, and take no lock that is held around a fork. It must not call a certreload function, must not
 * throw or longjmp out, nor end its thread (pthread_exit()).
 *
 * It writes the password's bytes to password_out, at most password_size (CERTRELOAD_MAX_KEY_PASSWORD) of them, their
 * number to *length_out, and returns true. False, or a length that is too large, says that there is none, and the load
 * fails with KEY_ENCRYPTED. The library wipes the buffer. Handles that are opened with the same options at the same
 * time may call it at the same time.
 */
typedef bool (*certreload_key_password_callback)(void *userdata,
                                                 const char *key_path,
                                                 char *password_out,
                                                 size_t password_size,
                                                 size_t *length_out);

/**
 * Name the function that knows the passwords of encrypted private keys. It replaces a password file.
 *
 * It is one for all keys of the options: where they have several passwords, it tells them apart by key_path.
 *
 * @param options   must not be NULL; changed
 * @param callback  NULL for no password at all
 * @param userdata  handed to each call as it is; must stay valid until every handle that was opened with these options
 *                  is closed
 * @return          OK; NULL_PARAMETER
 * Ownership:       userdata stays the caller's
 * Threads:         exclusive access to options; see certreload_key_password_callback for where the callback runs
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
certreload_result certreload_options_set_key_password_callback(struct certreload_options *options,
                                                               certreload_key_password_callback callback,
                                                               void *userdata,
                                                               certreload_userdata_free userdata_free);

/**
 * Name the file with the password of encrypted private keys. It replaces a password callback.
 *
 * There is one password for all keys of the options; for several, name a callback instead. The password is the first
 * line of the file, without its newline (LF or CRLF). The file belongs to each identity whose key is encrypted: it is
 * read together with the key, and a change of it is a change of the identity.
 *
 * @param options  must not be NULL; changed
 * @param path     NULL for no password at all; must not be ""; any bytes, UTF-8 or not; copied. A relative path is taken
 *                 from the working directory at the time of open
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER where the path is empty
 * Ownership:      strings are copied
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_key_password_file(struct certreload_options *options,
                                                           const char *path);

/**
 * Return the first failure that the options remember: for a host that wants to know before it opens them.
 *
 * certreload_open() and certreload_check() return it, too, so that no host has to ask.
 *
 * @param options  must not be NULL; borrowed for the call
 * @return         OK if no certreload_options_* function has failed on these options; NULL_PARAMETER if options is NULL;
 *                 else the result of the first function that failed, with its message in certreload_last_error()
 * Ownership:      options stay the caller's
 * Threads:        any thread, concurrently, while no thread changes options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_error(const struct certreload_options *options);

/**
 * Forget the latest failure that the options remember, so that they can be opened without the setting that failed.
 *
 * For a host that can do without that setting, or has another value for it: call this right after the function that failed.
 * Every setting is as it was before that function. Failures before it stay remembered, for forgetting a failure that the
 * host has not looked at could open a weaker server.
 *
 * @param options  must not be NULL; changed
 * @return         the result that is forgotten, with its message in certreload_last_error(); OK if there was no failure;
 *                 NULL_PARAMETER if options is NULL
 * Ownership:      options stay the caller's
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_clear_error(struct certreload_options *options);

/* ==============================================================================================
 * Trust store
 *
 * Options about peers: roots, revocation lists, client authentication, the client role.
 * ============================================================================================== */

/**
 * Whether a server asks clients for a certificate.
 */
CERTRELOAD_ENUM(certreload_client_auth) {
  /**
   * No. The default.
   */
  CERTRELOAD_CLIENT_AUTH_NONE = 0,
  /**
   * Yes, and a client that shows none is served too. One whose certificate fails verification is refused.
   */
  CERTRELOAD_CLIENT_AUTH_OPTIONAL = 1,
  /**
   * Yes, and a client that has none is refused.
   */
  CERTRELOAD_CLIENT_AUTH_REQUIRED = 2,
};

/**
 * Look up only the peer's own certificate in the revocation lists, and not those of the authorities above it.
 */
#define CERTRELOAD_CRL_LEAF_ONLY 1

/**
 * Let a certificate pass whose issuer has no revocation list.
 */
#define CERTRELOAD_CRL_ALLOW_UNKNOWN 2

/**
 * Let a revocation list count on whose nextUpdate has passed, with a warning.
 */
#define CERTRELOAD_CRL_ALLOW_EXPIRED 4

/**
 * The largest file of roots or revocation lists that is read, in bytes.
 */
#define CERTRELOAD_MAX_TRUST_FILE_SIZE 33554432

/**
 * The most bytes that all files of a trust have together.
 */
#define CERTRELOAD_MAX_TRUST_SIZE 67108864

/**
 * The most files of a directory that count. Of all its files, whatever their names, there may be ten times as many.
 */
#define CERTRELOAD_MAX_DIRECTORY_FILES 1000

/**
 * The most roots that either role is checked against.
 */
#define CERTRELOAD_MAX_ROOTS 10000

/**
 * The most revocation lists of a handle, in all files together.
 */
#define CERTRELOAD_MAX_CRLS 1000

/**
 * The most paths that certreload_options_add_crl() takes.
 */
#define CERTRELOAD_MAX_CRL_PATHS 1000

/**
 * Ask clients for certificates, and check them against roots that reload.
 *
 * The roots are one file (PEM, or DER of one certificate) or a directory of such files (see certreload_options_add_crl() for which files of a directory
 * count); every certificate in them is a trust anchor. Roots of clients, roots of servers, revocation lists and mode
 * are one unit, the trust: good or bad as a whole, and a handle has one. From the generation on that comes without a
 * root nobody gets in by it, sessions that are resumed included; connections that exist stay.
 *
 * Who the client is tells rustls_connection_get_peer_certificate(), as usual. With a template the trust takes the place
 * of the template's client verifier; its sessions, see certreload_options_set_resumption().
 *
 * @param options     must not be NULL; changed
 * @param mode        CERTRELOAD_CLIENT_AUTH_NONE (the default), _OPTIONAL or _REQUIRED
 * @param roots_path  a file or a directory; not used with NONE; else not NULL and not ""; copied. A relative path is taken from the working
 *                    directory at the time of open
 * @return            OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:         strings are copied
 * Threads:           exclusive access to options
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
certreload_result certreload_options_set_client_auth(struct certreload_options *options,
                                                     certreload_client_auth mode,
                                                     const char *roots_path);

/**
 * Take on the client role: check servers against roots that reload.
 *
 * certreload_client_connection_new() then makes connections to servers. The client proves itself with the identity of
 * certreload_options_add_client_identity(), else with the first identity of all, where its extended key usage allows
 * that. One handle can have both roles, and a handle with roots of servers needs no identity.
 *
 * @param options     must not be NULL; changed
 * @param roots_path  a file or a directory, as for certreload_options_set_client_auth(); must not be NULL or ""; copied
 * @return            OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:         strings are copied
 * Threads:           exclusive access to options
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
certreload_result certreload_options_set_server_roots(struct certreload_options *options,
                                                      const char *roots_path);

/**
 * Set the roots of the client role to those of the system, which reload as any others.
 *
 * They are the file that SSL_CERT_FILE names at the time of this call, whether it exists or not. If that variable is not
 * set, they are the bundle of the distribution ("/etc/ssl/certs/ca-certificates.crt" and similar paths); if there is no
 * bundle, the directory that SSL_CERT_DIR names, else the distribution's directory. On Linux a platform verifier uses the
 * same roots. When the system's roots are updated, this handle reloads them. This call replaces the roots of
 * certreload_options_set_server_roots(), and that call replaces these: the last call counts.
 *
 * A process that has more rights than its caller (set-user-ID, set-group-ID, file capabilities) ignores both variables, as
 * OpenSSL does with secure_getenv(): the caller must not choose the roots that such a process trusts.
 *
 * @param options  must not be NULL; changed
 * @return         OK; NULL_PARAMETER; FILE_NOT_FOUND if the system has none (if the host has other roots for that case, it
 *                 calls certreload_options_clear_error())
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options; reads the environment
 * Signals:        not async-signal-safe
 * Blocks:         file lookups
 * Since:          0.1.0
 */
certreload_result certreload_options_set_platform_roots(struct certreload_options *options);

/**
 * Add revocation lists (RFC 5280 section 5): a file of them, or a directory of such files.
 *
 * A file is PEM with any number of lists, or DER with one. Of a directory those files count whose names end in ".pem",
 * ".der" or ".crl" (of roots: ".pem", ".der", ".crt" or ".cer"), or are of the form that OpenSSL's rehash makes
 * ("5ad8a5d6.r0", of roots "5ad8a5d6.0"); hidden files and directories in it do not.
 *
 * A list must be signed by its issuer where that is a root (CRL_SIGNATURE), must not be older than one that has served
 * since open (CRL_ROLLBACK), must not have expired (CRL_EXPIRED), and a list that serves must not get lost while its
 * root is trusted (CRL_LOST): else the whole trust stays as it was. Of several lists of one issuer the newest counts.
 *
 * A list of an intermediate is checked with the intermediate's certificate where it stands beside the list in the CRL
 * file (or the directory), or in the chain of one of the handle's own identities; that makes it no root. Where neither
 * is so, the list is taken with a warning (CRL_UNRELATED), and checked when a peer shows that intermediate. It must not
 * get lost either until its nextUpdate has passed: then that is a warning (CRL_LOST). Which root an intermediate is
 * under is not known, so that holds too where its root is taken out: leave the list where it is until it has expired.
 *
 * The lists hold for clients and servers alike, but that of an authority which is a root of one role only, and
 * nobody's intermediate as far as is known, is no concern of the other role.
 *
 * What is looked up, and what happens where nothing is known, certreload_options_set_crl_rules() says. Without any list
 * nothing is looked up; with one, a root that has none is warned of (CERTRELOAD_WARNING_CRL_MISSING). Lists without roots
 * are a mistake, and INVALID_PARAMETER at open.
 *
 * @param options   must not be NULL; changed
 * @param crl_path  a file or a directory; must not be NULL or ""; copied
 * @return          OK; NULL_PARAMETER; INVALID_PARAMETER, also where CERTRELOAD_MAX_CRL_PATHS have been added
 * Ownership:       strings are copied
 * Threads:         exclusive access to options
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
certreload_result certreload_options_add_crl(struct certreload_options *options,
                                             const char *crl_path);

/**
 * Set how revocation lists are taken.
 *
 * The default, 0, is the strict one, as OpenSSL, nginx and haproxy have it: each certificate of the peer's chain is
 * looked up, one whose issuer has no list is refused, and so is one whose issuer's list has expired.
 *
 * @param options  must not be NULL; changed
 * @param rules    CERTRELOAD_CRL_LEAF_ONLY, _ALLOW_UNKNOWN and _ALLOW_EXPIRED, or'ed; 0 for none of them
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER where there is no such rule
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_crl_rules(struct certreload_options *options,
                                                   uint32_t rules);

/**
 * Add the identity that a client proves itself with: a certificate chain and its private key.
 *
 * It serves no server name, and its extended key usage must allow clientAuth. It has an index as the other identities
 * have, in the order in which all are added. Of several the first is the client's. Without roots to check servers with it
 * is a mistake, and INVALID_PARAMETER at open.
 *
 * @param options     must not be NULL; changed
 * @param chain_path  as for certreload_options_add_identity()
 * @param key_path    likewise
 * @return            OK; NULL_PARAMETER; INVALID_PARAMETER where a path is empty or the options are full
 * Ownership:         strings are copied
 * Threads:           exclusive access to options
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
certreload_result certreload_options_add_client_identity(struct certreload_options *options,
                                                         const char *chain_path,
                                                         const char *key_path);

/**
 * Take over every setting of an existing client config: only identity, server verifier and sessions are the handle's.
 *
 * Cipher suites, versions, ALPN, SNI and key log stay as the template has them. Without an identity that the client may
 * prove itself with, the template's own client certificate stays, too.
 *
 * @param options   must not be NULL; changed
 * @param config    must not be NULL; a config of rustls_client_config_builder_build(); counted
 * @return          OK; NULL_PARAMETER
 * Ownership:       a reference is kept; free yours with rustls_client_config_free() as usual
 * Threads:         exclusive access to options
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
certreload_result certreload_options_set_client_template(struct certreload_options *options,
                                                         const rustls_client_config *config);

/* ==============================================================================================
 * Sessions
 *
 * Which TLS sessions are resumed, and how to end them all.
 * ============================================================================================== */

/**
 * Which sessions clients can resume.
 */
CERTRELOAD_ENUM(certreload_resumption) {
  /**
   * Those that were begun under the same trust and mode, with a name that is still served, and came back in the last six
   * hours: a renewed certificate, key, chain or staple, or an added name, ends no session. The default.
   */
  CERTRELOAD_RESUMPTION_AUTO = 0,
  /**
   * Those of the same generation: every reload ends all sessions.
   */
  CERTRELOAD_RESUMPTION_ALWAYS_RESET = 1,
  /**
   * None: each handshake is a full one.
   */
  CERTRELOAD_RESUMPTION_OFF = 2,
};

/**
 * Choose how changes are found.
 *
 * Notifications are of the files, by whatever name they are written, and of everything on the way to them: links,
 * directories that hold a file or a link, and directories that merely lead there, wherever one of them is moved,
 * replaced, removed or made. What the kernel tells of to nobody, a poll finds: a mount over the files, a write on
 * another machine or below a layered file system.
 *
 * @param options  must not be NULL; changed
 * @param mode     CERTRELOAD_WATCH_AUTO (the default), _POLL or _OFF
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_watch(certreload_options *options,
                                               certreload_watch mode);

/**
 * Set how often the files are read to see whether they changed, notifications or not.
 *
 * A poll follows the links and compares device, inode, size, mtime and ctime: some microseconds a file. It reads the
 * bytes where anything of that changed or proves little (a file changed in the last two seconds, a network or layered
 * file system, a failure that stands), and once a minute whatever it looks like. Requests always read the bytes.
 *
 * @param options       must not be NULL; changed
 * @param milliseconds  10 to 86400000 (a day); the default is 10000
 * @return              OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:           nothing changes hands
 * Threads:             exclusive access to options
 * Signals:             not async-signal-safe
 * Blocks:              never
 * Since:               0.1.0
 */
certreload_result certreload_options_set_poll_interval(certreload_options *options,
                                                       uint32_t milliseconds);

/**
 * Set how long a change may take to become whole.
 *
 * After a notification the files are read when they have been quiet for quiet_ms, so that a burst of changes gives
 * one reload; and what only a poll found is taken when it is the same quiet_ms later. What looks half-written then (a
 * key that does not match yet, a PEM that is cut off, a file that is missing, may not be read yet or is still open for
 * writing) is tried again, and reported as a failure only when timeout_ms have passed.
 *
 * This is about changes: certreload_open(), certreload_check() and certreload_push_identity() wait for nothing.
 *
 * @param options     must not be NULL; changed
 * @param quiet_ms    0 to timeout_ms, milliseconds; the default is 50
 * @param timeout_ms  up to 3600000 (an hour), milliseconds; the default is 5000
 * @return            OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:         nothing changes hands
 * Threads:           exclusive access to options
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
certreload_result certreload_options_set_settle(certreload_options *options,
                                                uint32_t quiet_ms,
                                                uint32_t timeout_ms);

/**
 * Set how long before its notAfter a certificate counts as expiring.
 *
 * That is when CERTRELOAD_EVENT_KIND_EXPIRING is told, and health becomes EXPIRING. Without this call it is the last
 * third of the certificate's lifetime, at most 30 days: that fits a certificate of six days as well as one of a year.
 * Where certificates are shorter-lived than the time that is set here, they count as expiring from their notBefore on.
 *
 * Revocation lists count as expiring in the last tenth of the time from thisUpdate to nextUpdate, at most 30 days; where
 * something is set here, for that long, and a third of their time at most. OCSP responses do in the last third of theirs,
 * whatever is set here. 0 switches both off.
 *
 * @param options  must not be NULL; changed
 * @param seconds  before notAfter; 0 for no warning: then only expiring itself is told
 * @return         OK; NULL_PARAMETER
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_expiry_warning(certreload_options *options,
                                                        uint32_t seconds);

/**
 * Choose which sessions are resumed, in both roles.
 *
 * Sessions are kept in tickets (RFC 5077, RFC 8446 section 4.6.1) that the client stores, encrypted with keys that are
 * drawn at random and replaced every six hours, or come from certreload_options_set_ticket_keys(); a TLS 1.2 client that
 * takes no tickets resumes by session id. A ticket is bound to the trust that it was issued under: after any change of
 * roots, revocation lists or mode it is of no use. It ends with the first certificate of the client's chain to end, and
 * with the revocation lists, too; so does what the client role keeps.
 *
 * A ticket is also bound to a name. If an identity has the name that the client asks for, the ticket works as long as an
 * identity has that name. If the client sends no name, or one that no identity has, the default identity answers: then the
 * ticket works as long as the default identity has the first name that it had. A certificate without names is known by its
 * subject, and one without a subject by its public key.
 *
 * A ticket lives six hours, and a client that returns with it is given another. In TLS 1.2 the new ticket ends when the
 * first does, six hours after the full handshake, because the secret of the session stays the same. In TLS 1.3 the new
 * ticket has six hours too, because each resumption agrees on fresh keys. Such a chain ends with one of the ends above or
 * certreload_invalidate_sessions(). If the client showed certificates, it also ends at the client's weekly boundary (RFC
 * 8446 section 4.6.1): (now + SHA-256(the client's chain) mod 7 d) / 7 d, in whole numbers, is another week then. In the
 * last minute before it no such session is resumed, so that no handshake lasts across it; let handshakes take less. A
 * client without certificates has proved nothing that it could be asked for again: such chains have no total limit. In the
 * client role the server sets the limit.
 *
 * A process and those forked from it resume each other's sessions, although keys are drawn at random: each period's key
 * comes from a secret of the handle, which forked processes inherit, and from randomness that is drawn anew for each
 * period in memory that they share. A copy of one process's memory does not show the keys to come. posix_spawn(), system()
 * and popen() are no forks in this sense.
 *
 * A template keeps its own session storage unless this, certreload_options_set_ticket_keys() or
 * certreload_options_set_session_context() is called. That storage is shared by all generations and knows nothing of them:
 * it resumes names that are no longer served. With certreload_options_set_client_auth() it would resume clients that the
 * trust refuses by now. Then the storage that rustls itself gives a config is replaced, and a storage of the host's own
 * (rustls_server_config_builder_set_persistence()) is refused at open, until one of the three is called.
 *
 * @param options     must not be NULL; changed
 * @param resumption  CERTRELOAD_RESUMPTION_AUTO (the default), _ALWAYS_RESET or _OFF
 * @return            OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:         nothing changes hands
 * Threads:           exclusive access to options
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
certreload_result certreload_options_set_resumption(struct certreload_options *options,
                                                    certreload_resumption resumption);

/**
 * Share ticket keys with other processes: a file of keys, which reloads.
 *
 * Processes and hosts behind one address that have the same file, and the same trust, resume each other's sessions, and
 * those of a process that was restarted. The first key encrypts, all decrypt. To rotate, put a new key first and keep the
 * old one behind it for six hours. The file holds keys of 48 or of 80 bytes as nginx, Apache and haproxy read them: one
 * after the other as they are, or a line of base64 each ("openssl rand 80 > keys", "openssl rand -base64 48 > keys").
 * Tickets are not exchanged with those servers, and keys that are used here are derived from what the file holds.
 *
 * Services that share the file resume only sessions of names that both serve; see certreload_options_set_resumption() for
 * clients that send no name. To keep services apart whose names overlap, give each a
 * certreload_options_set_session_context().
 *
 * A file that is short, holds a key twice or may be read by every user is refused (TICKET_KEYS_MALFORMED,
 * TICKET_KEY_REPEATED, TICKET_KEYS_READABLE): at open, or later with the keys before it in use.
 *
 * Forward secrecy: whoever gets a key of the file can decrypt recorded TLS 1.2 sessions whose tickets it encrypted, and
 * can impersonate the server to clients that resume, as long as the key is in the file. So keep the file out of backups,
 * in memory (tmpfs) at best, and rotate it daily; certreload_options_set_ticket_key_lifetime_seconds() sees to that. A session of
 * TLS 1.2 has one secret for its six hours, which any ticket of it gives away; of TLS 1.3 nothing that was recorded can be
 * read, but for early data.
 *
 * @param options  must not be NULL; changed
 * @param path     must not be NULL or ""; copied. A relative path is taken from the working directory at the time of open
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:      strings are copied
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_ticket_keys(struct certreload_options *options,
                                                     const char *path);

/**
 * Set how long a key of the ticket key file may encrypt.
 *
 * The time counts from when the key was made. A comment line before a key of a base64 file gives that date, in UTC:
 * "# certreload-created: 2026-11-30T06:00:00Z". A date that cannot be read is refused (TICKET_KEYS_MALFORMED). Without such
 * a line the file's mtime counts, or the time at which this handle first loaded the key, whichever is earlier; an mtime
 * before 2020 counts as none. So if a file is copied without its mtime and the process restarts, the key counts as new.
 *
 * When the time is over, CERTRELOAD_EVENT_KIND_EXPIRING is reported with CERTRELOAD_WARNING_TICKET_KEY_OLD, and health is
 * EXPIRING. After twice the time the key encrypts no more, and EXPIRED is reported: no tickets are issued until another key
 * is first, so handshakes are full ones; nothing fails.
 *
 * @param options  must not be NULL; changed
 * @param seconds  the default is 86400, a day; 0 for no limit
 * @return         OK; NULL_PARAMETER
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_ticket_key_lifetime_seconds(struct certreload_options *options,
                                                                     uint32_t seconds);

/**
 * Keep sessions apart from those of other services, as SSL_CTX_set_session_id_context() of OpenSSL does.
 *
 * A ticket is bound to the context. Handles with different contexts never resume each other's sessions, even if they share
 * a ticket key file and serve the same names; nor does a handle with a context and one without. A handle with the same
 * context in another process, or in this one after a restart, does as before.
 *
 * @param options  must not be NULL; changed
 * @param context  must not be NULL; 1 to 255 bytes, any; copied. Without this call there is no context
 * @param size     how many bytes there are. 0 is refused: an empty context would keep nothing apart
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:      bytes are copied
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_session_context(struct certreload_options *options,
                                                         const void *context,
                                                         size_t size);

/**
 * End every session at once: for the day a key leaks.
 *
 * No session that was begun until now is resumed, in either role, by whichever generation or config of this handle, those
 * that were acquired before included; connections that exist go on. Keys drawn at random are replaced. The keys of a
 * ticket key file cannot be: those that this handle has loaded until now, the latest 4096 of them, are not used again as
 * long as it is open, even if they come back in another file, and there are no tickets until the file holds others. So
 * first call this, and then rotate the file. A template's own session storage is its owner's to empty.
 *
 * The call concerns this process, and those that it forks from then on: they leave the family of processes that resume each
 * other's sessions, and are a new one. Call it in each forked worker, in those that inherited the handle before as well,
 * and on each host that shares the keys. A process that is started later trusts whatever is in the file.
 *
 * @param handle  must not be NULL
 * @return        OK; NULL_PARAMETER; SYSTEM where there is no randomness for new keys; CLOSED
 * Ownership:     nothing changes hands
 * Threads:       any thread, concurrently; also inside a callback
 * Signals:       not async-signal-safe
 * Blocks:        while another thread is in fork(), for a second at most
 * Since:         0.1.0
 */
certreload_result certreload_invalidate_sessions(struct certreload_handle *handle);

/* ==============================================================================================
 * Fork and event loops
 *
 * For hosts that fork, or that do the work on their own threads.
 * ============================================================================================== */

/**
 * Take an inherited handle up in a forked child: watch the files there, answer requests, tell events.
 *
 * Without it the handle serves in the child and does nothing else. With it the child goes on by itself: from the
 * generation that served when it was forked, with the options, the callback and the required names of the handle, and
 * with background threads of its own (or none, for CERTRELOAD_RUNTIME_HOST: then ask for certreload_event_fd() anew).
 * All files are looked at at once, so nothing that happened since the fork is missed. Events that wait in the parent
 * are the parent's; counts in the status begin at 0, and EXPIRING and EXPIRED, where they are so, are told here, too.
 *
 * A child that may not read the files, because it gives up its privileges, has an identity taken out of them by
 * certreload_push_identity(), first thing after this.
 *
 * Call it in each child, for each handle. A handle may also be inherited by a child of the child.
 *
 * @param handle  must not be NULL
 * @return        OK, also where nothing is to do: in the process that opened the handle, and after the first time;
 *                NULL_PARAMETER; SYSTEM where no thread or descriptor can be had: it serves on, and this can be tried
 *                again
 * Ownership:     the handle stays the caller's; nothing of it is shared with the parent from here on
 * Threads:       in the child, before its other threads use the handle (a fork leaves it one thread)
 * Signals:       not async-signal-safe; not between vfork() and exec
 * Blocks:        never for long: reads no certificate
 * Since:         0.1.0
 */
certreload_result certreload_after_fork(struct certreload_handle *handle);

/**
 * Who does the work: reads files when they change, and tells events.
 */
CERTRELOAD_ENUM(certreload_runtime) {
  /**
   * Background threads of the library, one set for the process. The default.
   */
  CERTRELOAD_RUNTIME_THREAD = 0,
  /**
   * The host, on its own threads: it waits for certreload_event_fd() and calls certreload_dispatch().
   */
  CERTRELOAD_RUNTIME_HOST = 1,
};

/**
 * Choose who does the work.
 *
 * With CERTRELOAD_RUNTIME_HOST the library creates no thread, not even for a moment. Everything else is as ever, as
 * long as the host dispatches: what is not dispatched is not noticed.
 *
 * Descriptors: with CERTRELOAD_RUNTIME_THREAD a handle has none of its own, and one from its first
 * certreload_event_fd() on; what the threads need is there once for the process. With CERTRELOAD_RUNTIME_HOST each
 * handle has 5, and all of them share one inotify instance.
 *
 * @param options  must not be NULL; changed
 * @param runtime  CERTRELOAD_RUNTIME_THREAD (the default) or _HOST
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_runtime(struct certreload_options *options,
                                                 certreload_runtime runtime);

/**
 * Get a descriptor to wait for in an event loop.
 *
 * It is readable, and stays so (level-triggered), as long as events wait for certreload_next_event(); and with
 * CERTRELOAD_RUNTIME_HOST as long as there is something to dispatch: a request, a change of the files, a time that
 * has come, an event for the callback. For epoll, poll, select, and what is built on them. Do not read from it.
 * EPOLLET does, too, if each wake-up is followed by certreload_dispatch() (with CERTRELOAD_RUNTIME_HOST) and by
 * certreload_next_event() until it says NO_EVENT.
 *
 * A host that asks for it will take the events: from then on CERTRELOAD_MAX_WAITING_EVENTS are kept, and of those
 * before the newest of each kind is there. With CERTRELOAD_RUNTIME_HOST that begins with the first
 * certreload_next_event(): a host that only dispatches is not woken for events, and one that has asked for events once
 * has to go on asking, or the descriptor stays readable. Where a callback is named, events go to that.
 *
 * @param handle  must not be NULL; opened in this process, or taken up by certreload_after_fork()
 * @return        the descriptor, the same each time until certreload_after_fork(); -1 where there is none, with the
 *                reason in certreload_last_error(): no descriptor could be had, handle is NULL, the handle is being
 *                closed (CLOSED), or it was inherited and not taken up (FORKED)
 * Ownership:     the library's: take it out of the event loop before certreload_close(), which closes it
 * Threads:       any thread, concurrently
 * Signals:       not async-signal-safe
 * Blocks:        never
 * Since:         0.1.0
 */
int certreload_event_fd(struct certreload_handle *handle);

/**
 * Take the next event, in order, without a callback.
 *
 * @param handle     must not be NULL
 * @param event_out  must not be NULL; written only on OK
 * @return           OK; NO_EVENT where none is waiting, or a callback is named, which gets them; NULL_PARAMETER; CLOSED
 * Ownership:        borrowed: valid until this thread takes another event, of whichever handle, or ends; also after
 *                   the handle is closed
 * Threads:          any thread, concurrently: each event goes to one
 * Signals:          not async-signal-safe
 * Blocks:           never
 * Since:            0.1.0
 */
certreload_result certreload_next_event(struct certreload_handle *handle,
                                        const struct certreload_event **event_out);

/**
 * Do the work that is pending, on this thread: for CERTRELOAD_RUNTIME_HOST.
 *
 * Looks at what changed, publishes what is good, and calls the event callback, if one is named, for the events that
 * wait. One call does what is urgent; where more is to do the descriptor stays readable. From inside the event
 * callback it does the work, and delivers nothing.
 *
 * @param handle  must not be NULL; opened with CERTRELOAD_RUNTIME_HOST, in this process or taken up by
 *                certreload_after_fork()
 * @return        OK, also where nothing was to do; NULL_PARAMETER; INVALID_PARAMETER where the handle has threads;
 *                FORKED; CLOSED; WOULD_DEADLOCK inside a password or log callback of the handle's own work
 * Ownership:     the handle stays the caller's
 * Threads:       any thread; one at a time is what makes sense, and others wait for it
 * Signals:       not async-signal-safe
 * Blocks:        while files are read and identities proved: some milliseconds for each that changed; and as long as
 *                the event callback runs
 * Since:         0.1.0
 */
certreload_result certreload_dispatch(struct certreload_handle *handle);

/* ==============================================================================================
 * Introspection
 *
 * A consistent view of what is served: generations and identities.
 * ============================================================================================== */

/**
 * Take a reference to the generation that is current at this moment.
 *
 * @param handle  must not be NULL
 * @return        the generation; NULL where handle is NULL
 * Ownership:     counted: give it back with certreload_generation_release(); may outlive the handle
 * Threads:       any thread, concurrently
 * Signals:       not async-signal-safe
 * Blocks:        never: no lock, no system call
 * Since:         0.1.0
 */
const struct certreload_generation *certreload_generation_acquire(struct certreload_handle *handle);

/**
 * Give back a generation.
 *
 * @param generation  may be NULL, then nothing happens; consumed
 * Ownership:         the pointer, and all that was borrowed from it, is dangling afterwards
 * Threads:           any thread
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
void certreload_generation_release(const struct certreload_generation *generation);

/**
 * Tell the number of a generation: the first is 1, and within a handle numbers only grow.
 *
 * @param generation  must not be NULL
 * @return            the number; 0 where generation is NULL
 * Ownership:         a number; nothing to free
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
uint64_t certreload_generation_number(const struct certreload_generation *generation);

/**
 * Look at the config of a generation.
 *
 * With it a connection can be made whose generation the server knows for certain: acquire, make the connection with
 * rustls_server_connection_new(), note the number, release.
 *
 * @param generation  must not be NULL
 * @return            the config; NULL where generation is NULL, or has no identity to serve
 * Ownership:         borrowed; until the generation is released. Do not free it
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
const rustls_server_config *certreload_generation_server_config(const struct certreload_generation *generation);

/**
 * Look at the config of a generation's client role.
 *
 * @param generation  must not be NULL
 * @return            the config; NULL where generation is NULL, or the handle has no roots to check servers with
 * Ownership:         borrowed; until the generation is released. Do not free it
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
const rustls_client_config *certreload_generation_client_config(const struct certreload_generation *generation);

/**
 * Count the identities of a generation.
 *
 * @param generation  must not be NULL
 * @return            how many; 0 where generation is NULL
 * Ownership:         a number; nothing to free
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
size_t certreload_generation_identity_count(const struct certreload_generation *generation);

/**
 * Look at one identity of a generation, in the order in which they were added.
 *
 * @param generation  must not be NULL
 * @param index       0 to certreload_generation_identity_count() - 1
 * @return            the identity; NULL where generation is NULL or there is no such index
 * Ownership:         borrowed; until the generation is released
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
const struct certreload_identity *certreload_generation_identity(const struct certreload_generation *generation,
                                                                 size_t index);

/**
 * Look at the identity that serves a name: exact, then a wildcard for one label, else the first.
 *
 * The handshake chooses by the same rules; where several identities have the name it takes the first whose key suits
 * the client, and this function the first of all.
 *
 * @param generation   must not be NULL
 * @param server_name  a DNS name in any case, as in SNI; NULL or "" for a client that sends none; borrowed
 * @return             the identity; NULL where generation is NULL, or has no identity to serve
 * Ownership:          borrowed; until the generation is released
 * Threads:            any thread, concurrently
 * Signals:            not async-signal-safe
 * Blocks:             never
 * Since:              0.1.0
 */
const struct certreload_identity *certreload_generation_select(const struct certreload_generation *generation,
                                                               const char *server_name);

/**
 * Count the names that an identity is valid for.
 *
 * @param identity  must not be NULL
 * @return          how many; 0 where identity is NULL
 * Ownership:       a number; nothing to free
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
size_t certreload_identity_name_count(const struct certreload_identity *identity);

/**
 * Look at one name that an identity is valid for.
 *
 * Names are those of the subjectAltName extension (RFC 5280 section 4.2.1.6): DNS names in lower case, wildcards as
 * "*.example.com", and IP addresses in their usual notation.
 *
 * @param identity  must not be NULL
 * @param index     0 to certreload_identity_name_count() - 1
 * @return          the name; NULL where identity is NULL or there is no such index
 * Ownership:       borrowed; until the generation is released
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const char *certreload_identity_name(const struct certreload_identity *identity,
                                     size_t index);

/**
 * Tell from when the leaf certificate is valid.
 *
 * @param identity  must not be NULL
 * @return          seconds since 1970-01-01 UTC; 0 where identity is NULL
 * Ownership:       a number; nothing to free
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
int64_t certreload_identity_not_before(const struct certreload_identity *identity);

/**
 * Tell until when the leaf certificate is valid.
 *
 * @param identity  must not be NULL
 * @return          seconds since 1970-01-01 UTC; 0 where identity is NULL
 * Ownership:       a number; nothing to free
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
int64_t certreload_identity_not_after(const struct certreload_identity *identity);

/**
 * Tell from when on the leaf certificate should have been renewed.
 *
 * That is so long before its notAfter as certreload_options_set_expiry_warning_seconds() says.
 *
 * @param identity  must not be NULL
 * @return          seconds since 1970-01-01 UTC; 0 where no warning is wanted or identity is NULL
 * Ownership:       a number; nothing to free
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
int64_t certreload_identity_expiring_from(const struct certreload_identity *identity);

/**
 * Look at the serial number of the leaf certificate.
 *
 * @param identity  must not be NULL
 * @return          lower-case hexadecimal; NULL where identity is NULL
 * Ownership:       borrowed; until the generation is released
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const char *certreload_identity_serial(const struct certreload_identity *identity);

/**
 * Look at the SHA-256 fingerprint of the leaf certificate.
 *
 * @param identity  must not be NULL
 * @return          64 lower-case hexadecimal digits; NULL where identity is NULL
 * Ownership:       borrowed; until the generation is released
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const char *certreload_identity_sha256(const struct certreload_identity *identity);

/**
 * Count the certificates of the chain, the leaf included.
 *
 * @param identity  must not be NULL
 * @return          how many; 0 where identity is NULL
 * Ownership:       a number; nothing to free
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
size_t certreload_identity_certificate_count(const struct certreload_identity *identity);

/**
 * Look at one certificate of the chain, in DER; 0 is the leaf.
 *
 * @param identity  must not be NULL
 * @param index     0 to certreload_identity_certificate_count() - 1
 * @param len_out   must not be NULL; its length in bytes; 0 where NULL is returned
 * @return          the bytes; NULL where a parameter is NULL or there is no such index
 * Ownership:       borrowed; until the generation is released
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const uint8_t *certreload_identity_certificate_der(const struct certreload_identity *identity,
                                                   size_t index,
                                                   size_t *len_out);

/**
 * Look at the OCSP response that is stapled now, in DER.
 *
 * It is stapled from its thisUpdate until its nextUpdate, and no longer than the certificate of a responder to whom the
 * issuer has delegated its signature is valid; one without nextUpdate is until there is another. So what one call
 * gives, the next may not: ask again for each handshake, and no client is shown one that has expired.
 *
 * @param identity  must not be NULL
 * @param len_out   must not be NULL; its length in bytes; 0 where NULL is returned
 * @return          the bytes, as they were loaded; NULL where there is none, where it has expired since, or a parameter
 *                  is NULL
 * Ownership:       borrowed; until the generation is released, also when it has expired
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const uint8_t *certreload_identity_ocsp_der(const struct certreload_identity *identity,
                                            size_t *len_out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CERTRELOAD_H */
