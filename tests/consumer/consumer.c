/* The smallest C program that uses the library: opens a pair and says whose it is. */

#include <certreload.h>
#include <rustls.h>
#include <stdio.h>

int main(int argc, char **argv) {
    certreload_handle *handle = NULL;
    if (argc != 3 || certreload_open_files(argv[1], argv[2], &handle) != CERTRELOAD_RESULT_OK) {
        fprintf(stderr, "%s\n", certreload_last_error());
        return 1;
    }
    rustls_connection *connection = NULL;
    if (certreload_server_connection_new(handle, &connection) != CERTRELOAD_RESULT_OK) {
        fprintf(stderr, "%s\n", certreload_last_error());
        return 1;
    }
    const certreload_generation *generation = certreload_generation_acquire(handle);
    printf("certreload %s %s\n", certreload_version(),
           certreload_identity_name(certreload_generation_identity(generation, 0), 0));
    certreload_generation_release(generation);
    rustls_connection_free(connection);
    certreload_close(handle);
    return 0;
}
