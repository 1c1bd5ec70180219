// Shared by the C++ tests: checks, certificates in files, a mailbox for events.
//
// SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT

#ifndef CERTRELOAD_TEST_SUPPORT_HPP
#define CERTRELOAD_TEST_SUPPORT_HPP

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "certreload.hpp"

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using certreload::event_kind;

constexpr auto patience = 30s; // an upper bound that only a failing test reaches

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            throw std::runtime_error(std::string(__FILE__ ":") + std::to_string(__LINE__) +        \
                                     ": " #condition);                                             \
        }                                                                                          \
    } while (false)

// ---- certificates ----

inline std::string run(const std::string &command) {
    FILE *pipe = popen(command.c_str(), "r");
    CHECK(pipe != nullptr);
    std::string output;
    std::array<char, 4096> buffer;
    while (const std::size_t count = fread(buffer.data(), 1, buffer.size(), pipe)) {
        output.append(buffer.data(), count);
    }
    if (pclose(pipe) != 0) {
        throw std::runtime_error("failed: " + command + "\n" + output);
    }
    return output;
}

// The value of "name=value", the way openssl prints it, as lower-case digits.
inline std::string digits_of(const std::string &line) {
    std::string digits;
    for (const char c : line.substr(line.find('=') + 1)) {
        if (std::isxdigit(static_cast<unsigned char>(c)) != 0) {
            digits.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
        }
    }
    return digits;
}

// A certificate and its key, in files.
struct pair {
    fs::path chain;
    fs::path key;

    std::string sha256() const {
        return digits_of(
            run("openssl x509 -in '" + chain.string() + "' -noout -fingerprint -sha256"));
    }
    std::string serial() const {
        return digits_of(run("openssl x509 -in '" + chain.string() + "' -noout -serial"));
    }
    std::string der() const {
        return run("openssl x509 -in '" + chain.string() + "' -outform DER");
    }
};

// A temporary directory, where each test works.
class workplace {
  public:
    workplace() {
        std::string name = (fs::temp_directory_path() / "certreload-cpp-XXXXXX").string();
        CHECK(mkdtemp(name.data()) != nullptr);
        directory_ = name;
    }
    workplace(const workplace &) = delete;
    workplace &operator=(const workplace &) = delete;
    ~workplace() {
        std::error_code ignored;
        fs::remove_all(directory_, ignored);
    }

    pair make(const std::string &name, const std::string &sans, int days = 60) const {
        const pair made = {directory_ / (name + ".pem"), directory_ / (name + ".key")};
        run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout '" +
            made.key.string() + "' -out '" + made.chain.string() + "' -days " +
            std::to_string(days) +
            " -subj /CN=test"
            " -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=" +
            sans + " 2>&1");
        return made;
    }

    // The files that a handle watches.
    pair live(const std::string &name = "live") const {
        return {directory_ / (name + "-chain.pem"), directory_ / (name + "-key.pem")};
    }

  private:
    fs::path directory_;
};

inline void replace(const fs::path &target, const fs::path &source) {
    fs::path fresh = target;
    fresh += ".new";
    fs::copy_file(source, fresh, fs::copy_options::overwrite_existing);
    fs::rename(fresh, target);
}

inline void deploy(const pair &live, const pair &source) {
    replace(live.chain, source.chain);
    replace(live.key, source.key);
}

// Certificates that every test uses; making them costs more than the tests.
struct fixtures {
    workplace place;
    pair one = place.make("one", "DNS:one.test,DNS:*.wild.test");
    pair two = place.make("two", "DNS:two.test");
    pair endless = place.make("endless", "DNS:endless.test", 2900000);
};

inline const fixtures &made() {
    static const fixtures fixtures;
    return fixtures;
}

// Options that reload on request only, so that each test decides when.
inline certreload::options quiet_options(const pair &live) {
    certreload::options options;
    options.add_identity(live.chain, live.key)
        .set_watch(certreload::watch_mode::off)
        .set_poll_interval(1h)
        .set_debounce(5ms)
        .set_incomplete_timeout(100ms);
    return options;
}

// ---- events ----

class mailbox {
  public:
    void put(const certreload::event &event) {
        const std::lock_guard<std::mutex> guard(mutex_);
        events_.push_back(event.to_owned());
        changed_.notify_all();
    }

    void put_text(const std::string &text) {
        const std::lock_guard<std::mutex> guard(mutex_);
        texts_.push_back(text);
        changed_.notify_all();
    }

    certreload::owned_event wait_for(event_kind kind, std::uint64_t generation) {
        std::unique_lock<std::mutex> guard(mutex_);
        const auto is_it = [&](const certreload::owned_event &event) {
            return event.kind == kind && event.generation == generation;
        };
        const auto find = [&] { return std::find_if(events_.begin(), events_.end(), is_it); };
        CHECK(changed_.wait_for(guard, patience, [&] { return find() != events_.end(); }));
        return *find();
    }

    void wait_for_text(const std::string &text) {
        std::unique_lock<std::mutex> guard(mutex_);
        CHECK(changed_.wait_for(guard, patience, [&] {
            return std::find(texts_.begin(), texts_.end(), text) != texts_.end();
        }));
    }

    std::ptrdiff_t count_texts(const std::string &text) {
        const std::lock_guard<std::mutex> guard(mutex_);
        return std::count(texts_.begin(), texts_.end(), text);
    }

    bool has_text(const std::string &text) {
        return count_texts(text) != 0;
    }

    std::size_t count() {
        const std::lock_guard<std::mutex> guard(mutex_);
        return events_.size();
    }

    certreload::event_function function() {
        return [this](const certreload::event &event) { put(event); };
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<certreload::owned_event> events_;
    std::vector<std::string> texts_;
};

// Puts a text into the mailbox when its last copy is destroyed.
inline std::shared_ptr<int> report_when_destroyed(mailbox &box, const std::string &text) {
    return std::shared_ptr<int>(new int(0), [&box, text](const int *number) {
        delete number;
        box.put_text(text);
    });
}

template <typename Function>
certreload_result code_of(Function function, const std::string &in_message = "") {
    try {
        function();
    } catch (const certreload::error &error) {
        CHECK(std::string(error.what()).find(in_message) != std::string::npos);
        CHECK(*error.what() != '\0');
        return error.code();
    }
    return CERTRELOAD_RESULT_OK;
}

struct test {
    const char *name;
    void (*function)();
};

#define TEST(function)                                                                             \
    test {                                                                                         \
#function, function                                                                        \
    }

// Runs all tests and returns the exit code of the program.
template <std::size_t count> int run_tests(const test (&tests)[count]) {
    int failures = 0;
    for (const test &test : tests) {
        try {
            test.function();
            std::printf("ok      %s\n", test.name);
        } catch (const std::exception &error) {
            std::printf("FAILED  %s: %s\n", test.name, error.what());
            ++failures;
        }
        std::fflush(stdout);
    }
    return failures == 0 ? 0 : 1;
}

#endif
