/*
 * certreload: TLS certificates that are renewed while a C or C++ server runs. For C11 and C++17, and later.
 *
 * For servers that speak TLS through rustls-ffi, which this library contains. Most need only these functions:
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
 * trust store; sessions; fork and event loops; other TLS stacks; introspection.
 *
 * Rules for all functions:
 *   Names      certreload_<type>_<verb>; the functions of a handle are certreload_<verb>. Outputs end in _out; a
 *              size follows the buffer or struct that it is the size of.
 *   Units      durations have their unit in the name (_ms, _seconds). Sizes are bytes. Points in time are seconds
 *              since 1970-01-01 UTC.
 *   Ownership  A result of "new" or "open" is the caller's until "free" or "close". A result of "acquire" is counted:
 *              release it with the function that its comment names. Any other result is borrowed.
 *              If a borrowed object has a free function elsewhere, "borrow" is in the name. Strings and bytes that are
 *              passed to "set" and "add" are copied, configurations are counted; userdata: see certreload_userdata_free.
 *   Structs    The caller passes sizeof(struct) beside the pointer to a struct. If the library writes a struct, it sets
 *              `size` to the number of bytes that are valid. Structs only grow at their end.
 *   Failure    A result code, or a NULL or 0 unless the comment calls it an answer. certreload_last_error() has the
 *              reason. NULL where it is not allowed is a failure, never a crash. No function prints, installs a signal handler or ends the process.
 *   Options    Options fail closed: they remember a certreload_options_* function that failed, and
 *              certreload_open() returns that failure instead of opening. The results need no check.
 *   Guarantees (G1) and the like are the numbered guarantees of the README, section "What you can rely on".
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

/* The types of rustls-ffi, declared here so that this header is self-contained; rustls.h defines them. */
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
 * A set of identities and a trust store that are reloaded together: opaque.
 */
typedef struct certreload_handle certreload_handle;

/**
 * What to load and how to watch it: opaque.
 */
typedef struct certreload_options certreload_options;

/**
 * An immutable, numbered snapshot of all units, with the configurations built from it: opaque.
 */
typedef struct certreload_generation certreload_generation;

/**
 * A certificate chain and its key, as one generation serves them: opaque.
 */
typedef struct certreload_identity certreload_identity;

/**
 * Roots, revocation lists, and how peers are checked with them, as one generation has them: opaque.
 */
typedef struct certreload_trust_store certreload_trust_store;

/**
 * What a handle serves: its current generation, and after it was closed its last one; opaque.
 */
typedef struct certreload_view certreload_view;

/* ==============================================================================================
 * Results and versions
 *
 * What a call returns, why it failed, and which release runs.
 * ============================================================================================== */

/**
 * The outcome of a call. Numbers are stable and never reused.
 *
 * 0 and 1 are good outcomes; 2 to 99 mean a wrong call, no answer yet, or a failure of the system or the library;
 * 100 to 199 are about reading a file; 200 to 299 about its content; 300 to 399 about whether the content may be
 * served.
 */
