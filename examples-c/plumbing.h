/*
 * Shared by the example servers: a command line, a listening socket, enough HTTP/1.1 for curl and a
 * browser, and the text of /status. Your server has its own version of each, so nothing here is
 * needed to use certreload. Read https_server.c first.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */

#ifndef PLUMBING_H
#define PLUMBING_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "certreload.h"

enum {
    MAX_IDENTITIES = 16,
    MAX_HEAD = 8192,     /* bytes of one request head */
    MAX_ANSWER = 2048,   /* bytes of one answer */
    REQUEST_SECONDS = 30 /* limit for one whole request, after which the client is dropped */
};

struct arguments {
    const char *certs[MAX_IDENTITIES];
    const char *keys[MAX_IDENTITIES];
    size_t identities;
    const char *host;
    uint16_t port;
    uint32_t poll_ms; /* 0: the default of the library */
    bool quiet;
};

static inline void usage(const char *program) {
    fprintf(stderr,
            "usage: %s --cert CHAIN --key KEY [--cert CHAIN --key KEY ...]\n"
            "       [--host IPV4 (127.0.0.1)] [--port N (8443; 0: any)] [--poll MS] [--quiet]\n",
            program);
    exit(2);
}

static inline uint32_t number(const char *text, uint32_t max, const char *program) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value > max) {
        usage(program);
    }
    return (uint32_t)value;
}

static inline struct arguments parse_arguments(int argc, char **argv) {
    static const struct option known[] = {
        {"cert", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},
        {"host", required_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'p'},
        {"poll", required_argument, NULL, 'i'},
        {"quiet", no_argument, NULL, 'q'},
        {NULL, 0, NULL, 0},
    };
    struct arguments parsed;
    size_t keys = 0;
    int which;

    memset(&parsed, 0, sizeof parsed);
    parsed.host = "127.0.0.1";
    parsed.port = 8443;
    while ((which = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (which == 'c' && parsed.identities < MAX_IDENTITIES) {
            parsed.certs[parsed.identities++] = optarg;
        } else if (which == 'k' && keys < MAX_IDENTITIES) {
            parsed.keys[keys++] = optarg;
        } else if (which == 'h') {
            parsed.host = optarg;
        } else if (which == 'p') {
            parsed.port = (uint16_t)number(optarg, UINT16_MAX, argv[0]);
        } else if (which == 'i') {
            parsed.poll_ms = number(optarg, UINT32_MAX, argv[0]);
        } else if (which == 'q') {
            parsed.quiet = true;
        } else {
            usage(argv[0]);
        }
    }
    if (parsed.identities == 0 || keys != parsed.identities || optind != argc) {
        usage(argv[0]);
    }
    return parsed;
}

/* An option of the form "--name value". */
struct option_text {
    const char *name;
    const char **value; /* receives the text; unchanged if the option is absent */
};

/* Parses options. `known` ends with an option without a name. Unknown options print `help`. */
static inline void parse_texts(int argc, char **argv, const struct option_text *known,
                               const char *help) {
    for (int i = 1; i < argc; i += 2) {
        const struct option_text *option = known;
        while (option->name != NULL && strcmp(option->name, argv[i]) != 0) {
            option++;
        }
        if (option->name == NULL || i + 1 == argc) {
            fprintf(stderr, "usage: %s %s\n", argv[0], help);
            exit(2);
        }
        *option->value = argv[i + 1];
    }
}

/* Returns a non-blocking listening socket, or ends the program. */
static inline int listen_on(const char *host, uint16_t port) {
    struct sockaddr_in address;
    const int yes = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fprintf(stderr, "%s is not an IPv4 address\n", host);
        exit(1);
    }
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, SOMAXCONN) != 0) {
        fprintf(stderr, "cannot listen on %s port %u: %s\n", host, (unsigned)port, strerror(errno));
        exit(1);
    }
    return listener;
}

/* Prints the address. From this line on, clients can connect. */
static inline void announce(int listener, const char *host) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;

    memset(&address, 0, sizeof address);
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("listening on https://%s:%u (pid %ld)\n", host, (unsigned)ntohs(address.sin_port),
           (long)getpid());
    fflush(stdout);
}

