/*
 * An HTTPS server in C++17 with a thread per connection. Its certificates are renewed while it
 * runs.
 *
 *     cpp_server --cert fullchain.pem --key privkey.pem
 *     curl -k https://127.0.0.1:8443/
 *
 * certreload.hpp frees what it returns and throws if a call fails, so there is no error path to
 * write. The lines that matter are marked "certreload:"; there are four places.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */

#include <atomic>
#include <list>
#include <sstream>
#include <string>
#include <thread>

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "certreload.hpp"
#include "plumbing.h"
#include "rustls.h"

namespace {

constexpr std::size_t max_connections = 512;
constexpr int silence_seconds = 10;

/*
 * certreload: 1. Open the certificates once, at start. A broken file throws here, with path and
 * reason, instead of at the first client. The library calls the event function on its own thread,
 * one call at a time, in order.
 */
certreload::handle open_certificates(const arguments &arguments) {
    certreload::options options;
    for (std::size_t i = 0; i < arguments.identities; ++i) {
        options.add_identity(arguments.certs[i], arguments.keys[i]);
    }
    if (arguments.poll_ms != 0) {
        options.set_poll_interval(std::chrono::milliseconds(arguments.poll_ms));
    }
    if (!arguments.quiet) {
        options.on_event([](const certreload::event &event) {
            std::printf("event %s generation %" PRIu64 ": %.*s\n", to_string(event.kind),
                        event.generation, static_cast<int>(event.message.size()),
                        event.message.data());
        });
    }
    return certreload::handle::open(options);
}

/* The callbacks of rustls: it reads bytes of the client, or writes bytes to it. */

rustls_io_result receive(void *userdata, std::uint8_t *bytes, std::size_t size,
                         std::size_t *size_out) {
    const ssize_t count = recv(*static_cast<int *>(userdata), bytes, size, 0);
    *size_out = count < 0 ? 0 : static_cast<std::size_t>(count);
    return count < 0 ? errno : 0;
}

rustls_io_result transmit(void *userdata, const std::uint8_t *bytes, std::size_t size,
                          std::size_t *size_out) {
    const ssize_t count = send(*static_cast<int *>(userdata), bytes, size, MSG_NOSIGNAL);
    *size_out = count < 0 ? 0 : static_cast<std::size_t>(count);
    return count < 0 ? errno : 0;
}

class client {
  public:
    client(int socket, const certreload::handle &certificates)
        : socket_(socket), certificates_(certificates), thread_([this] { run(); }) {}

    client(const client &) = delete;
    client &operator=(const client &) = delete;

    /* Ends the connection after the answer that is being written, and waits for the thread. */
    ~client() {
        stop();
        thread_.join();
        close(socket_);
    }

    void stop() {
        stopping_ = true;
        shutdown(socket_, SHUT_RD);
    }

    bool is_finished() const {
        return finished_;
    }

  private:
    void run() noexcept {
        try {
            const timeval patience = {silence_seconds, 0};
            setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
            setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
            no_delay(socket_);
            deadline_ = now() + REQUEST_SECONDS;
            if (handshake()) {
                serve_requests();
                rustls_connection_send_close_notify(tls_.get());
                send_all();
            }
        } catch (const std::exception &error) {
            std::fprintf(stderr, "connection: %s\n", error.what());
        }
        linger();
        shutdown(socket_, SHUT_RDWR);
        tls_.reset();
        finished_ = true;
    }

    /*
     * certreload: 2. Make a TLS connection for each client with the certificate that is current
     * now.
     *
     * tls_ = certificates_.server_connection() is enough for most servers. This one also reports
     * the generation and the certificate of each client. So it keeps the generation until the
     * handshake has received the server name. The connection itself keeps its config for as long as
     * it lasts.
     */
    bool handshake() {
        const certreload::generation generation = certificates_.acquire();
        rustls_connection *tls = nullptr;
        if (rustls_server_connection_new(generation.server_config(), &tls) != RUSTLS_RESULT_OK) {
            return false;
        }
        tls_.reset(tls);
        while (rustls_connection_is_handshaking(tls)) {
            if (!exchange()) {
                return false;
            }
        }
        const rustls_str sni = rustls_server_connection_get_server_name(tls);
        generation_ = generation.number();
        certificate_ = generation.select({sni.data, sni.len}).sha256();
        return true;
    }

    bool send_all() {
        std::size_t count = 0;
        while (rustls_connection_wants_write(tls_.get())) {
            if (now() > deadline_ ||
                rustls_connection_write_tls(tls_.get(), transmit, &socket_, &count) != 0) {
                return false;
            }
        }
        return true;
    }

    /* Sends pending bytes, then waits for bytes of the client. Returns false at the end. */
    bool exchange() {
        std::size_t count = 0;
        if (!send_all() || stopping_ || now() > deadline_ ||
            rustls_connection_read_tls(tls_.get(), receive, &socket_, &count) != 0 || count == 0) {
            return false;
        }
        if (rustls_connection_process_new_packets(tls_.get()) != RUSTLS_RESULT_OK) {
            send_all(); /* the alert that gives the client the reason */
            return false;
        }
        return true;
    }

