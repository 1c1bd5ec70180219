/* The smallest C program that uses the adapter for OpenSSL: attaches an SSL_CTX and says whose
 * certificate it got. */

#include <certreload_openssl.h>
#include <stdio.h>

int main(int argc, char **argv) {
    certreload_handle *handle = NULL;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (argc != 3 || certreload_open_files(argv[1], argv[2], &handle) != CERTRELOAD_RESULT_OK) {
        fprintf(stderr, "%s\n", certreload_last_error());
        return 1;
    }
    if (certreload_openssl_attach(ctx, handle) != CERTRELOAD_RESULT_OK ||
        SSL_CTX_check_private_key(ctx) != 1) {
        fprintf(stderr, "%s\n", certreload_openssl_last_error());
        return 1;
    }
    const certreload_generation *generation = certreload_generation_acquire(handle);
    printf("certreload %s %s\n", certreload_version(),
           certreload_identity_name(certreload_generation_identity(generation, 0), 0));
    certreload_generation_release(generation);
    SSL_CTX_free(ctx);
    certreload_close(handle);
    return 0;
}