/* Small answers are sent at once, instead of after the acknowledgement of the previous one. */
static inline void no_delay(int socket) {
    const int yes = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

/* Reads a whole file. Returns its size; 0 if it cannot be read or is larger than `room`. */
static inline size_t read_file(const char *path, char *bytes, size_t room) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    size_t size = 0;
    ssize_t count = file < 0 ? -1 : 1;

    while (count > 0 && size < room) {
        count = read(file, bytes + size, room - size);
        size += count > 0 ? (size_t)count : 0;
    }
    if (file >= 0) {
        close(file);
    }
    return count == 0 ? size : 0;
}

/* Seconds of a clock that never jumps, for deadlines. */
static inline int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec;
}

struct request {
    const char *status; /* of the answer, such as "200 OK" */
    size_t size;        /* bytes of the request */
    bool wants_status;  /* GET /status */
    bool head_only;     /* HEAD: no body in the answer */
    bool keep_alive;
};

static inline bool has_word(const char *text, size_t size, const char *word) {
    const size_t length = strlen(word);
    for (size_t at = 0; at + length <= size; at++) {
        if (strncasecmp(text + at, word, length) == 0) {
            return true;
        }
    }
    return false;
}

/* Returns the offset of the first occurrence of `end`; `size` if there is none. */
static inline size_t find(const char *text, size_t size, const char *end) {
    const size_t length = strlen(end);
    for (size_t at = 0; at + length <= size; at++) {
        if (memcmp(text + at, end, length) == 0) {
            return at;
        }
    }
    return size;
}

static inline bool starts_with(const char *text, size_t size, const char *start) {
    return size >= strlen(start) && strncasecmp(text, start, strlen(start)) == 0;
}

/*
 * Parses one request head (RFC 9112) of at most MAX_HEAD bytes. Returns false if it is incomplete.
 * The body of a request is not read, so such a request is the last one of its connection.
 */
static inline bool parse_request(const char *data, size_t size, struct request *request) {
    const size_t head = find(data, size, "\r\n\r\n");
    size_t line = find(data, size, "\r\n");

    memset(request, 0, sizeof *request);
    request->size = size;
    if (head == size) {
        request->status = "431 Request Header Fields Too Large";
        return size >= MAX_HEAD;
    }
    if (line < strlen("GET / HTTP/1.1") || memcmp(data + line - 9, " HTTP/1.", 8) != 0) {
        request->status = "400 Bad Request";
        return true;
    }
    request->status = "200 OK";
    request->size = head + 4;
    request->wants_status = starts_with(data, line, "GET /status ");
    request->head_only = starts_with(data, line, "HEAD ");
    request->keep_alive = data[line - 1] != '0';
    for (size_t at = line + 2; at < head; at += line + 2) {
        const char *field = data + at;
        line = find(field, head + 2 - at, "\r\n");
        if (starts_with(field, line, "connection:")) {
            request->keep_alive = request->keep_alive ? !has_word(field, line, "close")
                                                      : has_word(field, line, "keep-alive");
        } else if (starts_with(field, line, "transfer-encoding:") ||
                   (starts_with(field, line, "content-length:") &&
                    line > 15 + strspn(field + 15, " 0"))) {
            request->keep_alive = false;
        }
    }
    return true;
}

/* Writes an answer of at most MAX_ANSWER bytes and returns its size. */
static inline size_t write_answer(char *out, const struct request *request, const char *body) {
    int size = snprintf(out, MAX_ANSWER,
                        "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                        "Connection: %s\r\n\r\n%s",
                        request->status, strlen(body), request->keep_alive ? "keep-alive" : "close",
                        request->head_only ? "" : body);
    return size < MAX_ANSWER ? (size_t)size : MAX_ANSWER - 1;
}

/* The answer to GET /status: the fields that a health check or a dashboard needs. */
static inline void status_text(const certreload_status *status, char *out, size_t size) {
    snprintf(out, size,
             "generation %" PRIu64 "\nloaded_at %" PRId64 "\nearliest_not_after %" PRId64
             "\nhealth %s\nlast_result %" PRIu32 "\nreloads %" PRIu64 "\nfailures %" PRIu64
             "\nunchanged %" PRIu64 "\nidentities %zu\ngenerations_alive %zu\nwatch %s\n"
             "warnings %" PRIu32 "\n",
             status->generation, status->loaded_at, status->earliest_not_after,
             certreload_health_str(status->health), (uint32_t)status->last_result, status->reloads,
             status->failures, status->unchanged, status->identities, status->generations_alive,
             certreload_watch_state_str(status->watch), status->warnings);
}

#endif