    void serve_requests() {
        std::string in;
        request request;
        for (;;) {
            if (parse_request(in.data(), in.size(), &request)) {
                if (!answer(request)) {
                    return;
                }
                in.erase(0, request.size);
                deadline_ = now() + REQUEST_SECONDS;
            } else if (!read_into(in)) {
                return;
            }
        }
    }

    /* Appends bytes of the client, up to MAX_HEAD bytes in total. */
    bool read_into(std::string &in) {
        std::uint8_t buffer[MAX_HEAD] = {};
        std::size_t count = 0;
        const rustls_result result =
            rustls_connection_read(tls_.get(), buffer, sizeof buffer - in.size(), &count);
        if (result == RUSTLS_RESULT_PLAINTEXT_EMPTY) {
            return exchange();
        }
        in.append(buffer, buffer + count);
        return result == RUSTLS_RESULT_OK && count != 0;
    }

    bool answer(request &request) {
        std::ostringstream body;
        ++requests_;
        if (request.wants_status) {
            write_status(body);
        } else {
            body << "generation " << generation_ << "\ncertificate " << certificate_ << "\nrequest "
                 << requests_ << "\n";
        }
        request.keep_alive = request.keep_alive && !stopping_;
        char out[MAX_ANSWER];
        std::size_t written = 0;
        const std::size_t size = write_answer(out, &request, body.str().c_str());
        return rustls_connection_write(tls_.get(), reinterpret_cast<const std::uint8_t *>(out),
                                       size, &written) == RUSTLS_RESULT_OK &&
               send_all() && request.keep_alive;
    }

    /* certreload: 3. Report the state of the certificates, for a health check or a dashboard. */
    void write_status(std::ostream &body) const {
        const certreload::status status = certificates_.status();
        const auto seconds = [](certreload::time_point time) {
            return std::chrono::system_clock::to_time_t(time);
        };
        body << "generation " << status.generation << "\nloaded_at " << seconds(status.loaded_at)
             << "\nearliest_not_after " << seconds(status.earliest_not_after) << "\nhealth "
             << to_string(status.health) << "\nlast_result " << +status.last_result << "\nreloads "
             << status.reloads << "\nfailures " << status.failures << "\nunchanged "
             << status.unchanged << "\nidentities " << status.identities << "\ngenerations_alive "
             << status.generations_alive << "\nwatch " << to_string(status.watch) << "\nwarnings "
             << status.warnings << "\n";
    }

    /* close() with unread bytes makes TCP reset the connection and drop the last answer or alert.
     */
    void linger() {
        const timeval patience = {1, 0};
        const std::int64_t deadline = now() + 2;
        char ignored[4096];
        setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        shutdown(socket_, SHUT_WR);
        while (!stopping_ && now() <= deadline && recv(socket_, ignored, sizeof ignored, 0) > 0) {
        }
    }

    int socket_;
    const certreload::handle &certificates_;
    certreload::connection_ptr tls_;
    std::int64_t deadline_ = 0; /* for the next whole request */
    std::uint64_t generation_ = 0;
    std::string certificate_;
    std::uint64_t requests_ = 0;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> finished_{false};
    std::thread thread_; /* last, because the thread uses the other members */
};

/* Starts a thread for the client. Closes the socket if there are too many clients. */
void start(std::list<client> &clients, int socket, const certreload::handle &certificates) {
    try {
        if (clients.size() < max_connections) {
            clients.emplace_back(socket, certificates);
            return;
        }
    } catch (const std::exception &error) {
        std::fprintf(stderr, "no thread for a client: %s\n", error.what());
    }
    close(socket);
}

void accept_until_stopped(int listener, int stop, const certreload::handle &certificates) {
    std::list<client> clients;
    pollfd wait[2] = {{listener, POLLIN, 0}, {stop, POLLIN, 0}};
    for (;;) {
        poll(wait, 2, -1);
        if (wait[1].revents != 0) {
            break;
        }
        clients.remove_if([](const client &client) { return client.is_finished(); });
        const int socket = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (socket >= 0) {
            start(clients, socket, certificates);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            poll(&wait[1], 1, 100); /* the client stays in the queue: wait instead of spinning */
        }
    }
    for (client &client :
         clients) { /* all before the first join, so that they finish in parallel */
        client.stop();
    }
}

void serve_until_stopped(const arguments &arguments, const sigset_t &signals) {
    const certreload::handle certificates = open_certificates(arguments);
    const int listener = listen_on(arguments.host, arguments.port);
    const int stop = eventfd(0, EFD_CLOEXEC);
    announce(listener, arguments.host);

    std::thread acceptor([&] { accept_until_stopped(listener, stop, certificates); });
    int number = 0;
    while (sigwait(&signals, &number) == 0 && number == SIGHUP) {
        certificates
            .reload(); /* certreload: 4. Reload on SIGHUP; files are found without it, too. */
    }
    eventfd_write(stop, 1);
    acceptor.join();
    close(stop);
    close(listener);
}

} // namespace

int main(int argc, char **argv) {
    const arguments arguments = parse_arguments(argc, argv);
    std::setvbuf(stdout, nullptr, _IOLBF, 0); /* each event is visible at once, as a whole line */
    signal(SIGPIPE, SIG_IGN);

    /* Every thread blocks these signals, so that main() receives them by sigwait(). */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    try {
        serve_until_stopped(arguments, signals);
    } catch (const certreload::error &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
