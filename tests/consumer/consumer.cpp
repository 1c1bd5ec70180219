// The smallest C++ program that uses the library: opens a pair and says whose it is.

#include <certreload.hpp>
#include <iostream>

int main(int argc, char **argv) try {
    if (argc != 3) {
        return 1;
    }
    const certreload::handle handle = certreload::handle::open(argv[1], argv[2]);
    const certreload::connection_ptr connection = handle.server_connection();
    const certreload::generation generation = handle.acquire();
    std::cout << "certreload " << certreload::version() << " "
              << generation.identities()[0].names()[0] << "\n";
    return 0;
} catch (const certreload::error &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