CERTRELOAD_ENUM(certreload_result) {
  /**
   * Done.
   */
  CERTRELOAD_RESULT_OK = 0,
  /**
   * Done, and nothing had changed: what is served already equals the files.
   */
  CERTRELOAD_RESULT_UNCHANGED = 1,
  /**
   * The timeout passed before there was an answer. The work continues, and its outcome is an event. As the failure of
   * a unit, or of an open: the file system of a file does not answer.
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
   * The options name nothing to load: add an identity or roots first.
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
   * The system refused a thread, a descriptor or random numbers.
   */
  CERTRELOAD_RESULT_SYSTEM = 8,
  /**
   * rustls refused to create a connection or a configuration.
   */
  CERTRELOAD_RESULT_TLS = 9,
  /**
   * A defect inside the library was caught. The current generation keeps serving; please report the defect.
   */
  CERTRELOAD_RESULT_PANIC = 10,
  /**
   * The handle was opened before a fork(). In this process it serves, and does not reload until
   * certreload_after_fork() is called.
   */
  CERTRELOAD_RESULT_FORKED = 11,
  /**
   * The buffer is too small for the text; the call returns the size that is needed.
   */
  CERTRELOAD_RESULT_BUFFER_TOO_SMALL = 12,
  /**
   * The process is a Rust program that has a logger. That logger gets the lines, and the log callback was not set.
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
   * The file is larger than CERTRELOAD_MAX_FILE_SIZE, or the trust store larger than CERTRELOAD_MAX_TRUST_SIZE.
   */
  CERTRELOAD_RESULT_FILE_TOO_LARGE = 103,
  /**
   * The file is empty.
   */
  CERTRELOAD_RESULT_FILE_EMPTY = 104,
  /**
   * The file kept changing while it was read.
   */
  CERTRELOAD_RESULT_FILE_UNSTABLE = 105,
  /**
   * Reading failed for another reason; the message has the system's text.
   */
  CERTRELOAD_RESULT_FILE_IO = 106,
  /**
   * A directory has more files that count than CERTRELOAD_MAX_DIRECTORY_FILES, or ten times as many of any name.
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
   * There is no certificate in the chain file, or among the roots: without any root, every peer would be refused.
   */
  CERTRELOAD_RESULT_NO_CERTIFICATE = 202,
  /**
   * More certificates than CERTRELOAD_MAX_CERTIFICATES in the chain file, or CERTRELOAD_MAX_ROOTS among the roots. Or the
   * certificates of a chain, or the names of the roots, are larger than a TLS message of rustls, 64 KiB.
   */
  CERTRELOAD_RESULT_TOO_MANY_CERTIFICATES = 203,
  /**
   * A certificate cannot be parsed (RFC 5280), or is damaged: its signature does not match.
   */
  CERTRELOAD_RESULT_CERTIFICATE_MALFORMED = 204,
  /**
   * No private key in the key file.
   */
  CERTRELOAD_RESULT_NO_PRIVATE_KEY = 205,
  /**
   * Several private keys in the key file, and none is that of the certificate.
   */
  CERTRELOAD_RESULT_SEVERAL_PRIVATE_KEYS = 206,
  /**
   * The private key is encrypted, and there is no password: none is set, or the password callback returned none.
   */
  CERTRELOAD_RESULT_KEY_ENCRYPTED = 207,
  /**
   * The private key is malformed, or the crypto provider refuses its kind or size. Or its encryption is not
   * supported: the traditional PEM encryption, PBES1, or a derivation that needs too much memory or work.
   */
  CERTRELOAD_RESULT_KEY_UNSUPPORTED = 208,
  /**
   * The private key is encrypted with another password than the one that was given.
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
   * A certificate revocation list cannot be parsed (RFC 5280 section 5), or needs a feature that is not supported.
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
   * The extended key usage of the certificate does not allow TLS servers: it has neither serverAuth nor any (RFC
   * 5280 section 4.2.1.12). For a client identity: it has neither clientAuth nor any.
   */
  CERTRELOAD_RESULT_KEY_USAGE_UNFIT = 304,
  /**
   * No identity would have a name that certreload_options_require_name() requires.
   */
  CERTRELOAD_RESULT_NAME_MISSING = 305,
  /**
   * A certificate revocation list was not signed with the key of the issuer that it names, or that issuer's
   * certificate does not allow signing lists.
   */
  CERTRELOAD_RESULT_CRL_SIGNATURE = 306,
  /**
   * The nextUpdate of a new certificate revocation list has passed, and CERTRELOAD_CRL_ALLOW_EXPIRED is not set.
   */
  CERTRELOAD_RESULT_CRL_EXPIRED = 307,
  /**
   * A certificate revocation list is older than one that has been in use since open.
   */
  CERTRELOAD_RESULT_CRL_ROLLBACK = 308,
  /**
   * A certificate revocation list that is in use is gone, although its issuer is still trusted, or may be.
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
  /**
   * An adapter cannot use the identity or the trust store: its TLS stack does not support it, or its settings forbid it.
   */
  CERTRELOAD_RESULT_ADAPTER_REFUSED = 312,
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
 * Returns the last failure on this thread in full: stage, path and reason, in one line with "?" in place of control
 * characters.
 *
 * Each thread has its last failure. A call that succeeds does not change it. Neither does certreload_reload(), which
 * may run in a signal handler. C may evaluate the arguments of one call in any order. So do not write
 * printf("%d: %s", certreload_check(options), certreload_last_error()), but store the result first.
 *
 * @return     the text, cut at 8191 bytes; "" if no call has failed on this thread; never NULL
 * Ownership:  borrowed, until the next certreload call on this thread that fails, which overwrites the text
 * Threads:    any thread, concurrently; do not pass the pointer to another thread
 * Signals:    not async-signal-safe
 * Blocks:     never
 * Since:      0.1.0
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
 * Returns the release of the library that runs, such as "0.1.0".
 *
 * A program compares it with CERTRELOAD_VERSION_MAJOR, _MINOR and _PATCH. If they differ, the program was compiled
 * with the header of another release.
 *
 * @return     the text, never NULL
 * Ownership:  static text; do not free
 * Threads:    any thread, concurrently
 * Signals:    async-signal-safe
 * Blocks:     never
 * Since:      0.1.0
 */
const char *certreload_version(void);

/**
 * Returns the version of the library that runs, as one number: CERTRELOAD_VERSION_NUMBER of the header of that
 * release.
 *
 * If it is less than CERTRELOAD_VERSION_NUMBER, the program was compiled with the header of a later release.
 *
 * @return     the number
 * Ownership:  a number; nothing to free
 * Threads:    any thread, concurrently
 * Signals:    async-signal-safe
 * Blocks:     never
 * Since:      0.1.0
 */
uint32_t certreload_version_number(void);

/* ==============================================================================================
 * Open and close
 *
 * Options (below) name the files. A handle loads and watches them.
 * ============================================================================================== */

/**
 * Loads everything that the options name, validates it, and starts to watch it.
 *
 * Each identity has completed a TLS handshake in memory before this function returns (self-check). The background
 * threads start with the first handle. There is one set of them per process, with every signal blocked.
 *
 * In a forked child the handle serves. It reloads again after certreload_after_fork(). Files that only root may read
 * cannot be read after the process has dropped its privileges. The loaded version then keeps serving, health is
 * STALE, and the message names the cause. certreload_push_identity() describes what a privileged process can do.
 *
 * The files are read once, without a retry. A file that is incomplete at this moment is a failure (KEY_MISMATCH,
 * FILE_NOT_FOUND, PEM_TRUNCATED, ...). If a renewal may run while the server starts, repeat the call for about the
 * incomplete-file timeout (5 seconds).
 *
 * If a system call about a file does not return for the time that certreload_options_set_incomplete_timeout_ms()
 * describes, this function fails with TIMED_OUT, and certreload_last_error() names the path. A further open of files on
 * that file system fails at once. With CERTRELOAD_RUNTIME_HOST and without
 * certreload_options_set_reader_thread(), it blocks as long as the file system does.
 *
 * The first event may be delivered before this function returns, but not before *handle_out is written.
 *
 * If a certreload_options_* function has failed on these options, its result is returned, with its message in
 * certreload_last_error(), and nothing is opened. certreload_options_clear_error() clears that failure;
 * certreload_options_new() explains the rule.
 *
 * With certreload_options_set_start() the function succeeds although some files cannot be used.
 *
 * @param options     must not be NULL; copied: may be changed or freed afterwards
 * @param handle_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
 * @return            OK; NULL_PARAMETER; the first failure that the options remember; NOTHING_TO_LOAD;
 *                    INVALID_PARAMETER if options contradict each other; SYSTEM if a thread or a descriptor is not
 *                    available; TIMED_OUT if a file system does not answer; else what is wrong with the first bad file
 *                    (100 and up). certreload_last_error() has path and reason
 * Ownership:         the caller's, until certreload_close()
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            file reads and one handshake per TLS version and identity: milliseconds. An encrypted key adds
 *                    its password callback, without a limit, and the key derivation: up to about a second, because
 *                    more than 2,000,000 rounds are refused. With CERTRELOAD_START_AVAILABLE, up to the
 *                    incomplete-file timeout for each mount that does not answer
 * Since:             0.1.0
 */
certreload_result certreload_open(const certreload_options *options,
                                  certreload_handle **handle_out);

/**
 * Opens a handle with one identity from files, and with the default of every option.
 *
 * @param chain_path  must not be NULL or ""; see certreload_options_add_identity()
 * @param key_path    likewise
 * @param handle_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
 * @return            as certreload_open()
 * Ownership:         the caller's, until certreload_close()
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            file reads and one handshake per TLS version: milliseconds. An encrypted key fails at once,
 *                    because there is no password
 * Since:             0.1.0
 */
certreload_result certreload_open_files(const char *chain_path,
                                        const char *key_path,
                                        certreload_handle **handle_out);

/**
 * Returns whether all files can be used, so that certreload_open() would succeed: for `yourserver --check-config`.
 *
 * The function reads and validates the files and completes the same handshakes. It starts no thread that stays, watches
 * nothing and keeps nothing. As in certreload_open(), a file that is incomplete at this moment is a failure, and so is
 * a file system that does not answer; certreload_open() says with which options this function blocks on one. If a
 * renewal may be running, repeat the call for about the incomplete-file timeout.
 *
 * With CERTRELOAD_START_AVAILABLE, this function fails where certreload_open() would do without a file.
 *
 * If a certreload_options_* function has failed on these options, its result and message are returned, and no file
 * is read.
 *
 * @param options  must not be NULL; borrowed for the call
 * @return         as certreload_open() with CERTRELOAD_START_STRICT
 * Ownership:      options stay the caller's
 * Threads:        any thread, concurrently
 * Signals:        not async-signal-safe
 * Blocks:         file reads and one handshake per TLS version and identity: milliseconds. An encrypted key adds its
 *                 password callback and the key derivation: up to about a second, because more than 2,000,000 rounds
 *                 are refused
 * Since:          0.1.0
 */
certreload_result certreload_check(const certreload_options *options);

/**
 * Stops watching and frees the handle.
 *
 * Acquired generations and configs, and connections, live until they are freed. When this function returns, no
 * callback of the handle runs or will run, and every call on the handle by another thread has returned. There are two
 * exceptions: a callback or call from inside which this function is called, and one that waits for this thread. This
 * function does not wait for these, and they return afterwards. The background threads end with the last handle. Only
 * a thread whose file system does not answer stays until it does, and calls nothing of the host's.
 *
 * Call this function without a lock that the callback takes, and not on a thread that the callback joins or waits
 * for. The library detects threads that wait for each other inside certreload functions. It cannot detect the host's
 * own mutexes and joins.
 *
 * A signal handler on any thread may have read the pointer and be about to call certreload_reload() with it. So block
 * the signal in every thread first: a thread that blocks the signal is not inside the handler. Or do not close a
 * handle that a signal handler uses: a process may end with open handles.
 *
 * In a forked child that has not called certreload_after_fork(), the function frees what the child has. The parent
 * is not affected.
 *
 * @param handle  may be NULL, then nothing happens; consumed
 * Ownership:     the pointer is dangling afterwards. First make sure that no signal handler and no other thread begins
 *                a call with it. Setting a shared pointer to NULL is not enough: another thread may have read it just
 *                before. A certreload_reload_wait() that waits returns CLOSED
 * Threads:       any thread; also inside a callback; without a lock that the callback takes
 * Signals:       not async-signal-safe
 * Blocks:        until running callbacks, the key-password callback included, and running calls are done; also a key
 *                derivation (2,000,000 rounds at most). Not for a file system that does not answer, unless a call of
 *                the host reads there (CERTRELOAD_RUNTIME_HOST without certreload_options_set_reader_thread())
 * Since:         0.1.0
 */
void certreload_close(certreload_handle *handle);

/* ==============================================================================================
 * Per connection
 *
 * One call for each connection, in either role. It never blocks.
 * ============================================================================================== */

/**
 * Creates a server connection with the configuration that is current at this moment.
 *
 * Call it in place of rustls_server_connection_new(). The connection keeps this configuration for its lifetime:
 * later reloads do not change it (G8).
 *
 * If nothing has been loaded yet (CERTRELOAD_START_AVAILABLE), the connection is made, and its handshake fails. The
 * client gets the alert access_denied, rustls returns "general error", and the log has the reason once a minute.
 *
 * @param handle          must not be NULL
 * @param connection_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
 * @return                OK; NULL_PARAMETER; NOT_CONFIGURED if the handle has no identity to serve; TLS if rustls
 *                        refuses
 * Ownership:             the caller's, until rustls_connection_free(); may outlive the handle
 * Threads:               any thread, concurrently
 * Signals:               not async-signal-safe
 * Blocks:                never: no lock, no system call
 * Since:                 0.1.0
 */
certreload_result certreload_server_connection_new(const certreload_handle *handle,
                                                   rustls_connection **connection_out);

/**
 * Acquires the server configuration that is current at this moment.
 *
 * Hosts need it for rustls_accepted_into_connection() of rustls-ffi's Acceptor, and to pass a configuration to other
 * code. Acquire one for each connection, because an acquired configuration does not reload.
 *
 * @param handle  must not be NULL
 * @return        the configuration; NULL if handle is NULL or has no identity to serve
 * Ownership:     reference-counted: release it with rustls_server_config_free(); may outlive the handle
 * Threads:       any thread, concurrently
 * Signals:       not async-signal-safe
 * Blocks:        never: no lock, no system call
 * Since:         0.1.0
 */
const rustls_server_config *certreload_acquire_server_config(const certreload_handle *handle);

/**
 * Creates a connection to a server, with the roots and the identity that are current at this moment.
 *
 * Call it in place of rustls_client_connection_new(). The connection keeps this configuration for its lifetime. The
 * next connection uses what has been published by then.
 *
 * If the roots have not been loaded yet (CERTRELOAD_START_AVAILABLE), the connection is made, and its handshake fails
 * with "invalid peer certificate: UnknownIssuer", whatever the server presents. certreload_generation_refuses() returns
 * whether that is so, and the log has the reason once a minute.
 *
 * @param handle          must not be NULL
 * @param server_name     must not be NULL; a DNS name (A-labels) or an IP address, which the server's certificate
 *                        must contain; copied
 * @param connection_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
 * @return                OK; NULL_PARAMETER; INVALID_PARAMETER if server_name is neither; NOT_CONFIGURED if the
 *                        handle has no roots to check servers with; TLS if rustls refuses
 * Ownership:             the caller's, until rustls_connection_free(); may outlive the handle
 * Threads:               any thread, concurrently
 * Signals:               not async-signal-safe
 * Blocks:                never: no system call
 * Since:                 0.1.0
 */
certreload_result certreload_client_connection_new(const certreload_handle *handle,
                                                   const char *server_name,
                                                   rustls_connection **connection_out);

/**
 * Acquires the client configuration that is current at this moment.
 *
 * Acquire one for each connection, because an acquired configuration does not reload.
 *
 * @param handle  must not be NULL
 * @return        the configuration; NULL if handle is NULL or has no roots to check servers with
 * Ownership:     reference-counted: release it with rustls_client_config_free(); may outlive the handle
 * Threads:       any thread, concurrently
 * Signals:       not async-signal-safe
 * Blocks:        never: no system call
 * Since:         0.1.0
 */
const rustls_client_config *certreload_acquire_client_config(const certreload_handle *handle);

/* ==============================================================================================
 * Reload
 *
 * Requests to reload now, and identities that the host passes as bytes.
 * ============================================================================================== */

/**
 * A timeout for certreload_reload_wait(): waits without a limit.
 */
#define CERTRELOAD_WAIT_FOREVER 4294967295

/**
 * Requests a reload and returns at once: for a SIGHUP handler (G9).
 *
 * A background thread reads the files, or with CERTRELOAD_RUNTIME_HOST the host's thread in certreload_dispatch().
 * Several requests during one reload lead to one more reload, which begins after the last of them. The outcome is
 * reported as an event. Files that are unchanged cause none, except RECOVERED after a failure; nor do files that fail as
 * they failed before. certreload_reload_wait() returns an outcome in every case. The function does one atomic store and one write(2), and
 * preserves errno.
 *
 * In a forked child the function returns OK, and the reload is done when certreload_after_fork() is called. Before
 * that, the thread that reads the files exists only in the parent.
 *
 * @param handle  NULL returns NULL_PARAMETER; else a handle that no thread is closing
 * @return        OK; NULL_PARAMETER
 * Ownership:     the handle stays the caller's
 * Threads:       any thread, concurrently
 * Signals:       async-signal-safe
 * Blocks:        never
 * Since:         0.1.0
 */
certreload_result certreload_reload(certreload_handle *handle);

/**
 * Reloads now, and returns the outcome for the files as they are at or after this call (G6).
 *
 * Any change of the bytes makes a new generation. For example, a key that is encrypted again, even with the same
 * password, results in OK, although clients see the same certificate.
 *
 * Files that look incomplete are retried as after any change. What looks incomplete, and for how long, is said at
 * certreload_options_set_incomplete_timeout_ms(). If timeout_ms is longer than that takes, the exact result is
 * returned. If it is shorter, TIMED_OUT is returned, with the reason so far in certreload_last_error().
 *
 * A file system that does not answer ends the wait as well, also with CERTRELOAD_WAIT_FOREVER: when that is reported
 * (TIMED_OUT), or at once if it was reported already. With CERTRELOAD_RUNTIME_HOST and without
 * certreload_options_set_reader_thread(), this function blocks as long as the file system does.
 *
 * UNCHANGED means that the files are already served: a notification may have led to a reload before this call. The
 * event may be delivered after this function returns.
 *
 * With CERTRELOAD_RUNTIME_HOST the calling thread does the work, and events wait for certreload_dispatch() or
 * certreload_next_event(). Identities in memory have no files, so there is nothing to read for them.
 *
 * A timeout of 0 does not wait. With CERTRELOAD_RUNTIME_THREAD the answer is always TIMED_OUT, and the request
 * continues. With CERTRELOAD_RUNTIME_HOST the work is done, and TIMED_OUT means that files look incomplete.
 *
 * @param handle      must not be NULL; opened in this process, or restored by certreload_after_fork()
 * @param timeout_ms  milliseconds to wait for the answer; CERTRELOAD_WAIT_FOREVER for no limit
 * @return            OK if a new generation is current; UNCHANGED; TIMED_OUT, and the work continues; CLOSED;
 *                    NULL_PARAMETER; FORKED; WOULD_DEADLOCK inside a password or log callback, if the thread that it
 *                    runs on would have to do the reload; SYSTEM; else why the files cannot be used, while the last
 *                    good version keeps serving. certreload_last_error() has path and reason
 * Ownership:         the handle stays the caller's
 * Threads:           any thread, concurrently; also inside an event callback
 * Signals:           not async-signal-safe
 * Blocks:            until the reload is done or the timeout has passed
 * Since:             0.1.0
 */
certreload_result certreload_reload_wait(certreload_handle *handle,
                                         uint32_t timeout_ms);

/**
 * One identity in memory: the contents of its files.
 *
 * Begin with a struct of zeros, and set the fields for which there are bytes. The struct may grow at the end, so the
 * functions that read it take its size.
 */
typedef struct certreload_identity_bytes {
  /**
   * The chain in PEM, the leaf first; must not be NULL. It needs no NUL at its end.
   */
  const char *chain_pem;
  /**
   * Size of chain_pem in bytes, without a NUL at its end: at most CERTRELOAD_MAX_FILE_SIZE.
   */
  size_t chain_pem_size;
  /**
   * The private key in PEM; must not be NULL. An encrypted key is decrypted with the password of the options.
   */
  const char *key_pem;
  /**
   * Size of key_pem in bytes, with the same limit.
   */
  size_t key_pem_size;
  /**
   * An OCSP response in DER, or NULL for none.
   */
  const uint8_t *ocsp_der;
  /**
   * Size of ocsp_der in bytes, with the same limit.
   */
  size_t ocsp_der_size;
} certreload_identity_bytes;

/**
 * Passes new bytes for an identity, for new connections from now on.
 *
 * The bytes are parsed, validated, self-checked and published as those of files are, except that nothing is retried.
 * Bytes that cannot be used are refused at once, and the last good version keeps serving. After the first bytes have
 * been accepted (OK or UNCHANGED), only pushes renew this identity. If it had files, they are no longer read, in this
 * process and in children that it forks later. A refused push does not change whether files are read.
 *
 * If the bytes have several certificates for the key, the choice among them is made once, with the push.
 *
 * A forked child that may not read the files therefore pushes the current identity right after
 * certreload_after_fork(). An unreadable file counts as failed only after the incomplete-file timeout, so no failure
 * is reported before the push, and none after it.
 *
 * For this purpose the parent, which may read the files, needs a chain and a key that belong together. It reads both
 * files, adds them to options with certreload_options_add_identity_memory(), and calls certreload_check(). If that
 * fails, the files may have been read in the middle of a renewal, so it reads both again. The child pushes the bytes
 * that passed (examples-c/prefork_server.c).
 *
 * The outcome is also reported as an event (trigger PUSH), except that a refusal for the same reason as before is not.
 * Messages and events of pushes name memory:INDEX/chain, memory:INDEX/key and memory:INDEX/ocsp. EXPIRING and EXPIRED,
 * certreload_identity_status and the metrics continue to name the path of the chain that the identity was added
 * with.
 *
 * @param handle      must not be NULL; opened in this process, or restored by certreload_after_fork()
 * @param index       which identity: see certreload_find_identity()
 * @param bytes       must not be NULL, nor its chain_pem and key_pem
 * @param bytes_size  sizeof(certreload_identity_bytes) of the header that the program was compiled with
 * @return            OK if a new generation is current; UNCHANGED if these bytes are served already; NULL_PARAMETER;
 *                    INVALID_PARAMETER if the index does not exist or bytes_size is wrong; FORKED; CLOSED;
 *                    WOULD_DEADLOCK inside a password or log callback that this handle's work called; else why the
 *                    bytes cannot be used (100 and up). certreload_last_error() has the reason
 * Ownership:         copied, and the copy of the key is wiped; the caller wipes its own
 * Threads:           any thread, concurrently; also inside an event callback
 * Signals:           not async-signal-safe
 * Blocks:            for one handshake per TLS version: milliseconds; and while the handle's files are being read
 * Since:             0.1.0
 */
certreload_result certreload_push_identity(certreload_handle *handle,
                                           size_t index,
                                           const certreload_identity_bytes *bytes,
                                           size_t bytes_size);

/**
 * Returns the index of the identity that serves a name, for certreload_push_identity().
 *
 * Indexes never change: they follow the order in which identities were added. An IP address may be in any notation that
 * certreload_options_require_name() accepts. A URI is written as in the certificate. A DNS name has no dot at its end:
 * "example.org", not "example.org.".
 *
 * An identity that has never been loaded (CERTRELOAD_START_AVAILABLE) has no name yet: push to it by the order in which it
 * was added. While there is one, an identity with a wildcard for the name is not returned, because the other may have
 * the name itself.
 *
 * @param handle       must not be NULL
 * @param server_name  must not be NULL; a DNS name, a wildcard as a certificate has it, or an IP address, in upper
 *                     or lower case; or a URI
 * @param index_out    must not be NULL; written only on OK
 * @return             OK; NULL_PARAMETER; INVALID_PARAMETER if no identity has the name. Clients that ask for such a
 *                     name, or for none, get the first identity for servers
 * Ownership:          server_name is borrowed for the call
 * Threads:            any thread, concurrently
 * Signals:            not async-signal-safe
 * Blocks:             never
 * Since:              0.1.0
 */
certreload_result certreload_find_identity(const certreload_handle *handle,
                                           const char *server_name,
                                           size_t *index_out);

/* ==============================================================================================
 * Events and log
 *
 * What happened, as structs for the program and as lines for people.
 * ============================================================================================== */

/**
 * The kind of an event.
 */
CERTRELOAD_ENUM(certreload_event_kind) {
  /**
   * A new generation is current: the first one at open, and one for each change after it. With
   * CERTRELOAD_START_AVAILABLE the first comes even if nothing was loaded: check the health, and `identities`, in
   * certreload_status.
   */
  CERTRELOAD_EVENT_KIND_RELOADED = 1,
  /**
   * The files, or pushed bytes, cannot be used; the last good version keeps serving (G3). Each distinct failure is
   * reported once, that is, one of other bytes or for another reason. A file that fails as before causes no event,
   * not even after a request. What is STALE by failures stops to be so with one event, RELOADED or RECOVERED.
   */
  CERTRELOAD_EVENT_KIND_RELOAD_FAILED = 2,
  /**
   * The kernel's notifications are not available, so changes are found only at the next poll (G19).
   */
  CERTRELOAD_EVENT_KIND_WATCH_DEGRADED = 3,
  /**
   * The kernel's notifications are available again.
   */
  CERTRELOAD_EVENT_KIND_WATCH_RESTORED = 4,
  /**
   * A certificate, revocation list or OCSP response in use has entered its warning window, and no renewal has been
   * loaded (certreload_options_set_expiry_warning_seconds()). An intermediate of a chain counts if it expires before
   * the leaf and the chain offers no other path (G20). Or the ticket key that encrypts has reached its
   * lifetime (certreload_options_set_ticket_key_lifetime_seconds()). The event comes once for each certificate,
   * list, response and key, also if the window had begun before open. It comes again only after the clock was set
   * back, and in a child after certreload_after_fork().
   */
  CERTRELOAD_EVENT_KIND_EXPIRING = 5,
  /**
   * A certificate has expired: it is still served, because there is no newer one, and clients refuse it. That is the
   * leaf, or an intermediate if the chain offers no other path; then the bit CHAIN_EXPIRED is set. A cross-certificate
   * at the end of the chain counts, too: the library cannot know which clients have its key as a root. Or a revocation
   * list has expired: peers are refused because of it, unless CERTRELOAD_CRL_ALLOW_EXPIRED is set. Or an
   * OCSP response has expired and is no longer stapled. Or the ticket key that encrypts is older than twice its
   * lifetime, and no tickets are issued. The event comes once for each, as EXPIRING does. If the clock is set from
   * before a warning window to after the expiry, this event comes without EXPIRING.
   */
  CERTRELOAD_EVENT_KIND_EXPIRED = 6,
  /**
   * An identity, the trust store or the ticket keys that failed (RELOAD_FAILED) can be used again, and hold the
   * content that is served already: the files were put back as they were, or their file system answers again. Or the
   * host pushed that content. No new generation is published. If there is new content, RELOADED reports that instead.
   * The path is that of the latest failure.
   */
  CERTRELOAD_EVENT_KIND_RECOVERED = 7,
  /**
   * A warning has begun, and no new generation brings it: CERTRELOAD_WARNING_FILE_DELETED or
   * CERTRELOAD_WARNING_POLLED_PATH. The path is that of the file. What is served does not change, nor does the
   * health. The event comes once for each file while the warning lasts, and again in a child after
   * certreload_after_fork(). The status shows when the warning has ended. If the warning began before open, or comes
   * with new content, RELOADED has its bit instead.
   */
  CERTRELOAD_EVENT_KIND_WARNING = 8,
};

/**
 * What made the library check its files, or its dates, and so led to an event.
 */
CERTRELOAD_ENUM(certreload_trigger) {
  /**
   * The handle was opened.
   */
  CERTRELOAD_TRIGGER_OPEN = 1,
  /**
   * The kernel reported a change, or the state of its notifications changed.
   */
  CERTRELOAD_TRIGGER_WATCH = 2,
  /**
   * A poll found the change (certreload_options_set_poll_interval_ms()).
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
 * The most events of a handle that wait, while its callback does not return or certreload_next_event() is not called.
 *
 * If another event comes, the oldest event that has a newer one of the same kind is merged into the newer one. The
 * count of the newer event grows by that of the older. Events about the same file are merged first, so that the latest
 * event of each file is kept longest.
 */
#define CERTRELOAD_MAX_WAITING_EVENTS 256

/**
 * Warning: every user of the system may read the private key file, or the file with its password (mode o+r).
 */
#define CERTRELOAD_WARNING_KEY_READABLE 1

/**
 * Warning: the new certificate lacks a name that the previous certificate of the same identity had.
 */
#define CERTRELOAD_WARNING_NAMES_LOST 2

/**
 * Warning: the new certificate expires earlier than the previous certificate of the same identity.
 */
#define CERTRELOAD_WARNING_EXPIRES_EARLIER 4

/**
 * Warning: the OCSP response cannot be used, and the certificate is served without it. Or there is no response, but
 * the certificate requires one (TLS feature "status_request", RFC 7633). The message has the reason.
 */
#define CERTRELOAD_WARNING_OCSP_UNUSABLE 8

/**
 * Warning: the certificates in the chain file are not in order, or one is there twice. They are served in order,
 * each once.
 */
#define CERTRELOAD_WARNING_CHAIN_REORDERED 16

/**
 * Warning: the chain file lacks the certificate of the leaf's issuer, so many clients will refuse the leaf. Or the new
 * chain lacks the certificate of an issuer, and the previous chain of the same identity had one there.
 */
#define CERTRELOAD_WARNING_CHAIN_INCOMPLETE 32

/**
 * Warning: a certificate in the chain file, other than the leaf, issued no other certificate there. The path from the
 * leaf upwards is served first, then the others in the order of the file.
 */
#define CERTRELOAD_WARNING_CHAIN_UNRELATED 64

/**
 * Warning: a certificate of the chain other than the leaf has expired, is not valid yet, or expires before the leaf.
 * The health depends on it only if the chain in the file offers no other path (CERTRELOAD_EVENT_KIND_EXPIRED).
 * earliest_not_after is about leaves alone.
 */
#define CERTRELOAD_WARNING_CHAIN_EXPIRED 128

/**
 * Warning: the certificate's key usage does not allow digital signatures, but TLS needs them (RFC 8446 section
 * 4.4.2.2). Or connections to servers (certreload_options_set_server_roots()) are made without a client certificate.
 * The reason is that there is no client identity, and the first identity's extended key usage lacks clientAuth.
 */
#define CERTRELOAD_WARNING_KEY_USAGE 256

/**
 * Warning: two identities have the same name and the same kind of key. The second serves that name only while the
 * certificate of the first is expired or not valid yet, and its own is valid.
 */
#define CERTRELOAD_WARNING_DUPLICATE_NAME 512

/**
 * Warning: a certificate among the roots cannot be used and is skipped. All roots that were trusted are still there.
 */
#define CERTRELOAD_WARNING_ROOT_UNUSABLE 1024

/**
 * Warning: a certificate revocation list has expired and is still in use: CERTRELOAD_CRL_ALLOW_EXPIRED is set, or the
 * list expired after it was loaded. Without that rule peers are refused because of it.
 */
#define CERTRELOAD_WARNING_CRL_EXPIRED 2048

/**
 * Warning: the issuer of a certificate revocation list is not among the roots, and its certificate is unknown. So the
 * list's signature is not checked before a peer shows that certificate. certreload_options_add_crl() has the details.
 * Or, with CERTRELOAD_CRL_ALLOW_UNKNOWN, the list has its issuer's name in other bytes than the issuer's certificate: it
 * is not applied, and peers that it revokes are accepted.
 */
#define CERTRELOAD_WARNING_CRL_UNRELATED 4096

/**
 * Warning: the list of an intermediate was removed after it had expired, so revocations by that intermediate are
 * unknown. Before its expiry, the removal is a failure (CERTRELOAD_RESULT_CRL_LOST).
 */
#define CERTRELOAD_WARNING_CRL_LOST 8192

/**
 * Warning: the ticket key that encrypts is older than its lifetime, and should have been replaced
 * (certreload_options_set_ticket_key_lifetime_seconds()).
 */
#define CERTRELOAD_WARNING_TICKET_KEY_OLD 16384

/**
 * Warning: a root has no revocation list, although other issuers have one. Every peer whose certificate leads to that
 * root is refused. Not reported with CERTRELOAD_CRL_ALLOW_UNKNOWN, which accepts such peers. Not reported either with
 * CERTRELOAD_CRL_LEAF_ONLY, because a root that issues only intermediates then needs no list. Or the list of a root or
 * of an intermediate has its issuer's name in other bytes than the issuer's certificate: it is not applied to peers.
 * With CERTRELOAD_CRL_ALLOW_UNKNOWN, that is CERTRELOAD_WARNING_CRL_UNRELATED.
 */
#define CERTRELOAD_WARNING_CRL_MISSING 32768

/**
 * Warning: a part of a PEM file is not read. A line has other text before its "-----BEGIN ", and the message names the
 * line. If a root or a revocation list in use, or the leaf or the key, would be lost by that, the file is refused
 * instead, unless all lines of a root are comments ("#"). Or a key file holds further keys beside that of the certificate.
 */
#define CERTRELOAD_WARNING_PEM_SKIPPED 65536

/**
 * Warning: the certificate is served, and some clients refuse it because of its form. It is one of X.509 version 1, or
 * has a critical extension that few clients know, or has no name in subjectAltName (RFC 9525 section 2), or an IP
 * address there in the place of a DNS name, or is marked as an authority (basicConstraints CA:TRUE). Or it, or an
 * intermediate of its chain, is signed with MD5 or SHA-1, or names its issuer in other bytes than the issuer's
 * certificate does.
 */
#define CERTRELOAD_WARNING_COMPATIBILITY 131072

/**
 * Warning: a certificate among the roots is no CA certificate (basicConstraints), and yet everything that its key signed
 * is trusted. Or it is one and may not issue certificates (keyUsage). Or 100 roots or more have the same subject: only
 * some of them are tried for each peer. Or every peer under a root, or under a known intermediate, is refused: the
 * provider verifies no signatures with the root's key, or the intermediate names the root in other bytes.
 */
#define CERTRELOAD_WARNING_ROOT_DOUBTFUL 262144

/**
 * Warning: a certificate that is served is not valid yet, by the clock of this machine. With CERTRELOAD_START_AVAILABLE it
 * may have been so at open; otherwise the clock was set back since.
 */
#define CERTRELOAD_WARNING_NOT_YET_VALID 524288

/**
 * Warning: no identity has a name that certreload_options_require_name() names. Only with CERTRELOAD_START_AVAILABLE:
 * otherwise the handle does not open.
 */
#define CERTRELOAD_WARNING_NAME_MISSING 1048576

/**
 * Warning: the file of certreload_options_set_ticket_keys() has never been loaded, so tickets are encrypted with keys of
 * this process. Only with CERTRELOAD_START_AVAILABLE: otherwise the handle does not open.
 */
#define CERTRELOAD_WARNING_TICKET_KEYS_MISSING 8388608

/**
 * Warning: a path leads through a link of /proc to a file that has no path here, so the kernel notifies of no changes.
 * Examples are a memfd or a deleted file by "/dev/fd/5", and a file of another mount namespace by "/proc/PID/root".
 * Such a file is read at each poll and request. Behind a descriptor, a file that replaces it is not seen.
 */
#define CERTRELOAD_WARNING_POLLED_PATH 2097152

/**
 * Warning: a file that is mounted by itself (Docker "-v file:file", Kubernetes subPath) was replaced or deleted where
 * it is mounted from. The mount still shows the old file, and shows no renewal. Mount the directory in place of it.
 */
#define CERTRELOAD_WARNING_FILE_DELETED 4194304

/**
 * One event. All pointers are borrowed: they are valid until the callback returns, or as long as
 * certreload_next_event() says.
 *
 * The library sets `size`. The struct may grow at the end: a field exists if it ends within `size`.
 */
typedef struct certreload_event {
  /**
   * Size of this struct in bytes, in the release of the library that runs.
   */
  size_t size;
  /**
   * The kind of event.
   */
  certreload_event_kind kind;
  /**
   * What led to the event.
   */
  certreload_trigger trigger;
  /**
   * Why the reload failed, if kind is RELOAD_FAILED; OK for every other kind, EXPIRING and EXPIRED included.
   */
  certreload_result result;
  /**
   * CERTRELOAD_WARNING_* bits; the message explains each bit that is set.
   */
  uint32_t warnings;
  /**
   * The number of the generation that is current now.
   */
  uint64_t generation;
  /**
   * The earliest notAfter of all identities of the handle, in seconds since 1970-01-01 UTC; INT64_MAX if it has
   * none.
   */
  int64_t earliest_not_after;
  /**
   * The file or directory that the event is about, as the host wrote it (made absolute); "" if there is none. The
   * bytes may include control characters, so print message instead.
   */
  const char *path;
  /**
   * The event in one line of UTF-8, with "?" in place of control characters. Never NULL; contains no secret. If many
   * identities are new, it describes the first four and counts the others; the log has a line for each.
   */
  const char *message;
  /**
   * How many events this one represents: 1, or more if older events of its kind were merged into it while they
   * waited.
   */
  uint64_t count;
} certreload_event;

/**
 * Returns the name of a kind of event, for logs.
 *
 * @param kind  any number; an unknown one returns "unknown"
 * @return      one lower-case word, such as "reload-failed"; never NULL
 * Ownership:   static text; do not free
 * Threads:     any thread, concurrently
 * Signals:     async-signal-safe
 * Blocks:      never
 * Since:       0.1.0
 */
const char *certreload_event_kind_str(certreload_event_kind kind);

/**
 * Returns the name of a trigger, for logs.
 *
 * @param trigger  any number; an unknown one returns "unknown"
 * @return         one lower-case word, such as "watch"; never NULL
 * Ownership:      static text; do not free
 * Threads:        any thread, concurrently
 * Signals:        async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
const char *certreload_trigger_str(certreload_trigger trigger);

/**
 * Returns the name of a warning, for logs and metrics.
 *
 * @param warning  one CERTRELOAD_WARNING_* bit; any other number returns "unknown"
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
 * The library calls it exactly once, after the last call of the callback: when neither options nor an open handle can
 * lead to another call. It runs on the thread that ends the last use, which may be a thread of the library. The
 * function may call the certreload functions that its callback may call. It must not throw or longjmp out.
 *
 * If an open handle was the last user of an event callback, the function has been called when certreload_close() or
 * certreload_set_event_callback() returns. One exception: if the callback itself, or a thread that it waits for, makes
 * that call, the function is called when the callback has returned.
 *
 * A host that passes no such function frees the userdata itself, and must make sure that no call still uses it. A
 * callback that closes its own handle, or replaces itself, uses its userdata until it returns.
 *
 * If the function that sets the callback fails, the caller keeps the userdata, and the library does not free it.
 * With a NULL callback the library ignores userdata and userdata_free. If the process ends with open handles, their
 * userdata is not freed. In a forked child the call is not guaranteed, because a thread of the parent may have been
 * in the callback.
 */
typedef void (*certreload_userdata_free)(void *userdata);

/**
 * A function of the host that gets events.
 *
 * It runs on a background thread of the library; with CERTRELOAD_RUNTIME_HOST on the thread that calls
 * certreload_dispatch(). Calls for one handle are made one at a time, in order (G7). A callback that blocks delays
 * only the events of that handle: other handles, connections, reloads and threads continue (G21). Up to
 * CERTRELOAD_MAX_WAITING_EVENTS events wait until the callback returns. Callbacks of different handles may run at the
 * same time, even if they are one function with one userdata.
 *
 * The callback may call any certreload function, and may close the handle. It must not throw, longjmp out or end its
 * thread (pthread_exit()). A background thread of the library has 512 KiB of stack.
 */
typedef void (*certreload_event_callback)(void *userdata, const certreload_event *event);

/**
 * Sets the function that gets the events from now on, or removes it.
 *
 * When this function returns, the previous callback is not running and will not be called again. One exception: if
 * this function is called from inside that callback, the callback is still running, for the last time.
 *
 * Waiting events of the previous callback go to the new one. If the callback is removed, they are dropped. So are events
 * from a time without a callback, before the first one or after one was removed. If the host has begun to take events
 * (certreload_event_fd() says when that begins), none is dropped: they go to the new callback or, if there is none,
 * wait for certreload_next_event().
 *
 * The function waits for a running callback. So call it without a lock that the callback takes, and not on a thread
 * that the callback joins or waits for. WOULD_DEADLOCK detects threads that wait for each other inside certreload
 * functions. It cannot detect the host's own mutexes and joins.
 *
 * @param handle         must not be NULL
 * @param callback       NULL for none
 * @param userdata       passed to each call; must stay valid until userdata_free is called. Without it: until
 *                       the handle is closed or the callback is replaced
 * @param userdata_free  may be NULL; see certreload_userdata_free
 * @return               OK; NULL_PARAMETER; WOULD_DEADLOCK if the running callback waits for this thread, and
 *                       nothing is changed; CLOSED
 * Ownership:            on OK the library owns userdata if there is a userdata_free; on failure the caller keeps it
 * Threads:              any thread, concurrently; also inside a callback; without a lock that the callback takes
 * Signals:              not async-signal-safe
 * Blocks:               until a running callback of this handle has returned
 * Since:                0.1.0
 */
certreload_result certreload_set_event_callback(certreload_handle *handle,
                                                certreload_event_callback callback,
                                                void *userdata,
                                                certreload_userdata_free userdata_free);

/**
 * The importance of a log line: a lower number is more important.
 */
CERTRELOAD_ENUM(certreload_log_level) {
  /**
   * An operator has to act: a reload failed, a certificate expired.
   */
  CERTRELOAD_LOG_LEVEL_ERROR = 1,
  /**
   * An operator should check: accepted with a warning, expiring, the watch is degraded.
   */
  CERTRELOAD_LOG_LEVEL_WARN = 2,
  /**
   * Renewals, a watch that is restored, and why a client certificate is refused.
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
 * A function of the host that gets log lines.
 *
 * The message is one line of UTF-8 without a newline. It contains no secret and is valid until the function returns.
 * Lines of other crates begin with their origin, such as "rustls::server::hs: ".
 *
 * The function runs on the thread that writes the line, which may be a thread of the host, and on several threads at
 * once. Lines of the thread that runs the reloads are written by a thread that delivers events, so a function that
 * blocks delays no reload (G21). While it blocks, up to 1,000 of these lines wait. Later ones are dropped, and a line
 * says how many. With CERTRELOAD_RUNTIME_HOST all lines are written on the host's threads. There the library may hold
 * locks. So the function must be quick there, and must not take a lock that is held while a certreload function is
 * called.
 *
 * The function may call certreload_set_log_callback() and the functions whose name ends in
 * _str, and no other certreload function. A line that these calls would write on the same thread is dropped, so that
 * the function does not call itself. It must not throw or longjmp out.
 */
typedef void (*certreload_log_callback)(void *userdata,
                                        certreload_log_level level,
                                        const char *message);

/**
 * Sets the function that gets the log lines from now on, or removes it. There is one for the process, and none at
 * the start.
 *
 * Every event is a line, with or without an event callback. So is the outcome of an explicit request that causes no
 * event. If a handle has a name, its lines begin with the name: "public: generation 2 serves: ...". The records of
 * rustls are passed on, except those of the library's own handshakes.
 *
 * When this function returns, the previous callback is not running and will not be called again. One exception: if
 * this function is called from inside that callback, the callback is still running there, for the last time.
 *
 * @param callback       NULL for none
 * @param userdata       passed to each call; must stay valid until userdata_free is called. Without it: until
 *                       the callback is replaced
 * @param userdata_free  may be NULL; see certreload_userdata_free
 * @param max_level      CERTRELOAD_LOG_LEVEL_*: less important lines are not written; ignored if callback is NULL
 * @return               OK; INVALID_PARAMETER if max_level is not a level; LOGGER_IN_USE if this library is part of
 *                       a Rust program that has a logger, which then gets the lines and continues to work as before
 * Ownership:            on OK the library owns userdata if there is a userdata_free; on failure the caller keeps it
 * Threads:              any thread, concurrently; also inside a callback; without a lock that the callback takes
 * Signals:              not async-signal-safe
 * Blocks:               until calls of the previous callback have returned
 * Since:                0.1.0
 */
certreload_result certreload_set_log_callback(certreload_log_callback callback,
                                              void *userdata,
                                              certreload_userdata_free userdata_free,
                                              certreload_log_level max_level);

/**
 * Returns the name of a log level.
 *
 * @param level  any number; an unknown one returns "unknown"
 * @return       one lower-case word, such as "warn"; never NULL
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
 * Whether what is served is valid, and whether it will stay so.
 *
 * If several states apply, the worst is reported: MISSING, else EXPIRED, else STALE, else EXPIRING, else OK. The health
 * of a handle is the worst of its identities, its trust store and its ticket keys. A failure of one identity does not make another
 * one STALE (certreload_get_identity_status()). Files that look incomplete are not STALE while they are retried.
 */
CERTRELOAD_ENUM(certreload_health) {
  /**
   * What is served is valid and equals the files.
   */
  CERTRELOAD_HEALTH_OK = 0,
  /**
   * What is served is valid, but its warning window has begun: see certreload_options_set_expiry_warning_seconds()
   * and certreload_options_set_ticket_key_lifetime_seconds().
   */
  CERTRELOAD_HEALTH_EXPIRING = 1,
  /**
   * The files cannot be used, as RELOAD_FAILED reported. What is served is still valid, so connections succeed, but
   * the renewal needs attention. Also in a forked child before certreload_after_fork().
   */
  CERTRELOAD_HEALTH_STALE = 2,
  /**
   * A certificate that is served has expired, or a revocation list because of which peers are then refused. An
   * expired intermediate counts if its chain offers no other path. Or a certificate that is served is not valid yet
   * (CERTRELOAD_WARNING_NOT_YET_VALID): RELOADED has that bit, and no event reports it when the clock was set back.
   */
  CERTRELOAD_HEALTH_EXPIRED = 3,
  /**
   * An identity, or the trust store, has never been loaded. Only with CERTRELOAD_START_AVAILABLE, which says what
   * clients get.
   */
  CERTRELOAD_HEALTH_MISSING = 4,
};

/**
 * How changes are being found.
 */
CERTRELOAD_ENUM(certreload_watch_state) {
  /**
   * Not at all: CERTRELOAD_WATCH_OFF, or a forked child before certreload_after_fork().
   */
  CERTRELOAD_WATCH_STATE_OFF = 0,
  /**
   * By polling, as requested: CERTRELOAD_WATCH_POLL.
   */
  CERTRELOAD_WATCH_STATE_POLLING = 1,
  /**
   * By the kernel's notifications, and by polls for changes that cause none.
   */
  CERTRELOAD_WATCH_STATE_NOTIFIED = 2,
  /**
   * By polling alone, because notifications are not available; each poll tries them again.
   */
  CERTRELOAD_WATCH_STATE_DEGRADED = 3,
};

/**
 * Size of the text of a failure, its NUL included.
 */
#define CERTRELOAD_MAX_FAILURE_TEXT 512

/**
 * Size of a path in the status of an identity or of the trust store, its NUL included. A longer path is cut.
 */
#define CERTRELOAD_MAX_PATH_TEXT 512

/**
 * The status of a handle. Times are seconds since 1970-01-01 UTC.
 *
 * The library sets `size` to the number of bytes that it wrote. The struct may grow at the end. Fields beyond `size`
 * are not written: zero the struct first.
 */
typedef struct certreload_status {
  /**
   * The number of bytes of this struct that were written.
   */
  size_t size;
  /**
   * The number of the current generation; the first is 1, and numbers only grow.
   */
  uint64_t generation;
  /**
   * When that generation was published.
   */
  int64_t loaded_at;
  /**
   * The earliest notAfter of all identities, that is of their leaves; INT64_MAX if there is none.
   */
  int64_t earliest_not_after;
  /**
   * The health of the handle.
   */
  certreload_health health;
  /**
   * The result of the last scan: OK, UNCHANGED, or why it failed.
   */
  certreload_result last_result;
  /**
   * Number of generations published after the first.
   */
  uint64_t reloads;
  /**
   * Number of distinct failures that were reported.
   */
  uint64_t failures;
  /**
   * Number of scans that found nothing new.
   */
  uint64_t unchanged;
  /**
   * Number of identities in the current generation: those of the handle that have been loaded.
   */
  size_t identities;
  /**
   * Number of generations whose memory, keys included, is still allocated (G8): the current one, and older ones that
   * are in use. An acquired generation or configuration keeps its generation in use. So does a connection until its
   * handshake is done.
   */
  size_t generations_alive;
  /**
   * How changes are being found.
   */
  certreload_watch_state watch;
  /**
   * CERTRELOAD_WARNING_* bits of the current generation. NAMES_LOST and EXPIRES_EARLIER are about the change that
   * created it, as is CHAIN_INCOMPLETE if the previous chain was longer. DUPLICATE_NAME is about several identities.
   * These, and KEY_USAGE for a client role without
   * a certificate, are reported here and in the RELOADED event. The others last as long as their cause, and are also
   * in certreload_identity_status or certreload_trust_status. TICKET_KEY_OLD is in neither.
   */
  uint32_t warnings;
  /**
   * Since when health has its present value. EXPIRED: the notAfter, or a list's nextUpdate, that was reached first.
   * STALE and MISSING: when the oldest unresolved failure was reported. EXPIRING: when the first warning window began. OK: the
   * time of the open, or when the last problem ended. 0 if it is not known (in a forked child).
   */
  int64_t health_since;
  /**
   * When the first of all warning windows begins: from then on health is EXPIRING or worse. 0 if there is no window.
   */
  int64_t expiring_from;
  /**
   * When files were last scanned, with any outcome.
   */
  int64_t last_checked_at;
  /**
   * Number of RELOAD_FAILED events about those identities, trust store and ticket keys that fail now, since each was
   * last good; 0 if none fails. A file that fails as before counts once, however often it is scanned.
   */
  uint64_t consecutive_failures;
  /**
   * When the failure in last_failure was reported; 0 if there is none.
   */
  int64_t last_failure_at;
  /**
   * The newest unresolved failure, in one line of UTF-8, cut to fit; "" if there is none.
   */
  char last_failure[CERTRELOAD_MAX_FAILURE_TEXT];
  /**
   * Number of identities of the handle: those that were added to its options. More than `identities` only while some
   * have never been loaded (CERTRELOAD_START_AVAILABLE).
   */
  size_t identities_configured;
} certreload_status;

/**
 * The status of one identity. Times are seconds since 1970-01-01 UTC.
 *
 * The library sets `size` to the number of bytes that it wrote. The struct may grow at the end. Fields beyond `size`
 * are not written: zero the struct first.
 */
typedef struct certreload_identity_status {
  /**
   * The number of bytes of this struct that were written.
   */
  size_t size;
  /**
   * The health of this identity alone.
   */
  certreload_health health;
  /**
   * OK, or why its files cannot be used: the result of last_failure.
   */
  certreload_result last_result;
  /**
   * Since when health has its present value; see certreload_status.
   */
  int64_t health_since;
  /**
   * The notBefore of the certificate that is served; 0 while health is MISSING.
   */
  int64_t not_before;
  /**
   * The notAfter of the certificate that is served; 0 while health is MISSING.
   */
  int64_t not_after;
  /**
   * When the certificate's warning window begins; 0 if warnings are switched off, or there is none. Those of an OCSP response and of
   * an intermediate, which count for the health, may begin earlier.
   */
  int64_t expiring_from;
  /**
   * When new bytes of the identity were last accepted, from files or by a push; at first the time of the open. 0 in
   * a forked child until the next renewal, and while health is MISSING.
   */
  int64_t renewed_at;
  /**
   * The number of the first generation with the present bytes of the identity; at first that of the open. 0 in a
   * forked child, which does not know it, until the next renewal.
   */
  uint64_t renewed_generation;
  /**
   * When its files were last scanned, with any outcome.
   */
  int64_t last_checked_at;
  /**
   * CERTRELOAD_WARNING_* bits that are about this identity alone. NAMES_LOST, EXPIRES_EARLIER and DUPLICATE_NAME are
   * only in certreload_status.
   */
  uint32_t warnings;
  /**
   * 1 while its files look incomplete and are retried; else 0.
   */
  uint32_t pending;
  /**
   * Number of RELOAD_FAILED events about this identity since it was last good; 0 if its files are good.
   */
  uint64_t consecutive_failures;
  /**
   * When the failure in last_failure was reported; 0 if there is none.
   */
  int64_t last_failure_at;
  /**
   * The unresolved failure, in one line of UTF-8, cut to fit; "" if there is none. The next success clears it.
   */
  char last_failure[CERTRELOAD_MAX_FAILURE_TEXT];
  /**
   * Which identity this is: the path of its chain as the host wrote it (made absolute), with "?" in place of control
   * characters, cut to fit.
   */
  char chain_path[CERTRELOAD_MAX_PATH_TEXT];
} certreload_identity_status;

/**
 * Writes the status of a handle.
 *
 * The fields of one call are one snapshot and agree with each other. They need not agree with a later call, nor with
 * certreload_get_identity_status(), which takes its own snapshot.
 *
 * @param handle       must not be NULL
 * @param status_out   must not be NULL; its first bytes are written, at most status_size of them; only on OK
 * @param status_size  sizeof(certreload_status) of the header that the program was compiled with
 * @return             OK; NULL_PARAMETER; INVALID_PARAMETER if status_size is below 16 or above 65536; CLOSED
 * Ownership:          a copy; nothing to free
 * Threads:            any thread, concurrently
 * Signals:            not async-signal-safe
 * Blocks:             never for long: waits for no reload
 * Since:              0.1.0
 */
certreload_result certreload_get_status(const certreload_handle *handle,
                                        certreload_status *status_out,
                                        size_t status_size);

/**
 * Writes the status of one identity of a handle.
 *
 * The index counts all identities that were added. That of certreload_generation_identity() counts those that have been
 * loaded: certreload_identity_index() converts.
 *
 * @param handle       must not be NULL
 * @param index        0 to certreload_status.identities_configured - 1: the order in which identities were added
 * @param status_out   must not be NULL; its first bytes are written, at most status_size of them; only on OK
 * @param status_size  sizeof(certreload_identity_status) of the header that the program was compiled with
 * @return             OK; NULL_PARAMETER; INVALID_PARAMETER if the index does not exist, or status_size is below 16
 *                     or above 65536; CLOSED
 * Ownership:          a copy; nothing to free
 * Threads:            any thread, concurrently
 * Signals:            not async-signal-safe
 * Blocks:             never for long: waits for no reload
 * Since:              0.1.0
 */
certreload_result certreload_get_identity_status(const certreload_handle *handle,
                                                 size_t index,
                                                 certreload_identity_status *status_out,
                                                 size_t status_size);

/**
 * Returns the name of a state of health, for logs and status pages.
 *
 * @param health  any number; an unknown one returns "unknown"
 * @return        one lower-case word, such as "stale"; never NULL
 * Ownership:     static text; do not free
 * Threads:       any thread, concurrently
 * Signals:       async-signal-safe
 * Blocks:        never
 * Since:         0.1.0
 */
const char *certreload_health_str(certreload_health health);

/**
 * Returns the name of a state of the watch, for logs and status pages.
 *
 * @param state  any number; an unknown one returns "unknown"
 * @return       one lower-case word, such as "notified"; never NULL
 * Ownership:    static text; do not free
 * Threads:      any thread, concurrently
 * Signals:      async-signal-safe
 * Blocks:       never
 * Since:        0.1.0
 */
const char *certreload_watch_state_str(certreload_watch_state state);

/**
 * The status of the trust store. Times are seconds since 1970-01-01 UTC.
 *
 * The library sets `size` to the number of bytes that it wrote. The struct may grow at the end. Fields beyond `size`
 * are not written: zero the struct first.
 */
typedef struct certreload_trust_status {
  /**
   * The number of bytes of this struct that were written.
   */
  size_t size;
  /**
   * The health of the trust store alone: EXPIRED if a revocation list has expired and CERTRELOAD_CRL_ALLOW_EXPIRED
   * is not set.
   */
  certreload_health health;
  /**
   * OK, or why its files cannot be used: the result of last_failure.
   */
  certreload_result last_result;
  /**
   * Since when health has its present value; see certreload_status.
   */
  int64_t health_since;
  /**
   * Number of roots that clients are checked against.
   */
  size_t client_roots;
  /**
   * Number of roots that servers are checked against.
   */
  size_t server_roots;
  /**
   * Number of revocation lists.
   */
  size_t crls;
  /**
   * Number of entries in all lists, each a revoked certificate.
   */
  size_t revoked;
  /**
   * The earliest nextUpdate of all lists; 0 if there is none.
   */
  int64_t next_update;
  /**
   * When the first warning window of a list begins; 0 if there is none.
   */
  int64_t expiring_from;
  /**
   * When the trust store last changed, or was loaded first; 0 in a forked child until the next change.
   */
  int64_t renewed_at;
  /**
   * The number of the first generation with the present trust store; at first that of the open. 0 in a forked child,
   * which does not know it, until the next change.
   */
  uint64_t renewed_generation;
  /**
   * When its files were last scanned, with any outcome.
   */
  int64_t last_checked_at;
  /**
   * CERTRELOAD_WARNING_* bits of the trust store.
   */
  uint32_t warnings;
  /**
   * 1 while its files look incomplete and are retried; else 0.
   */
  uint32_t pending;
  /**
   * Number of RELOAD_FAILED events about the trust store since it was last good; 0 if its files are good.
   */
  uint64_t consecutive_failures;
  /**
   * When the failure in last_failure was reported; 0 if there is none.
   */
  int64_t last_failure_at;
  /**
   * The unresolved failure, in one line of UTF-8, cut to fit; "" if there is none. The next success clears it.
   */
  char last_failure[CERTRELOAD_MAX_FAILURE_TEXT];
  /**
   * The first file or directory of the trust store as the host wrote it (made absolute), with "?" in place of
   * control characters, cut to fit.
   */
  char path[CERTRELOAD_MAX_PATH_TEXT];
} certreload_trust_status;

/**
 * Writes the status of the trust store of a handle.
 *
 * @param handle       must not be NULL
 * @param status_out   must not be NULL; its first bytes are written, at most status_size of them; only on OK
 * @param status_size  sizeof(certreload_trust_status) of the header that the program was compiled with
 * @return             OK; NULL_PARAMETER; INVALID_PARAMETER if status_size is below 16 or above 65536;
 *                     NOT_CONFIGURED if the handle has no roots; CLOSED
 * Ownership:          a copy; nothing to free
 * Threads:            any thread, concurrently
 * Signals:            not async-signal-safe
 * Blocks:             never for long: waits for no reload
 * Since:              0.1.0
 */
certreload_result certreload_get_trust_status(const certreload_handle *handle,
                                              certreload_trust_status *status_out,
                                              size_t status_size);

/**
 * The most handles that certreload_write_metrics_page() accepts. A larger count is refused before the array is read.
 */
#define CERTRELOAD_MAX_PAGE_HANDLES 100000

/**
 * Writes the metrics of a handle in the Prometheus text format, version 0.0.4.
 *
 * The host serves the page as "text/plain; version=0.0.4".
 *
 * Series of the handle: certreload_reloads_total{result="reloaded"|"unchanged"|"failed"}, certreload_generation,
 * certreload_generations_alive, certreload_last_reload_timestamp_seconds, certreload_last_check_timestamp_seconds,
 * certreload_health{state} and certreload_watch_state{state}. The series of the state that is true has the value 1,
 * the others 0. For each warning that lasts there is certreload_warning{warning} with the value 1, else no series; the
 * label is what certreload_warning_str() returns.
 *
 * Series of each identity, with the labels identity (the path of its chain) and name (its first name):
 * certreload_not_before_timestamp_seconds, certreload_not_after_timestamp_seconds,
 * certreload_chain_not_after_timestamp_seconds (the same, or that of an intermediate that clients need, if that is
 * earlier), certreload_consecutive_failures, certreload_identity_health{state} and, as long as a warning about the
 * identity lasts, certreload_identity_warning{warning}. An identity that was added twice is written once. Until an
 * identity has been loaded (state "missing"), its name is "", and it has no series with a date.
 *
 * Series of a handle that checks peers: certreload_trust_client_roots, certreload_trust_server_roots,
 * certreload_trust_crls, certreload_trust_revoked, certreload_trust_consecutive_failures,
 * certreload_trust_renewed_timestamp_seconds, certreload_crl_next_update_timestamp_seconds (if there are lists),
 * certreload_trust_health{state} and, as long as a warning about the trust store lasts,
 * certreload_trust_warning{warning}.
 *
 * If certreload_options_set_name() gave the handle a name, every series has the label handle. A process with several
 * handles calls certreload_write_metrics_page(). Two pages that are joined are not valid, because a page may describe
 * each metric only once.
 *
 * The page may grow between two calls, so repeat until it fits. The first round of this loop gets the size:
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
 * @return            OK; BUFFER_TOO_SMALL, and no text is written: if size is not 0, buffer is ""; NULL_PARAMETER,
 *                    also if buffer is NULL and size is not 0; INVALID_PARAMETER if size is above PTRDIFF_MAX;
 *                    CLOSED
 * Ownership:         a copy; nothing to free
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never for long: waits for no reload; some microseconds for each identity
 * Since:             0.1.0
 */
certreload_result certreload_write_metrics(const certreload_handle *handle,
                                           char *buffer,
                                           size_t size,
                                           size_t *needed_out);

/**
 * Writes the metrics of several handles as one page, in the format of certreload_write_metrics().
 *
 * Every series has the label handle: the name from certreload_options_set_name(), or the position in handles. No two
 * labels may be the same, because a reader refuses a page that has a series twice.
 *
 * @param handles     count open handles, none NULL; NULL only with count 0
 * @param count       at most CERTRELOAD_MAX_PAGE_HANDLES
 * @param buffer      as for certreload_write_metrics()
 * @param size        likewise
 * @param needed_out  likewise
 * @return            likewise; INVALID_PARAMETER also if count is too large, or if two handles have the same label,
 *                    which the message names
 * Ownership:         a copy; nothing to free
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never for long: waits for no reload; some microseconds for each identity
 * Since:             0.1.0
 */
certreload_result certreload_write_metrics_page(certreload_handle *const *handles,
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
 * The largest certificate or key file that is read, in bytes.
 */
#define CERTRELOAD_MAX_FILE_SIZE 1048576

/**
 * The longest chain that is accepted, in certificates.
 */
#define CERTRELOAD_MAX_CERTIFICATES 64

/**
 * Creates options with no identity and the default of everything else.
 *
 * Options fail closed (G22). A certreload_options_* function that fails changes no setting, and the options remember
 * its result and message. certreload_open() and certreload_check() then return the first such failure each time, and
 * do nothing else. A later call that succeeds does not change that; only certreload_options_clear_error() does. So
 * the results of these functions may be ignored. Without this rule an ignored failure could open a weaker server,
 * for example one without client authentication because a path is NULL.
 *
 * If options is NULL, a function cannot remember its failure. certreload_open() refuses NULL as well.
 *
 * Options may be opened any number of times.
 *
 * @return     the options, or NULL if there is no memory
 * Ownership:  the caller's, until certreload_options_free()
 * Threads:    any thread; each options object by one thread at a time
 * Signals:    not async-signal-safe
 * Blocks:     never
 * Since:      0.1.0
 */
certreload_options *certreload_options_new(void);

/**
 * Frees options. Handles that were opened with them are not affected.
 *
 * @param options  may be NULL, then nothing happens; consumed
 * Ownership:      the pointer is dangling afterwards
 * Threads:        any thread; exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
void certreload_options_free(certreload_options *options);

/**
 * Adds an identity: a certificate chain, its private key and, if there is one, an OCSP response.
 *
 * The first identity is the default: it serves clients that send no server name (SNI, RFC 6066), and names that no
 * identity has. Chain and key are PEM (RFC 7468). They may be the same file; text and other sections are skipped.
 * The chain begins with the leaf, and each issuer follows. If only the order is wrong, it is corrected, with a
 * warning. If a renewal with the same key and names was appended to the file, the first certificate that is valid is the
 * leaf, with a warning; the choice is made again when a date of one of them passes. The key is PKCS#8, PKCS#1 or SEC1; of several in its file that of the certificate is used, with a warning.
 * An encrypted key (PKCS#8 with PBES2, as OpenSSL writes it) needs certreload_options_set_key_password_file() or
 * certreload_options_set_key_password_callback(). This function reads no file.
 *
 * The OCSP response is DER (RFC 6960). Clients that ask for it get it from its thisUpdate until its nextUpdate. It
 * must be about the leaf, not expired, "good", and signed by the issuer or its delegated responder. Otherwise it is
 * left out, with a warning (CERTRELOAD_WARNING_OCSP_UNUSABLE). After a change the previous response is not stapled any
 * more, even if the new one is left out or its file is missing. Signature and issuer are checked with the certificates
 * in the chain and in the response.
 *
 * @param options     must not be NULL; changed
 * @param chain_path  must not be NULL or ""; any bytes, UTF-8 or not; copied. A relative path refers to the working
 *                    directory at the time of open
 * @param key_path    likewise
 * @param ocsp_path   likewise, but may be NULL for none
 * @return            OK; NULL_PARAMETER; INVALID_PARAMETER if a path is empty, or if CERTRELOAD_MAX_IDENTITIES are
 *                    in the options already
 * Ownership:         strings are copied
 * Threads:           exclusive access to options
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
certreload_result certreload_options_add_identity(certreload_options *options,
                                                  const char *chain_path,
                                                  const char *key_path,
                                                  const char *ocsp_path);

/**
 * Sets the application protocols that the server speaks (ALPN, RFC 7301), the preferred one first.
 *
 * Without this call, or with count 0, those of certreload_options_set_server_template() are used; without a template
 * ALPN is not negotiated. A client that offers only other protocols is refused (no_application_protocol). A client
 * that offers none is served.
 *
 * @param options    must not be NULL; changed
 * @param protocols  count strings of 1 to 255 bytes each, such as "h2" and "http/1.1"; NULL only with count 0;
 *                   copied
 * @param count      0 to 64
 * @return           OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:        strings are copied
 * Threads:          exclusive access to options
 * Signals:          not async-signal-safe
 * Blocks:           never
 * Since:            0.1.0
 */
certreload_result certreload_options_set_alpn(certreload_options *options,
                                              const char *const *protocols,
                                              size_t count);

/**
 * Sets an existing server configuration as the template of every generation: only the identities are the handle's.
 *
 * Cipher suites, versions, ALPN, key log, session storage, tickets and the client verifier stay as the template has
 * them, unless another option replaces them. All generations share its session storage.
 *
 * @param options  must not be NULL; changed
 * @param config   must not be NULL; a configuration of rustls_server_config_builder_build(), whose own certificate
 *                 is not used; reference-counted
 * @return         OK; NULL_PARAMETER
 * Ownership:      the library keeps a reference; the caller frees its own with rustls_server_config_free() as usual
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_server_template(certreload_options *options,
                                                         const rustls_server_config *config);

/**
 * Names the handle for operators, such as "public" or "admin".
 *
 * Every series of certreload_write_metrics() then has the label handle with this name, and log lines begin with it.
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
certreload_result certreload_options_set_name(certreload_options *options,
                                              const char *name);

/**
 * Sets the function that gets the events of each handle that is opened with these options.
 *
 * The function also gets the event of the first load, so no warning of the first load is lost.
 *
 * @param options        must not be NULL; changed
 * @param callback       NULL for none
 * @param userdata       passed to each call; must stay valid until userdata_free is called. Without it: until the
 *                       options are freed and every handle that was opened with them is closed or has another
 *                       callback
 * @param userdata_free  may be NULL; see certreload_userdata_free
 * @return               OK; NULL_PARAMETER if options is NULL, the only failure: userdata is then still the caller's
 * Ownership:            on OK the library owns userdata if there is a userdata_free; on failure the caller keeps it
 * Threads:              exclusive access to options; certreload_event_callback says where the callback runs
 * Signals:              not async-signal-safe
 * Blocks:               never
 * Since:                0.1.0
 */
certreload_result certreload_options_set_event_callback(certreload_options *options,
                                                        certreload_event_callback callback,
                                                        void *userdata,
                                                        certreload_userdata_free userdata_free);

/**
 * The most names that certreload_options_require_name() accepts.
 */
#define CERTRELOAD_MAX_REQUIRED_NAMES 1000

/**
 * Requires that some identity has a name: exactly, or, of a DNS name, by a wildcard for its first label.
 *
 * A handle does not open without the name (NAME_MISSING). Later, a change that would remove the name is refused, and
 * the last good version keeps serving. Changes of other identities are accepted (G15).
 *
 * @param options  must not be NULL; changed
 * @param name     must not be NULL; copied. A DNS name as in a certificate: ASCII (A-labels), at most 253 bytes, no
 *                 dot at its end, in upper or lower case. A first label "*" requires that wildcard itself. Or an IP
 *                 address, without brackets. Or a URI such as "spiffe://example.org/web": ASCII, at most 2048 bytes,
 *                 with the same bytes as in the certificate
 * @return         OK, also if the name is required already; NULL_PARAMETER; INVALID_PARAMETER if it is none of the
 *                 three, or if CERTRELOAD_MAX_REQUIRED_NAMES are required already
 * Ownership:      strings are copied
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_require_name(certreload_options *options,
                                                  const char *name);

/**
 * Adds an identity whose bytes are in memory, for example from a configuration service, a vault or another process.
 *
 * It has an index as an identity from files has, in the order in which identities are added. The library has no file
 * to watch for it: certreload_push_identity() renews it. Messages name its parts memory:INDEX/chain, memory:INDEX/key
 * and memory:INDEX/ocsp.
 *
 * @param options     must not be NULL; changed
 * @param bytes       must not be NULL, nor its chain_pem and key_pem
 * @param bytes_size  sizeof(certreload_identity_bytes) of the header that the program was compiled with
 * @return            OK; NULL_PARAMETER; INVALID_PARAMETER if bytes_size is wrong, or if the options have
 *                    CERTRELOAD_MAX_IDENTITIES identities already; FILE_TOO_LARGE. certreload_open() parses the bytes,
 *                    and returns what is wrong with them
 * Ownership:         copied, and the copy of the key is wiped when the options are freed; the caller wipes its own
 * Threads:           exclusive access to options
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
certreload_result certreload_options_add_identity_memory(certreload_options *options,
                                                         const certreload_identity_bytes *bytes,
                                                         size_t bytes_size);

/**
 * What certreload_open() does about files that cannot be used.
 */
CERTRELOAD_ENUM(certreload_start) {
  /**
   * It fails, and its result says why. The default.
   */
  CERTRELOAD_START_STRICT = 0,
  /**
   * It succeeds with what can be used. Each file that cannot be used is an event, and is loaded when it can.
   */
  CERTRELOAD_START_AVAILABLE = 1,
};

/**
 * Sets what certreload_open() does about files that cannot be used: a server of many customers must start although the
 * certificate of one has expired, and a server that gets its first certificate over ACME starts without any.
 *
 * With CERTRELOAD_START_AVAILABLE:
 *
 * - **An identity** that cannot be loaded is left out. Clients that ask for its names get the first identity that has
 *   been loaded. If none has, certreload_server_connection_new() still succeeds, and every handshake ends with the
 *   alert access_denied. The host then gets "general error" from rustls_connection_process_new_packets(), and the log
 *   has the reason once a minute. An identity for the client role that is left out is not presented, nor is another
 *   one of the handle; a client template presents what it has.
 * - **A certificate that has expired**, or is not valid yet, is served as long as its identity has had no other one.
 *   Health is EXPIRED. That is no failure: last_failure is "", and certreload_reload_wait() returns UNCHANGED. The
 *   expired one is an EXPIRED event with the trigger CERTRELOAD_TRIGGER_CLOCK. For one that is not valid yet there is
 *   only the bit CERTRELOAD_WARNING_NOT_YET_VALID, in RELOADED and in the status.
 * - **A trust store** that cannot be loaded never weakens the server: until it can, every handshake of the handle is
 *   refused, in both roles. The server role ends it as without an identity. In the client role,
 *   certreload_acquire_client_config() still returns a configuration, with which every server's certificate is refused:
 *   "invalid peer certificate: UnknownIssuer". The fault is not the server's. certreload_generation_refuses() returns
 *   true until then, and the log has the reason once a minute.
 * - **Ticket keys** that cannot be loaded are replaced by keys of this process, with the warning
 *   CERTRELOAD_WARNING_TICKET_KEYS_MISSING.
 * - **A required name** that no identity has is the warning CERTRELOAD_WARNING_NAME_MISSING. The health does not depend
 *   on it. As soon as an identity has the name, it is required as otherwise: no change may remove it again.
 *
 * Each of these failures to load is a RELOAD_FAILED event with the trigger CERTRELOAD_TRIGGER_OPEN, after the first
 * RELOADED event; of more than CERTRELOAD_MAX_WAITING_EVENTS, the oldest are counted by the others, and all are in the
 * log. The files are read once. Those that are incomplete at that moment are loaded after their next change, poll or
 * request.
 *
 * Health is MISSING while an identity or the trust store has not been loaded; certreload_get_identity_status() and
 * certreload_get_trust_status() have the reason. As soon as the files can be used they are, without a restart, and
 * RELOADED reports that. From then on the unit is never given up again (G3). Until then certreload_reload_wait() returns
 * the reason. certreload_push_identity() brings an identity that is missing, by the order in which it was added.
 *
 * certreload_open() still fails if the options contradict each other, or if memory, threads or descriptors are not
 * available. certreload_check() returns the first file that cannot be used, whatever this option is.
 *
 * @param options  must not be NULL; changed
 * @param start    CERTRELOAD_START_STRICT (the default) or _AVAILABLE
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_start(certreload_options *options,
                                               certreload_start start);

/**
 * How changes are found.
 */
CERTRELOAD_ENUM(certreload_watch) {
  /**
   * By the kernel's notifications, and by polls for changes that cause none. The default.
   */
  CERTRELOAD_WATCH_AUTO = 0,
  /**
   * By polls alone: for file systems that cause no notifications (NFS, some overlays).
   */
  CERTRELOAD_WATCH_POLL = 1,
  /**
   * By no notification and no poll: files are scanned only for certreload_reload() and certreload_reload_wait().
   */
  CERTRELOAD_WATCH_OFF = 2,
};

/**
 * Sets how changes are found.
 *
 * Notifications cover the files, also if they are written through another hard link. They also cover the path to them:
 * symbolic links, the directories that hold a file or a link, and all directories above. Each of these may be moved,
 * replaced, removed or created. Some changes cause no notification, and only a poll finds them (G1). Examples are a
 * mount over the files, and a write on another machine or below a layered file system.
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
 * Sets how often the files are scanned for changes, with or without notifications.
 *
 * A poll follows the links and compares device, inode, size, mtime and ctime, which takes some microseconds per file.
 * It reads the bytes of a file only if one of these has changed, or if the comparison proves little. That is so if the
 * file changed in the last two seconds, is on a network or layered file system, or has an unresolved failure. Once a
 * minute a poll reads the bytes in any case. Requests always read the bytes.
 *
 * @param options      must not be NULL; changed
 * @param interval_ms  10 to 86400000 (a day), milliseconds; the default is 10000
 * @return             OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:          nothing changes hands
 * Threads:            exclusive access to options
 * Signals:            not async-signal-safe
 * Blocks:             never
 * Since:              0.1.0
 */
certreload_result certreload_options_set_poll_interval_ms(certreload_options *options,
                                                          uint32_t interval_ms);

/**
 * Sets the quiet time: how long files must be free of notifications before they are read (debounce).
 *
 * A burst of changes then results in one reload (G4). If a poll finds a change without a notification, the files are
 * read again after the quiet time. The change is accepted if both reads are the same. The same applies after a
 * directory on the way to the files was replaced, and to retries of incomplete files. Calls of the host wait for no
 * quiet time: certreload_open(), certreload_check(), certreload_push_identity(), certreload_reload() and
 * certreload_reload_wait().
 *
 * If the quiet time is longer than the incomplete-file timeout, certreload_open() and certreload_check() return
 * INVALID_PARAMETER.
 *
 * @param options   must not be NULL; changed
 * @param quiet_ms  0 to the incomplete-file timeout, milliseconds, at most 3600000 (an hour); the default is 50
 * @return          OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:       nothing changes hands
 * Threads:         exclusive access to options
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
certreload_result certreload_options_set_debounce_ms(certreload_options *options,
                                                     uint32_t quiet_ms);

/**
 * Sets the incomplete-file timeout: how long files that look incomplete are retried before they count as failed
 * (G4).
 *
 * These files look incomplete:
 *
 * - A file that is missing, empty or unreadable, or that changes while it is read.
 * - A file that cannot be used: PEM that is cut off or damaged, no certificate, no key or one that cannot be used, no
 *   revocation list, bad ticket keys.
 * - Files that do not fit together: a key that does not match its certificate, a password that is wrong, a certificate
 *   or list that was not signed by its issuer in the file, a name that is required and missing, a revocation list in
 *   use that is missing.
 *
 * If they still look so at the timeout, they have failed: RELOAD_FAILED is reported and the unit is STALE. An OCSP
 * response is an exception: without one that can be used, the chain is published at once, with a warning.
 *
 * A file that is still open for writing, and files that change without a pause, are read when the timeout has passed.
 *
 * A chain that is cut behind its leaf can be parsed. So these files look incomplete, too:
 *
 * - A chain that lacks the certificate of an issuer, where the chain in use has one.
 * - A chain without the certificate of the leaf's issuer, whose leaf has a URL of it (authorityInfoAccess).
 * - A file of roots that holds only the first of the certificates that the file in use has.
 *
 * Such content is published when it has not changed for the timeout: a chain with the warning CHAIN_INCOMPLETE, roots
 * as they are. Until then, the content in use is kept, and certreload_reload_wait() waits. While a process has such a
 * file open for writing, the time does not begin, but the wait ends after ten times the timeout. A process that needs
 * so long has most likely forgotten to close the file. A push is complete, and waits for nothing.
 *
 * The same time, but at least a second, is what a file system has to answer each system call (G21). After that a
 * RELOAD_FAILED event with TIMED_OUT names the path, and the unit (an identity, the trust store or the ticket keys) is
 * STALE; certreload_open() fails. When the file system answers, the unit is loaded: RELOADED or RECOVERED is reported,
 * and its health is as before. A key-password callback that runs for longer is reported in the same way.
 *
 * @param options     must not be NULL; changed
 * @param timeout_ms  0 to 3600000 (an hour), milliseconds; the default is 5000
 * @return            OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:         nothing changes hands
 * Threads:           exclusive access to options
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
certreload_result certreload_options_set_incomplete_timeout_ms(certreload_options *options,
                                                               uint32_t timeout_ms);

/**
 * Sets the warning window: how long before its notAfter a certificate counts as expiring.
 *
 * When the window begins, CERTRELOAD_EVENT_KIND_EXPIRING is reported, and health becomes EXPIRING. Without this call
 * the window is the last third of the certificate's lifetime, at most 30 days. That suits a certificate of six days as
 * well as one of a year. If a certificate's lifetime is shorter than the time that is set here, it counts as expiring
 * from its notBefore on.
 *
 * The window of a revocation list is the last tenth of the time from thisUpdate to nextUpdate, at most 30 days. If a
 * time is set here, that is the window, but at most a third of the time from thisUpdate to nextUpdate. The window of
 * an OCSP response is the last third of that time, at most 30 days, whatever is set here. 0 switches off all of these
 * warnings.
 *
 * @param options  must not be NULL; changed
 * @param seconds  before notAfter; 0 for no warning: then only the expiry itself is reported
 * @return         OK; NULL_PARAMETER
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_expiry_warning_seconds(certreload_options *options,
                                                                uint32_t seconds);

/**
 * The size of the buffer that a certreload_key_password_callback gets, in bytes.
 */
#define CERTRELOAD_MAX_KEY_PASSWORD 1024

/**
 * A function of the host that knows the passwords of encrypted private keys.
 *
 * It is called once for each new content of an identity whose key is encrypted. During an open, a check or a push it
 * runs on the calling thread. Later it runs when the files have changed: on a background thread of the library, or, with
 * CERTRELOAD_RUNTIME_HOST and no reader thread, on the thread that calls certreload_dispatch() or
 * certreload_reload_wait().
 *
 * key_path is the path of the key, made absolute, or memory:INDEX/key for a key in memory. The function writes the
 * bytes of the password to password_out, at most password_size (CERTRELOAD_MAX_KEY_PASSWORD) of them, writes their
 * number to *length_out, and returns true. The library wipes the buffer. Handles that are opened with the same options
 * may call the function at the same time.
 *
 * If it returns false, or a length that is too large, there is no password: the load fails with KEY_ENCRYPTED, and an
 * earlier version keeps serving. After a wrong password the files look incomplete, because key and password may be
 * replaced one after the other, and the function is called again at each retry
 * (certreload_options_set_incomplete_timeout_ms()). After both kinds of failure it is called again whenever the files
 * are read: at each poll, change and request. So it is after a failure for another reason than the bytes themselves,
 * such as a certificate that is not valid yet or lacks a required name.
 *
 * While the function runs on a background thread, the reload of the identity with that key waits for it, and so does
 * certreload_close() of the handle. Nothing else does (G21). At most four run at once, and other keys wait for these.
 * The function must not call a certreload function, throw, longjmp out or end its thread (pthread_exit()).
 */
typedef bool (*certreload_key_password_callback)(void *userdata,
                                                 const char *key_path,
                                                 char *password_out,
                                                 size_t password_size,
                                                 size_t *length_out);

/**
 * Sets the function that knows the passwords of encrypted private keys. It replaces a password file that was set.
 *
 * There is one function for all keys of the options. If the keys have different passwords, the function selects by
 * key_path.
 *
 * @param options        must not be NULL; changed
 * @param callback       NULL for no password at all: neither from a function nor from a file
 * @param userdata       passed to each call; must stay valid until userdata_free is called. Without it: until
 *                       the options are freed and every handle that was opened with them is closed
 * @param userdata_free  may be NULL; see certreload_userdata_free
 * @return               OK; NULL_PARAMETER
 * Ownership:            on OK the library owns userdata if there is a userdata_free; on failure the caller keeps it
 * Threads:              exclusive access to options; certreload_key_password_callback says where the callback runs
 * Signals:              not async-signal-safe
 * Blocks:               never
 * Since:                0.1.0
 */
certreload_result certreload_options_set_key_password_callback(certreload_options *options,
                                                               certreload_key_password_callback callback,
                                                               void *userdata,
                                                               certreload_userdata_free userdata_free);

/**
 * Sets the file with the password of encrypted private keys. It replaces a password callback that was set.
 *
 * There is one password for all keys of the options; for several, set a callback instead. The password is the first
 * line of the file, without its newline (LF or CRLF). The file is part of each identity whose key is encrypted. It is
 * read together with the key, and if it changes, these identities are reloaded.
 *
 * @param options  must not be NULL; changed
 * @param path     NULL for no password at all, neither from a file nor from a function; must not be ""; any bytes,
 *                 UTF-8 or not; copied. A relative path refers to the working directory at the time of open
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER if the path is empty
 * Ownership:      strings are copied
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_key_password_file(certreload_options *options,
                                                           const char *path);

/**
 * Returns the first failure that the options remember, for a host that handles failures before it opens a handle.
 *
 * This call is never necessary: certreload_open() and certreload_check() return the same failure.
 *
 * @param options  must not be NULL; borrowed for the call
 * @return         OK if no certreload_options_* function has failed on these options; NULL_PARAMETER if options is
 *                 NULL; else the result of the first function that failed, with its message in
 *                 certreload_last_error()
 * Ownership:      options stay the caller's
 * Threads:        any thread, concurrently, while no thread changes options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_error(const certreload_options *options);

/**
 * Forgets the latest failure that the options remember, so that they can be opened without the setting that failed.
 *
 * For a host that can run without that setting, or has another value for it: call this function right after the one
 * that failed. Every setting is as it was before that call. Earlier failures stay remembered, because a failure that
 * the host has not handled could open a weaker server (G22).
 *
 * @param options  must not be NULL; changed
 * @return         the result that is forgotten, with its message in certreload_last_error(); OK if there was no
 *                 failure; NULL_PARAMETER if options is NULL
 * Ownership:      options stay the caller's
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_clear_error(certreload_options *options);

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
   * The server asks for no client certificate. The default.
   */
  CERTRELOAD_CLIENT_AUTH_NONE = 0,
  /**
   * The server asks, and also serves a client without a certificate. A client whose certificate fails verification
   * is refused.
   */
  CERTRELOAD_CLIENT_AUTH_OPTIONAL = 1,
  /**
   * The server asks, and refuses a client without a certificate, or whose certificate fails verification.
   */
  CERTRELOAD_CLIENT_AUTH_REQUIRED = 2,
};

/**
 * Rule: only the peer's own certificate is looked up in the revocation lists, not the certificates of the authorities
 * above it.
 */
#define CERTRELOAD_CRL_LEAF_ONLY 1

/**
 * Rule: a certificate that no revocation list of its issuer covers is accepted.
 */
#define CERTRELOAD_CRL_ALLOW_UNKNOWN 2

/**
 * Rule: a revocation list whose nextUpdate has passed is still used, with a warning. Revocations since then are
 * unknown.
 */
#define CERTRELOAD_CRL_ALLOW_EXPIRED 4

/**
 * The largest file of roots or revocation lists that is read, in bytes.
 */
#define CERTRELOAD_MAX_TRUST_FILE_SIZE 33554432

/**
 * The largest size of all files of a trust store together, in bytes.
 */
#define CERTRELOAD_MAX_TRUST_SIZE 67108864

/**
 * The most files of a directory that are read; certreload_options_add_crl() says which are, by their names. The
 * directory may have ten times as many files of any name.
 */
#define CERTRELOAD_MAX_DIRECTORY_FILES 1000

/**
 * The most roots for clients, and the most roots for servers.
 */
#define CERTRELOAD_MAX_ROOTS 10000

/**
 * The most revocation lists of a handle, in all files together.
 */
#define CERTRELOAD_MAX_CRLS 1000

/**
 * The most paths that certreload_options_add_crl() accepts.
 */
#define CERTRELOAD_MAX_CRL_PATHS 1000

/**
 * Asks clients for certificates, and checks them against roots that reload.
 *
 * The roots are one file (PEM, or DER of one certificate) or a directory of such files. certreload_options_add_crl()
 * says which files of a directory are read. Every certificate in them is a trust anchor. A handle has one trust store:
 * the roots of clients, the roots of servers, the revocation lists and the mode. The trust store is accepted or
 * rejected as a whole. After a root was removed and the new generation is current, clients under that root are
 * refused, also if they resume a session (G13). Existing connections stay. If the removed roots were the last of their
 * file, the file may be half-written, so the generation comes after the incomplete-file timeout
 * (certreload_options_set_incomplete_timeout_ms()).
 *
 * rustls_connection_get_peer_certificate() returns the client's certificate, as usual. The trust store replaces the
 * client verifier of a template (certreload_options_set_server_template()). certreload_options_set_resumption()
 * describes what happens to the template's sessions.
 *
 * @param options     must not be NULL; changed
 * @param mode        CERTRELOAD_CLIENT_AUTH_NONE (the default), _OPTIONAL or _REQUIRED
 * @param roots_path  a file or a directory; ignored with NONE; else must not be NULL or ""; copied. A relative path
 *                    refers to the working directory at the time of open
 * @return            OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:         strings are copied
 * Threads:           exclusive access to options
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
certreload_result certreload_options_set_client_auth(certreload_options *options,
                                                     certreload_client_auth mode,
                                                     const char *roots_path);

/**
 * Sets whether the server sends the subject names of its client roots to clients (certificate_authorities, RFC 8446
 * section 4.2.4).
 *
 * Clients with several certificates choose by these names. Without them, such a client may show a certificate of an
 * authority that is not trusted, and is refused. The names of all roots must fit in 64 KiB, which is enough for some
 * hundreds of roots: more are a failure (TOO_MANY_CERTIFICATES), unless no names are sent.
 *
 * @param options  must not be NULL; changed
 * @param enabled  true to send the names; that is the default
 * @return         OK; NULL_PARAMETER
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_authority_names(certreload_options *options,
                                                         bool enabled);

/**
 * Adds the client role, for connections to servers: the servers are checked against roots that reload.
 *
 * certreload_client_connection_new() then creates such connections. The client shows the identity of
 * certreload_options_add_client_identity(), else the first identity of all, if its extended key usage allows that.
 * One handle can be used for a server and a client. A handle with roots of servers needs no identity.
 *
 * @param options     must not be NULL; changed
 * @param roots_path  a file or a directory, as for certreload_options_set_client_auth(); must not be NULL or "";
 *                    copied
 * @return            OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:         strings are copied
 * Threads:           exclusive access to options
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
certreload_result certreload_options_set_server_roots(certreload_options *options,
                                                      const char *roots_path);

/**
 * Sets the roots that servers are checked against to those of the operating system. The handle reloads them, too.
 *
 * They are the file that the environment variable SSL_CERT_FILE names at the time of this call, even if it does not
 * exist. If that variable is not set, they are the bundle of the distribution ("/etc/ssl/certs/ca-certificates.crt"
 * and similar paths). If there is no bundle, they are the directory that SSL_CERT_DIR names, else the distribution's
 * directory. On Linux rustls_platform_server_cert_verifier() of rustls-ffi uses the same roots. This function and
 * certreload_options_set_server_roots() replace each other's roots: the last call counts.
 *
 * A process that has more rights than the user who started it (set-user-ID, set-group-ID, file capabilities) ignores
 * both variables, as OpenSSL does with secure_getenv(). That user must not choose the roots that the process trusts.
 *
 * @param options  must not be NULL; changed
 * @return         OK; NULL_PARAMETER; FILE_NOT_FOUND if the system has no roots. A host that has other roots for
 *                 that case calls certreload_options_clear_error()
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options; no thread changes the environment (setenv()) during the call
 * Signals:        not async-signal-safe
 * Blocks:         file lookups
 * Since:          0.1.0
 */
certreload_result certreload_options_set_platform_roots(certreload_options *options);

/**
 * Adds revocation lists (RFC 5280 section 5): a file of them, or a directory of such files.
 *
 * A file is PEM with any number of lists, or DER with one. In a directory only files with certain names are read.
 * They end in ".pem", ".der" or ".crl" (of roots: ".pem", ".der", ".crt" or ".cer"), or have the form that OpenSSL's
 * rehash gives to links ("5ad8a5d6.r0", of roots "5ad8a5d6.0"). Hidden files and subdirectories are ignored.
 *
 * A change of the lists is rejected, and the whole trust store stays as it was, in four cases. A list is not signed
 * with the key of its issuer, whose certificate is a root or otherwise known (CRL_SIGNATURE). A list is older than one
 * that has been in use since open (CRL_ROLLBACK). A new list has expired already, and CERTRELOAD_CRL_ALLOW_EXPIRED is
 * not set (CRL_EXPIRED). A list in use is gone while its root is trusted (CRL_LOST). If an issuer has several lists,
 * the newest is used.
 *
 * The list of an intermediate is checked with the intermediate's certificate. The library finds that certificate in
 * the same CRL file (or directory), or in the chain of one of the handle's own identities. It does not become a root.
 * If it is in neither place, the list is accepted with a warning (CERTRELOAD_WARNING_CRL_UNRELATED). Its signature is
 * then checked when a peer shows that intermediate.
 *
 * The list of an intermediate must not be removed before its nextUpdate has passed (CRL_LOST). Afterwards its removal
 * causes only a warning (CERTRELOAD_WARNING_CRL_LOST). This holds even after a root was removed, because the library
 * does not know under which root an intermediate is. So leave such a list in place until it has expired.
 *
 * The lists apply to clients and servers alike, with one exception. An authority may be a root for clients only or for
 * servers only. Unless it is also known as an intermediate, its list then does not affect the other side.
 *
 * certreload_options_set_crl_rules() sets which certificates are looked up, and whether one without a list is
 * accepted. Without any list nothing is looked up. If there are lists, a root without one causes a warning
 * (CERTRELOAD_WARNING_CRL_MISSING). Lists without roots are a mistake: open returns INVALID_PARAMETER.
 *
 * @param options   must not be NULL; changed
 * @param crl_path  a file or a directory; must not be NULL or ""; copied
 * @return          OK; NULL_PARAMETER; INVALID_PARAMETER, also if CERTRELOAD_MAX_CRL_PATHS have been added
 * Ownership:       strings are copied
 * Threads:         exclusive access to options
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
certreload_result certreload_options_add_crl(certreload_options *options,
                                             const char *crl_path);

/**
 * Sets how revocation lists are applied.
 *
 * The default, 0, is strict, as in OpenSSL, nginx and haproxy. Each certificate of the peer's chain is looked up. A
 * certificate whose issuer has no list is refused, and so is one whose issuer's list has expired.
 *
 * @param options  must not be NULL; changed
 * @param rules    CERTRELOAD_CRL_LEAF_ONLY, _ALLOW_UNKNOWN and _ALLOW_EXPIRED, or'ed; 0 for none of them
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER if a rule does not exist
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_crl_rules(certreload_options *options,
                                                   uint32_t rules);

/**
 * Adds the identity that a client shows: a certificate chain and its private key.
 *
 * The identity is not used for the server, and its extended key usage must allow clientAuth. Identities of both kinds
 * have their index in the order in which they are added. If there are several client identities, the client shows the
 * first. Without certreload_options_set_server_roots() a client identity is a mistake: open returns INVALID_PARAMETER.
 *
 * @param options     must not be NULL; changed
 * @param chain_path  as for certreload_options_add_identity()
 * @param key_path    likewise
 * @return            OK; NULL_PARAMETER; INVALID_PARAMETER if a path is empty, or if CERTRELOAD_MAX_IDENTITIES are
 *                    in the options already
 * Ownership:         strings are copied
 * Threads:           exclusive access to options
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
certreload_result certreload_options_add_client_identity(certreload_options *options,
                                                         const char *chain_path,
                                                         const char *key_path);

/**
 * Sets an existing client configuration as the template of every generation: only identity, server verifier and
 * sessions are the handle's.
 *
 * Cipher suites, versions, ALPN, SNI and key log stay as the template has them. If there is no identity that the
 * client may show, the template's own client certificate is used, too.
 *
 * @param options  must not be NULL; changed
 * @param config   must not be NULL; a configuration of rustls_client_config_builder_build(); reference-counted
 * @return         OK; NULL_PARAMETER
 * Ownership:      the library keeps a reference; the caller frees its own with rustls_client_config_free() as usual
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_client_template(certreload_options *options,
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
   * Sessions that began under the same trust store, and with a name that is still served. They end six hours after
   * their last use, in TLS 1.2 six hours after the full handshake. A renewed certificate, key, chain or staple, or
   * an added name, ends no session (G14). The default.
   */
  CERTRELOAD_RESUMPTION_AUTO = 0,
  /**
   * Sessions that began under the current generation: every reload ends all sessions.
   */
  CERTRELOAD_RESUMPTION_ALWAYS_RESET = 1,
  /**
   * None: each handshake is a full one.
   */
  CERTRELOAD_RESUMPTION_OFF = 2,
};

/**
 * Sets which sessions are resumed, by the server with its clients, and by the client role with its servers.
 *
 * A server sends the state of a session to the client as an encrypted ticket (RFC 5077, RFC 8446 section 4.6.1). The
 * keys that encrypt tickets are drawn at random and replaced every six hours, or come from
 * certreload_options_set_ticket_keys(). For a TLS 1.2 client that does not support tickets, the server stores the
 * session in memory under a session id. The conditions for tickets below hold for such a session, too, but no other
 * process can resume it.
 *
 * A ticket is bound to the trust store under which it was issued. After any change of roots, revocation lists or
 * client authentication mode, the ticket is not accepted (G13). A ticket also ends when the first certificate of the
 * client's chain expires. Unless CERTRELOAD_CRL_ALLOW_EXPIRED is set, it ends when the first revocation list expires,
 * too. The same holds for sessions of the client role.
 *
 * A ticket is also bound to a name. If an identity has the name that the client asks for, the ticket is valid as
 * long as an identity has that name. If the client sends no name, or one that no identity has, the default identity
 * answers. Then the ticket is valid as long as the default identity has the first name that it had at the time. A
 * certificate without names is identified by its subject, and one without a subject by its public key.
 *
 * A ticket is valid for six hours. A client that resumes a session gets a new ticket, so resumption can follow
 * resumption without a full handshake. In TLS 1.2 the new ticket ends when the first does, six hours after the full
 * handshake, because the secret of the session stays the same. In TLS 1.3 the new ticket is valid for six hours, too,
 * because each resumption agrees on fresh keys. Such a series ends when a ticket has ended or is not accepted, for the
 * reasons above, or with certreload_invalidate_sessions().
 *
 * If the client showed certificates, they must be verified again at least once a week (RFC 8446 section 4.6.1). So in
 * TLS 1.3 a series of resumptions ends at a weekly time that depends on the client's chain. That is the time at which
 * (now + SHA-256(chain) mod 604800) / 604800, rounded down, changes; now is in seconds since 1970-01-01 UTC. In the
 * last minute before that time the client's sessions are not resumed, so that no handshake lasts across it. This works
 * if handshakes take less than a minute. Without certificates there is nothing to verify again, so the series has no
 * limit of this kind. In the client role the server sets the limit.
 *
 * A process and the processes forked from it resume each other's sessions, although keys are drawn at random. The key
 * of each six hours is derived from two inputs: a secret of the handle, which forked processes inherit, and new
 * randomness in memory that these processes share. So a copy of one process's memory does not reveal future keys.
 * Processes that are started with posix_spawn(), system() or popen() do not share the keys.
 *
 * A template (certreload_options_set_server_template()) keeps its own session storage unless this function,
 * certreload_options_set_ticket_keys() or certreload_options_set_session_context() is called. All generations share
 * that storage, and it resumes sessions of names that are no longer served. With certreload_options_set_client_auth()
 * it would also resume sessions of clients that the trust store refuses now. So in that case the handle replaces the
 * default storage of rustls. A storage of the host (rustls_server_config_builder_set_persistence()) is then refused at
 * open, unless one of the three functions is called, which replaces it.
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
certreload_result certreload_options_set_resumption(certreload_options *options,
                                                    certreload_resumption resumption);

/**
 * Sets the file of ticket keys that several processes share, and that reloads.
 *
 * Processes and hosts behind one address that have the same file, and the same trust store, resume each other's
 * sessions. They also resume those of a process that was restarted. The first key encrypts; all keys decrypt. To
 * rotate, put a new key first and keep the old one behind it for six hours.
 *
 * The file holds keys of 48 or of 80 bytes, in the formats of nginx, Apache and haproxy. They are bytes, one key after
 * the other ("openssl rand 80 > keys"), or one line of base64 per key ("openssl rand -base64 48 > keys"). Tickets are
 * not compatible with those servers, because the keys that encrypt are derived from the keys in the file.
 *
 * Services that share the file resume only sessions of names that both serve; certreload_options_set_resumption()
 * describes clients that send no name. If names of separate services overlap, give each service its own
 * certreload_options_set_session_context().
 *
 * A file is refused if it is cut off or malformed (TICKET_KEYS_MALFORMED), holds a key twice (TICKET_KEY_REPEATED), or
 * may be read by every user (TICKET_KEYS_READABLE). At open that is a failure; later the previous keys stay in use.
 *
 * Forward secrecy: a key of the file decrypts recorded TLS 1.2 sessions whose tickets it encrypted. As long as the
 * key is in the file, an attacker who has the key can also impersonate the server to clients that resume. So keep the
 * file out of backups, preferably in memory (tmpfs), and rotate it daily;
 * certreload_options_set_ticket_key_lifetime_seconds() sets when a warning reports that this was forgotten. A TLS 1.2
 * session has one secret for its six hours, which any of its tickets reveals. Recorded TLS 1.3 sessions stay secret,
 * except for early data.
 *
 * @param options  must not be NULL; changed
 * @param path     must not be NULL or ""; copied. A relative path refers to the working directory at the time of
 *                 open
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:      strings are copied
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_ticket_keys(certreload_options *options,
                                                     const char *path);

/**
 * Sets after how long a key of the ticket key file should be replaced. It encrypts for at most twice that time.
 *
 * The time counts from the creation of the key. In a base64 file a comment line before a key gives its date, in UTC:
 * "# certreload-created: 2026-11-30T06:00:00Z". A date that cannot be parsed is refused (TICKET_KEYS_MALFORMED).
 * Without such a line, the date is the mtime that the file had when this handle first loaded the key; a later mtime
 * does not make the key newer. If that mtime is in the future or before 2020, which container images set on every
 * file, the date is the time of that load. So if a file is copied without its mtime and the process restarts, the key
 * counts as new.
 *
 * When the time is over, CERTRELOAD_EVENT_KIND_EXPIRING is reported with CERTRELOAD_WARNING_TICKET_KEY_OLD, and
 * health is EXPIRING. After twice the time the key encrypts no more, and EXPIRED is reported. No tickets are issued
 * until another key is first in the file. Connections succeed, but with full handshakes.
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
certreload_result certreload_options_set_ticket_key_lifetime_seconds(certreload_options *options,
                                                                     uint32_t seconds);

/**
 * Separates sessions from those of other services, as SSL_CTX_set_session_id_context() of OpenSSL does.
 *
 * A ticket is bound to the context. Handles with different contexts never resume each other's sessions, even if they
 * share a ticket key file and serve the same names. The same holds for a handle with a context and one without.
 * Handles with the same context, in other processes or after a restart, resume each other's sessions as usual.
 *
 * @param options  must not be NULL; changed
 * @param context  must not be NULL; 1 to 255 bytes of any value; copied. Without this call there is no context
 * @param size     the number of bytes. 0 is refused, because an empty context would separate nothing
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:      bytes are copied
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_session_context(certreload_options *options,
                                                         const void *context,
                                                         size_t size);

/**
 * Ends every session at once, for example after a ticket key has leaked.
 *
 * No session that began before this call is resumed, neither as a server nor as a client. That applies to every
 * generation and configuration of this handle, including those acquired before. Existing connections continue. Keys
 * drawn at random are replaced.
 *
 * The library cannot replace the keys of a ticket key file. It refuses the keys that it has loaded so far (the latest
 * 4096) as long as the handle is open, also in another file. There are no tickets until the file holds other keys. So
 * first call this function, and then rotate the file.
 *
 * If a template keeps a session storage of the host, the library cannot empty that storage, so the host must.
 *
 * The call affects this process and the processes that it forks later. These continue to resume each other's sessions,
 * but no longer those of the parent and of other processes with the inherited handle. So call this function in each
 * forked process, and on each host that shares the keys. A process that starts later accepts whatever is in the file.
 *
 * @param handle  must not be NULL
 * @return        OK; NULL_PARAMETER; SYSTEM if there is no randomness for new keys; CLOSED
 * Ownership:     nothing changes hands
 * Threads:       any thread, concurrently; also inside a callback
 * Signals:       not async-signal-safe
 * Blocks:        while another thread is in fork(), for a second at most
 * Since:         0.1.0
 */
certreload_result certreload_invalidate_sessions(certreload_handle *handle);

/* ==============================================================================================
 * Fork and event loops
 *
 * For hosts that fork, or that do the work on their own threads.
 * ============================================================================================== */

/**
 * Restores an inherited handle in a forked child: watching, requests and events work there again (G11).
 *
 * Without this call the handle serves in the child and does nothing else. With it the child continues by itself,
 * from the generation that was current at the fork. It has the handle's options, callback and required names, and
 * its own background threads. With CERTRELOAD_RUNTIME_HOST it has no thread: ask for certreload_event_fd() again.
 * All files are scanned at once, so that no change since the fork is missed. Events that wait in the parent stay
 * there. The counts in the status begin at 0. If a certificate is expiring or has expired, that is reported in the
 * child too.
 *
 * A child that may not read the files, because it drops its privileges, calls certreload_push_identity() right after
 * this function. An identity that was pushed is no longer read from files.
 *
 * Call this function in each child, for each handle that is to reload there. A child of the child that inherits the
 * handle calls it as well.
 *
 * @param handle  must not be NULL
 * @return        OK, also if there is nothing to do: in the process that opened the handle, and after the first
 *                call; NULL_PARAMETER; SYSTEM if no thread or descriptor is available: the handle keeps serving, and
 *                the call can be repeated
 * Ownership:     the handle stays the caller's. From here on parent and child share nothing of it but the random seeds
 *                of ticket keys (certreload_options_set_resumption())
 * Threads:       in the child, before its other threads use the handle (a fork leaves one thread)
 * Signals:       not async-signal-safe; not between vfork() and exec
 * Blocks:        never for long: reads no certificate
 * Since:         0.1.0
 */
certreload_result certreload_after_fork(certreload_handle *handle);

/**
 * Which threads do the work: they read files that changed, and deliver events.
 */
CERTRELOAD_ENUM(certreload_runtime) {
  /**
   * Background threads of the library, one set for the process. The default.
   */
  CERTRELOAD_RUNTIME_THREAD = 0,
  /**
   * The host's own threads: they wait for certreload_event_fd() and call certreload_dispatch().
   */
  CERTRELOAD_RUNTIME_HOST = 1,
};

/**
 * Sets which threads read changed files and deliver events.
 *
 * With CERTRELOAD_RUNTIME_HOST and without certreload_options_set_reader_thread() the library creates no thread, not
 * even for a moment (G10). A change is then found when
 * the host calls certreload_dispatch(). A call that reads files blocks while their file system does not answer:
 * certreload_options_set_reader_thread() avoids that. Everything else is as with CERTRELOAD_RUNTIME_THREAD.
 *
 * With CERTRELOAD_RUNTIME_THREAD a file system that does not answer delays only the units with files on it (G21). More
 * threads run while reads are stuck: one for each such mount, at most 16, and one that reads for the others. Units on
 * further mounts that do not answer fail with TIMED_OUT without being read.
 *
 * Descriptors: with CERTRELOAD_RUNTIME_THREAD a handle has none, and one from its first certreload_event_fd() on.
 * The descriptors of the background threads exist once for the process. With CERTRELOAD_RUNTIME_HOST each handle has
 * 5 descriptors, and all these handles share one inotify instance.
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
certreload_result certreload_options_set_runtime(certreload_options *options,
                                                 certreload_runtime runtime);

/**
 * Sets whether files are read on a thread of the library although the host runs everything else.
 *
 * With CERTRELOAD_RUNTIME_HOST, a file system that does not answer (NFS, FUSE) would block the call that reads:
 * certreload_open(), certreload_check(), certreload_dispatch() or certreload_reload_wait(). With a reader thread,
 * certreload_dispatch() waits for each read for 50 milliseconds at most and continues without that unit. The descriptor of
 * certreload_event_fd() is readable when the files have been read. The other calls wait for the answer of the file
 * system, at most for the time that certreload_options_set_incomplete_timeout_ms() describes, and then fail with
 * TIMED_OUT.
 *
 * The thread exists while files are read and for 100 milliseconds longer, and blocks all signals. While mounts hang
 * there are more threads, as with CERTRELOAD_RUNTIME_THREAD. A key-password callback runs on it, except during an open,
 * a check or a push. Without CERTRELOAD_RUNTIME_HOST this setting changes nothing, because there files are always read
 * apart.
 *
 * @param options  must not be NULL; changed
 * @param enabled  true for a reader thread; the default is false
 * @return         OK; NULL_PARAMETER
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_reader_thread(certreload_options *options,
                                                       bool enabled);

/**
 * Returns a descriptor to wait for in an event loop.
 *
 * It is readable, and stays so (level-triggered), as long as events wait for certreload_next_event(). With
 * CERTRELOAD_RUNTIME_HOST it is also readable as long as certreload_dispatch() has work. Such work is a request, a
 * change of the files, an event for the callback, or a poll, retry or expiry that is due. Use the descriptor with
 * epoll, poll or select, or with a library that is built on them. Do not read from it. EPOLLET works too, if the host
 * answers each wake-up with certreload_dispatch() (with CERTRELOAD_RUNTIME_HOST) and with certreload_next_event()
 * until that returns NO_EVENT.
 *
 * Without a callback the library keeps only the newest event of each kind, until it knows that the host takes events.
 * From then on it keeps CERTRELOAD_MAX_WAITING_EVENTS events. With CERTRELOAD_RUNTIME_THREAD this function shows that
 * the host takes events. With CERTRELOAD_RUNTIME_HOST the first certreload_next_event() shows it, so that a host that
 * only dispatches is not woken for events. A host that has called certreload_next_event() once must continue to call
 * it, or the descriptor stays readable. If a callback is set, events go to the callback.
 *
 * @param handle  must not be NULL; opened in this process, or restored by certreload_after_fork()
 * @return        the descriptor, the same each time until certreload_after_fork(). On failure -1, with the reason in
 *                certreload_last_error(): no descriptor is available, handle is NULL, the handle is being closed
 *                (CLOSED), or it was inherited and not restored (FORKED)
 * Ownership:     the library's: remove it from the event loop before certreload_close(), which closes it
 * Threads:       any thread, concurrently
 * Signals:       not async-signal-safe
 * Blocks:        never for long: the first call waits for a fork() of another thread, at most a second
 * Since:         0.1.0
 */
int certreload_event_fd(certreload_handle *handle);

/**
 * Takes the next event, for a host that has set no callback. Events come in the order in which they happened.
 *
 * @param handle     must not be NULL
 * @param event_out  must not be NULL; written only on OK
 * @return           OK; NO_EVENT if none is waiting, or if a callback is set, which gets them; NULL_PARAMETER;
 *                   CLOSED
 * Ownership:        borrowed: valid until this thread takes another event, of any handle, or ends; also after the
 *                   handle is closed
 * Threads:          any thread, concurrently: each event is returned to one thread only
 * Signals:          not async-signal-safe
 * Blocks:           never
 * Since:            0.1.0
 */
certreload_result certreload_next_event(certreload_handle *handle,
                                        const certreload_event **event_out);

/**
 * Does the pending work of a handle on this thread, for CERTRELOAD_RUNTIME_HOST.
 *
 * The function scans changed files, and publishes a new generation if they are valid. Then it calls the event
 * callback, if one is set, for the events that wait. One call does the most urgent scan; if more work is due, the
 * descriptor stays readable. From inside the event callback the function scans and publishes, and delivers no event.
 *
 * @param handle  must not be NULL; opened with CERTRELOAD_RUNTIME_HOST, in this process or restored by
 *                certreload_after_fork()
 * @return        OK, also if there is nothing to do; NULL_PARAMETER; INVALID_PARAMETER if the handle was opened with
 *                CERTRELOAD_RUNTIME_THREAD; FORKED; CLOSED; WOULD_DEADLOCK inside a password or log callback that
 *                this handle's work called
 * Ownership:     the handle stays the caller's
 * Threads:       any thread; concurrent calls wait for each other, so use one
 * Signals:       not async-signal-safe
 * Blocks:        while files are read and identities are checked: some milliseconds for each that changed; and as
 *                long as the event callback runs
 * Since:         0.1.0
 */
certreload_result certreload_dispatch(certreload_handle *handle);

/* ==============================================================================================
 * Other TLS stacks
 *
 * Adapters, such as certreload_openssl.h, and what TLS stacks other than rustls need.
 * ============================================================================================== */

/**
 * Which TLS stack uses a handle, besides those of adapters.
 */
CERTRELOAD_ENUM(certreload_tls) {
  /**
   * rustls, through rustls-ffi. The default.
   */
  CERTRELOAD_TLS_RUSTLS = 0,
  /**
   * None in this library: adapters, or the host itself.
   */
  CERTRELOAD_TLS_NONE = 1,
};

/**
 * Sets whether the handle makes configurations of rustls.
 *
 * With CERTRELOAD_TLS_NONE there are none: the adapters alone serve what the handle loads, and decide which keys can
 * be used. An identity is loaded although rustls does not know its kind of key (Brainpool, RSA-PSS, Ed448, RSA of 1024
 * bits). If its key file contains the public key, that must be the certificate's. The handshakes of the self-check
 * are left out, because the adapters have their own (G16).
 *
 * Functions that need a configuration of rustls return NOT_CONFIGURED or NULL, such as
 * certreload_server_connection_new(). Templates and ALPN protocols are settings of rustls: certreload_open() then
 * returns INVALID_PARAMETER. Adapters also work with CERTRELOAD_TLS_RUSTLS, if rustls can use the keys.
 *
 * @param options  must not be NULL; changed
 * @param tls      CERTRELOAD_TLS_RUSTLS (the default) or _NONE
 * @return         OK; NULL_PARAMETER; INVALID_PARAMETER
 * Ownership:      nothing changes hands
 * Threads:        exclusive access to options
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
certreload_result certreload_options_set_tls(certreload_options *options,
                                             certreload_tls tls);

/**
 * Lets the host read the private keys, for a TLS stack that has no adapter: see certreload_identity_key_der().
 *
 * Adapters get the keys without this option.
 *
 * @param options      must not be NULL; changed
 * @param export_keys  true to allow it; false, the default, to refuse it
 * @return             OK; NULL_PARAMETER
 * Ownership:          nothing changes hands
 * Threads:            exclusive access to options
 * Signals:            not async-signal-safe
 * Blocks:             never
 * Since:              0.1.0
 */
certreload_result certreload_options_set_export_keys(certreload_options *options,
                                                     bool export_keys);

/**
 * What an adapter answers about a unit.
 */
CERTRELOAD_ENUM(certreload_prepare) {
  /**
   * The unit can be served, and is prepared.
   */
  CERTRELOAD_PREPARE_OK = 0,
  /**
   * The key does not match the certificate, as far as this TLS stack knows. The files may be half written, so they
   * are read again until the incomplete-file timeout.
   */
  CERTRELOAD_PREPARE_INCOMPLETE = 1,
  /**
   * The TLS stack cannot serve the unit. It is not published; what is served stays.
   */
  CERTRELOAD_PREPARE_REFUSED = 2,
};

/**
 * The most adapters of one handle.
 */
#define CERTRELOAD_MAX_ADAPTERS 8

/**
 * The size of the buffer in which an adapter says why it has not prepared a unit, in bytes.
 */
#define CERTRELOAD_MAX_ADAPTER_REASON 512

/**
 * An adapter: it makes the objects of another TLS stack from identities and trust stores, before these are published.
 *
 * A prepared object belongs to one version of a unit. It is made once, all generations with that version share it, and
 * it is dropped with the last of them. So a handshake parses nothing, and a renewal of one identity prepares one.
 *
 * The prepare functions of a handle are called one at a time, in certreload_add_adapter() and on the thread that
 * reloads. They may read the candidate, which is not published yet, and must not keep it. They may call functions that
 * do not wait for the handle; others return WOULD_DEADLOCK. They must not throw or longjmp out.
 *
 * Begin with a struct of zeros. It may grow at the end, so certreload_add_adapter() takes its size.
 */
typedef struct certreload_adapter {
  /**
   * The name of the TLS stack, for messages, such as "OpenSSL 3.0.17"; must not be NULL; copied.
   */
  const char *name;
  /**
   * Prepares an identity; must not be NULL. key_der is the private key in PKCS#8, or as its file has it if that is
   * another format; it is wiped after the last use of the identity, and must not be kept. The object goes to
   * *prepared_out, and may be NULL. Unless the result is OK, `why` gets the reason as a C string; why_size is
   * CERTRELOAD_MAX_ADAPTER_REASON.
   */
  certreload_prepare (*prepare_identity)(void *userdata,
                                         const certreload_identity *candidate,
                                         const uint8_t *key_der,
                                         size_t key_der_size,
                                         void **prepared_out,
                                         char *why,
                                         size_t why_size);
  /**
   * Prepares a trust store in the same way. NULL if the adapter needs none.
   */
  certreload_prepare (*prepare_trust)(void *userdata,
                                      const certreload_trust_store *candidate,
                                      void **prepared_out,
                                      char *why,
                                      size_t why_size);
  /**
   * Frees an object of prepare_identity. NULL if there is nothing to free. It is called once for each object that is
   * not NULL, on the thread that releases the last use, also after the handle was closed.
   */
  void (*drop_identity)(void *prepared);
  /**
   * Frees an object of prepare_trust in the same way.
   */
  void (*drop_trust)(void *prepared);
  /**
   * Passed to the prepare functions; used until certreload_close() returns.
   */
  void *userdata;
} certreload_adapter;

/**
 * Adds an adapter to a handle.
 *
 * The adapter prepares all that is served now, and from then on each new version of a unit before it is published. If
 * it refuses something now, it is not added, and nothing changes. Every generation that is acquired after this
 * function has returned has the objects of the adapter.
 *
 * An adapter with the same functions and userdata is added once: the function then returns the same slot. Adapters
 * stay until the handle is closed. Forked processes inherit them with the objects that are prepared, so add adapters
 * before a server forks.
 *
 * @param handle        must not be NULL; opened in this process, or restored by certreload_after_fork()
 * @param adapter       must not be NULL; copied
 * @param adapter_size  sizeof(certreload_adapter) of the header that the program was compiled with
 * @param slot_out      must not be NULL; written only on OK: the number for certreload_identity_prepared()
 * @return              OK; NULL_PARAMETER; INVALID_PARAMETER if the handle has CERTRELOAD_MAX_ADAPTERS, or
 *                      adapter_size is wrong; KEY_MISMATCH or ADAPTER_REFUSED if a unit cannot be prepared; FORKED;
 *                      CLOSED; WOULD_DEADLOCK. certreload_last_error() has path and reason
 * Ownership:           the functions must stay loaded until the last object is dropped; userdata is the caller's
 * Threads:             any thread, concurrently; also inside an event callback
 * Signals:             not async-signal-safe
 * Blocks:              while units are prepared, or the handle's files are being read
 * Since:               0.1.0
 */
certreload_result certreload_add_adapter(certreload_handle *handle,
                                         const certreload_adapter *adapter,
                                         size_t adapter_size,
                                         uint32_t *slot_out);

/**
 * Returns the object that an adapter has prepared from an identity.
 *
 * @param identity  must not be NULL
 * @param slot      the number of the adapter, from certreload_add_adapter() of this identity's handle
 * @return          the object; NULL if identity is NULL, the adapter has made none, or the slot does not exist
 * Ownership:       borrowed, until the generation is released
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never: no lock, no system call
 * Since:           0.1.0
 */
void *certreload_identity_prepared(const certreload_identity *identity,
                                   uint32_t slot);

/**
 * Returns the object that an adapter has prepared from a trust store.
 *
 * @param store  must not be NULL
 * @param slot   the number of the adapter, from certreload_add_adapter() of this trust store's handle
 * @return       the object; NULL if store is NULL, the adapter has made none, or the slot does not exist
 * Ownership:    borrowed, until the generation is released
 * Threads:      any thread, concurrently
 * Signals:      not async-signal-safe
 * Blocks:       never: no lock, no system call
 * Since:        0.1.0
 */
void *certreload_trust_store_prepared(const certreload_trust_store *store,
                                      uint32_t slot);

/**
 * Creates a view of a handle. Unlike the handle, it may be used after certreload_close().
 *
 * A TLS object that lives as long as the host likes can hold a view, and acquire the current generation in each
 * handshake.
 *
 * @param handle  must not be NULL
 * @return        the view; NULL if handle is NULL
 * Ownership:     the caller's, until certreload_view_free(); may outlive the handle
 * Threads:       any thread, concurrently
 * Signals:       not async-signal-safe
 * Blocks:        never
 * Since:         0.1.0
 */
const certreload_view *certreload_view_new(const certreload_handle *handle);

/**
 * Acquires the generation that is current at this moment, as certreload_generation_acquire() does.
 *
 * @param view  must not be NULL
 * @return      the generation; NULL if view is NULL. After the handle was closed, its last generation
 * Ownership:   reference-counted: release it with certreload_generation_release(); may outlive the view
 * Threads:     any thread, concurrently
 * Signals:     not async-signal-safe
 * Blocks:      never: no lock, no system call
 * Since:       0.1.0
 */
const certreload_generation *certreload_view_acquire(const certreload_view *view);

/**
 * Returns whether two views are of the same handle, also after that handle was closed.
 *
 * @param view   must not be NULL
 * @param other  must not be NULL
 * @return       true if they are; false if a pointer is NULL
 * Ownership:    nothing changes hands
 * Threads:      any thread, concurrently
 * Signals:      not async-signal-safe
 * Blocks:       never: no lock, no system call
 * Since:        0.1.0
 */
bool certreload_view_is_same(const certreload_view *view,
                             const certreload_view *other);

/**
 * Frees a view.
 *
 * @param view  may be NULL, then nothing happens; consumed
 * Ownership:   the pointer is dangling afterwards; generations that were acquired with it are not
 * Threads:     any thread; no other thread may use the view during or after the call
 * Signals:     not async-signal-safe
 * Blocks:      never
 * Since:       0.1.0
 */
void certreload_view_free(const certreload_view *view);

/**
 * The size of a session scope, in bytes.
 */
#define CERTRELOAD_SESSION_SCOPE_SIZE 32

/**
 * Returns whether every handshake must be refused, in both roles: a trust store is configured, and nothing has been
 * loaded for it (CERTRELOAD_START_AVAILABLE). A server without its trust store must not accept all clients.
 *
 * @param generation  must not be NULL
 * @return            true if handshakes must be refused, or generation is NULL
 * Ownership:         nothing changes hands
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
bool certreload_generation_refuses(const certreload_generation *generation);

/**
 * Returns the identities among which a server chooses for a client, by the kinds of keys that the client supports.
 *
 * These are all identities with the name: those with exactly this name, then those with a wildcard for it, and first
 * those that are valid now. A server with an ECDSA and an RSA certificate for one name has two. If no identity has the
 * name, they are all identities for servers, the default first. certreload_generation_select() returns the first.
 *
 * @param generation      must not be NULL
 * @param server_name     as in certreload_generation_select(): NULL or "" for a client that sends none
 * @param identities_out  must not be NULL, unless room is 0; an array of pointers, of which the first are written
 * @param room            how many pointers the array has
 * @param is_served_out   must not be NULL; whether an identity has the name
 * @return                how many were written; 0 if a pointer is NULL, or handshakes fail: no identity to serve has
 *                        been loaded, or no trust store
 * Ownership:             borrowed, until the generation is released
 * Threads:               any thread, concurrently
 * Signals:               not async-signal-safe
 * Blocks:                never
 * Since:                 0.1.0
 */
size_t certreload_generation_select_all(const certreload_generation *generation,
                                        const char *server_name,
                                        const certreload_identity **identities_out,
                                        size_t room,
                                        bool *is_served_out);

/**
 * Returns the identity that the client role presents: the one that was added for it, or else the first identity, if its
 * certificate allows client authentication.
 *
 * @param generation  must not be NULL
 * @return            the identity; NULL if generation is NULL, there is none, or handshakes must be refused
 * Ownership:         borrowed, until the generation is released
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
const certreload_identity *certreload_generation_client_identity(const certreload_generation *generation);

/**
 * Returns the trust store of a generation.
 *
 * @param generation  must not be NULL
 * @return            the trust store; NULL if generation is NULL, or none is configured. Also NULL if none has been
 *                    loaded: certreload_generation_refuses() is true then
 * Ownership:         borrowed, until the generation is released
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
const certreload_trust_store *certreload_generation_trust_store(const certreload_generation *generation);

/**
 * Returns what TLS sessions are bound to. A server resumes a session only if it began with the same bytes.
 *
 * They are the same for all generations, processes and servers with the same trust store for clients, client
 * authentication, revocation rules and session context. So a renewed certificate keeps sessions, and a removed root ends
 * them. certreload_invalidate_sessions() changes them for this process, also those of generations that exist.
 *
 * @param generation        must not be NULL
 * @param scope_out         must not be NULL; CERTRELOAD_SESSION_SCOPE_SIZE bytes; written only on OK
 * @param resume_until_out  must not be NULL; written only on OK: no session may be resumed from then on, in seconds
 *                          since 1970, because a revocation list expires; INT64_MAX if there is no such time
 * @return                  OK; NULL_PARAMETER; NOT_CONFIGURED if no session may be resumed at all
 *                          (CERTRELOAD_RESUMPTION_OFF)
 * Ownership:               the caller's buffers
 * Threads:                 any thread, concurrently
 * Signals:                 not async-signal-safe
 * Blocks:                  never
 * Since:                   0.1.0
 */
certreload_result certreload_generation_session_scope(const certreload_generation *generation,
                                                      uint8_t *scope_out,
                                                      int64_t *resume_until_out);

/**
 * Which peers are checked with roots.
 */
CERTRELOAD_ENUM(certreload_peers) {
  /**
   * Clients of this server.
   */
  CERTRELOAD_PEERS_CLIENTS = 0,
  /**
   * Servers that this host connects to.
   */
  CERTRELOAD_PEERS_SERVERS = 1,
};

/**
 * Returns whether a server with this trust store asks clients for certificates.
 *
 * @param store  must not be NULL
 * @return       CERTRELOAD_CLIENT_AUTH_NONE, _OPTIONAL or _REQUIRED; NONE if store is NULL
 * Ownership:    a number; nothing to free
 * Threads:      any thread, concurrently
 * Signals:      not async-signal-safe
 * Blocks:       never
 * Since:        0.1.0
 */
certreload_client_auth certreload_trust_store_client_auth(const certreload_trust_store *store);

/**
 * Returns the number of roots for clients, or for servers.
 *
 * @param store  must not be NULL
 * @param peers  CERTRELOAD_PEERS_CLIENTS or _SERVERS
 * @return       the number; 0 if store is NULL or peers is neither
 * Ownership:    a number; nothing to free
 * Threads:      any thread, concurrently
 * Signals:      not async-signal-safe
 * Blocks:       never
 * Since:        0.1.0
 */
size_t certreload_trust_store_root_count(const certreload_trust_store *store,
                                         certreload_peers peers);

/**
 * Returns the certificate of one root, in DER.
 *
 * Every root is an anchor, whether it is self-signed or not: no issuer of it is needed, and its dates do not count.
 *
 * @param store    must not be NULL
 * @param peers    CERTRELOAD_PEERS_CLIENTS or _SERVERS
 * @param index    0 to certreload_trust_store_root_count() - 1
 * @param len_out  must not be NULL; the length in bytes; 0 if NULL is returned
 * @return         the bytes; NULL if a pointer is NULL, peers is neither, or the index does not exist
 * Ownership:      borrowed, until the generation is released
 * Threads:        any thread, concurrently
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
const uint8_t *certreload_trust_store_root_der(const certreload_trust_store *store,
                                               certreload_peers peers,
                                               size_t index,
                                               size_t *len_out);

/**
 * Returns the number of revocation lists of a trust store, for peers of both kinds.
 *
 * @param store  must not be NULL
 * @return       the number; 0 if store is NULL
 * Ownership:    a number; nothing to free
 * Threads:      any thread, concurrently
 * Signals:      not async-signal-safe
 * Blocks:       never
 * Since:        0.1.0
 */
size_t certreload_trust_store_crl_count(const certreload_trust_store *store);

/**
 * Returns one revocation list, in DER.
 *
 * @param store    must not be NULL
 * @param index    0 to certreload_trust_store_crl_count() - 1
 * @param len_out  must not be NULL; the length in bytes; 0 if NULL is returned
 * @return         the bytes; NULL if a pointer is NULL or the index does not exist
 * Ownership:      borrowed, until the generation is released
 * Threads:        any thread, concurrently
 * Signals:        not async-signal-safe
 * Blocks:         never
 * Since:          0.1.0
 */
const uint8_t *certreload_trust_store_crl_der(const certreload_trust_store *store,
                                              size_t index,
                                              size_t *len_out);

/**
 * Returns the rules of certreload_options_set_crl_rules().
 *
 * @param store  must not be NULL
 * @return       CERTRELOAD_CRL_LEAF_ONLY, _ALLOW_UNKNOWN and _ALLOW_EXPIRED, or'ed; 0 if store is NULL
 * Ownership:    a number; nothing to free
 * Threads:      any thread, concurrently
 * Signals:      not async-signal-safe
 * Blocks:       never
 * Since:        0.1.0
 */
uint32_t certreload_trust_store_crl_rules(const certreload_trust_store *store);

/**
 * Returns whether a server sends the subject names of the roots to clients.
 *
 * @param store  must not be NULL
 * @return       true, unless certreload_options_set_authority_names() forbids it; false if store is NULL
 * Ownership:    nothing changes hands
 * Threads:      any thread, concurrently
 * Signals:      not async-signal-safe
 * Blocks:       never
 * Since:        0.1.0
 */
bool certreload_trust_store_sends_authority_names(const certreload_trust_store *store);

/* ==============================================================================================
 * Introspection
 *
 * A consistent view of what is served: generations and identities.
 * ============================================================================================== */

/**
 * Acquires the generation that is current at this moment, so that several facts can be read from the same one.
 *
 * @param handle  must not be NULL
 * @return        the generation; NULL if handle is NULL
 * Ownership:     reference-counted: release it with certreload_generation_release(); may outlive the handle
 * Threads:       any thread, concurrently
 * Signals:       not async-signal-safe
 * Blocks:        never: no lock, no system call
 * Since:         0.1.0
 */
const certreload_generation *certreload_generation_acquire(const certreload_handle *handle);

/**
 * Releases a generation.
 *
 * @param generation  may be NULL, then nothing happens; consumed
 * Ownership:         the pointer, and all that was borrowed from it, is dangling afterwards
 * Threads:           any thread
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
void certreload_generation_release(const certreload_generation *generation);

/**
 * Returns the number of a generation: the first is 1, and within a handle numbers only grow (G7).
 *
 * @param generation  must not be NULL
 * @return            the number; 0 if generation is NULL
 * Ownership:         a number; nothing to free
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
uint64_t certreload_generation_number(const certreload_generation *generation);

/**
 * Returns the server configuration of a generation, borrowed.
 *
 * A server can thus create a connection whose generation it knows: acquire the generation, create the connection
 * with rustls_server_connection_new(), read the number, release.
 *
 * @param generation  must not be NULL
 * @return            the configuration; NULL if generation is NULL or has no identity to serve
 * Ownership:         borrowed, until the generation is released: do not free it
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
const rustls_server_config *certreload_generation_borrow_server_config(const certreload_generation *generation);

/**
 * Returns the client configuration of a generation, borrowed.
 *
 * @param generation  must not be NULL
 * @return            the configuration; NULL if generation is NULL, or the handle has no roots to check servers with
 * Ownership:         borrowed, until the generation is released: do not free it
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
const rustls_client_config *certreload_generation_borrow_client_config(const certreload_generation *generation);

/**
 * Returns the number of identities in a generation: those that have been loaded.
 *
 * With CERTRELOAD_START_AVAILABLE that may be fewer than the handle has (certreload_status.identities_configured).
 *
 * @param generation  must not be NULL
 * @return            the number; 0 if generation is NULL
 * Ownership:         a number; nothing to free
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
size_t certreload_generation_identity_count(const certreload_generation *generation);

/**
 * Returns one identity of a generation, by the order in which identities were added. Those that have not been loaded
 * are not counted: certreload_identity_index() converts to the index that functions of the handle take.
 *
 * @param generation  must not be NULL
 * @param index       0 to certreload_generation_identity_count() - 1
 * @return            the identity; NULL if generation is NULL or the index does not exist
 * Ownership:         borrowed, until the generation is released
 * Threads:           any thread, concurrently
 * Signals:           not async-signal-safe
 * Blocks:            never
 * Since:             0.1.0
 */
const certreload_identity *certreload_generation_identity(const certreload_generation *generation,
                                                                 size_t index);

/**
 * Returns the identity that serves a name: an exact match, then a wildcard for one label, else the first identity for
 * servers. If several identities have the name, one that is valid now comes before one that has expired.
 *
 * The handshake selects by the same rules, with one difference. If several identities have the name, the handshake
 * uses the first with a kind of key that the client supports. This function returns the first of all.
 *
 * @param generation   must not be NULL
 * @param server_name  a DNS name in upper or lower case, as in SNI; NULL or "" for a client that sends none;
 *                     borrowed for the call. An IP address is no server name (RFC 6066 section 3): here as in the
 *                     handshake, it counts as none. So does a URI here; in a handshake it is an illegal parameter.
 *                     certreload_find_identity() finds both
 * @return             the identity; NULL if generation is NULL, or its handshakes fail: no identity to serve has been
 *                     loaded, or no trust store
 * Ownership:          borrowed, until the generation is released
 * Threads:            any thread, concurrently
 * Signals:            not async-signal-safe
 * Blocks:             never
 * Since:              0.1.0
 */
const certreload_identity *certreload_generation_select(const certreload_generation *generation,
                                                               const char *server_name);

/**
 * Returns the number of names that an identity is valid for.
 *
 * @param identity  must not be NULL
 * @return          the number; 0 if identity is NULL
 * Ownership:       a number; nothing to free
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
size_t certreload_identity_name_count(const certreload_identity *identity);

/**
 * Returns one name that an identity is valid for.
 *
 * Names are those of the subjectAltName extension (RFC 5280 section 4.2.1.6): DNS names in lower case, wildcards as
 * "*.example.com", IP addresses in their usual notation, and URIs, such as SPIFFE IDs, as they are. Clients can ask for
 * DNS names alone (RFC 6066 section 3).
 *
 * @param identity  must not be NULL
 * @param index     0 to certreload_identity_name_count() - 1
 * @return          the name; NULL if identity is NULL or the index does not exist
 * Ownership:       borrowed, until the generation is released
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const char *certreload_identity_name(const certreload_identity *identity,
                                     size_t index);

/**
 * Returns the time from which the leaf certificate is valid.
 *
 * @param identity  must not be NULL
 * @return          seconds since 1970-01-01 UTC; 0 if identity is NULL
 * Ownership:       a number; nothing to free
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
int64_t certreload_identity_not_before(const certreload_identity *identity);

/**
 * Returns the time until which the leaf certificate is valid.
 *
 * @param identity  must not be NULL
 * @return          seconds since 1970-01-01 UTC; 0 if identity is NULL
 * Ownership:       a number; nothing to free
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
int64_t certreload_identity_not_after(const certreload_identity *identity);

/**
 * Returns the time by which the leaf certificate should have been renewed: when its warning window begins.
 *
 * certreload_options_set_expiry_warning_seconds() describes the window.
 *
 * @param identity  must not be NULL
 * @return          seconds since 1970-01-01 UTC; 0 if warnings are switched off or identity is NULL
 * Ownership:       a number; nothing to free
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
int64_t certreload_identity_expiring_from(const certreload_identity *identity);

/**
 * Returns the serial number of the leaf certificate.
 *
 * @param identity  must not be NULL
 * @return          lower-case hexadecimal; NULL if identity is NULL
 * Ownership:       borrowed, until the generation is released
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const char *certreload_identity_serial(const certreload_identity *identity);

/**
 * Returns the SHA-256 fingerprint of the leaf certificate.
 *
 * @param identity  must not be NULL
 * @return          64 lower-case hexadecimal digits; NULL if identity is NULL
 * Ownership:       borrowed, until the generation is released
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const char *certreload_identity_sha256(const certreload_identity *identity);

/**
 * Returns the number of certificates in the chain, the leaf included.
 *
 * @param identity  must not be NULL
 * @return          the number; 0 if identity is NULL
 * Ownership:       a number; nothing to free
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
size_t certreload_identity_certificate_count(const certreload_identity *identity);

/**
 * Returns one certificate of the chain, in DER; index 0 is the leaf.
 *
 * @param identity  must not be NULL
 * @param index     0 to certreload_identity_certificate_count() - 1
 * @param len_out   must not be NULL; the length in bytes; 0 if NULL is returned
 * @return          the bytes; NULL if a parameter is NULL or the index does not exist
 * Ownership:       borrowed, until the generation is released
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const uint8_t *certreload_identity_certificate_der(const certreload_identity *identity,
                                                   size_t index,
                                                   size_t *len_out);

/**
 * Returns the private key, in PKCS#8 DER (RFC 5208), for a TLS stack that has no adapter.
 *
 * The host must ask for it with certreload_options_set_export_keys(). A key whose file has a format that cannot be
 * converted is returned as the file has it.
 *
 * @param identity  must not be NULL
 * @param len_out   must not be NULL; the length in bytes; 0 if NULL is returned
 * @return          the bytes; NULL if the options do not allow it, or a parameter is NULL
 * Ownership:       borrowed, until the generation is released: then the bytes are wiped. A copy is the caller's to wipe
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const uint8_t *certreload_identity_key_der(const certreload_identity *identity,
                                           size_t *len_out);

/**
 * Returns the number of an identity within its handle: the order in which identities were added, from 0.
 *
 * @param identity  must not be NULL
 * @return          the number; 0 if identity is NULL
 * Ownership:       a number; nothing to free
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
size_t certreload_identity_index(const certreload_identity *identity);

/**
 * Returns the path of the chain that an identity was loaded from.
 *
 * @param identity  must not be NULL
 * @return          an absolute path, or a name such as "memory:0/chain" for bytes that the host passed; NULL if
 *                  identity is NULL
 * Ownership:       borrowed, until the generation is released
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const char *certreload_identity_chain_path(const certreload_identity *identity);

/**
 * Returns the path of the key that an identity was loaded from.
 *
 * @param identity  must not be NULL
 * @return          an absolute path, or a name such as "memory:0/key" for bytes that the host passed; NULL if identity
 *                  is NULL
 * Ownership:       borrowed, until the generation is released
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const char *certreload_identity_key_path(const certreload_identity *identity);

/**
 * Returns the OCSP response that is stapled now, in DER.
 *
 * A response is stapled from its thisUpdate until its nextUpdate. If a delegated responder signed it, the response
 * is not stapled after that responder's certificate has expired. A response without nextUpdate is stapled until it
 * is replaced. So a later call may return NULL. A host that staples by itself calls this function for each handshake,
 * so that no client gets an expired response.
 *
 * @param identity  must not be NULL
 * @param len_out   must not be NULL; the length in bytes; 0 if NULL is returned
 * @return          the bytes, as they were loaded; NULL if there is no response, if it has expired, or if a
 *                  parameter is NULL
 * Ownership:       borrowed, until the generation is released, also after the response has expired
 * Threads:         any thread, concurrently
 * Signals:         not async-signal-safe
 * Blocks:          never
 * Since:           0.1.0
 */
const uint8_t *certreload_identity_ocsp_der(const certreload_identity *identity,
                                            size_t *len_out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CERTRELOAD_H */
