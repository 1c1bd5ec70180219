/* Encrypted private keys, and who knows their passwords. */

#include "support.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *chain, *key;

/* What the callback answers, and what it was asked. */
struct vault {
    const char *password; /* NULL: there is none */
    size_t length;        /* what it claims */
    int calls;
    char path[512];
    pthread_t thread;
};

static bool answer(void *userdata, const char *key_path, char *password_out, size_t password_size,
                   size_t *length_out) {
    struct vault *vault = userdata;
    vault->calls++;
    vault->thread = pthread_self();
    snprintf(vault->path, sizeof vault->path, "%s", key_path);
    CHECK_INT(password_size, CERTRELOAD_MAX_KEY_PASSWORD);
    for (size_t i = 0; i < password_size; i++)
        CHECK(password_out[i] == 0);
    CHECK_INT(*length_out, 0);
    if (vault->password == NULL)
        return false;
    size_t length = strlen(vault->password);
    memcpy(password_out, vault->password, length < password_size ? length : password_size);
    *length_out = vault->length ? vault->length : length;
    return true;
}

static void make_encrypted_pair(const char *password) {
    make_pair(chain, scratch("plain.pem"), "one.test");
    shell("openssl pkcs8 -topk8 -in plain.pem -passout pass:%s -out new.pem && chmod 600 new.pem"
          " && mv new.pem '%s'",
          password, key);
}

static certreload_result open_with(struct vault *vault, certreload_handle **handle) {
    certreload_options *options = unwatched_options(chain, key, 0);
    CHECK_OK(certreload_options_set_key_password_callback(options, answer, vault, NULL));
    certreload_result result = certreload_open(options, handle);
    certreload_options_free(options);
    return result;
}

static void a_callback_is_asked_once_for_each_load(void) {
    test_begin(__func__);
    make_encrypted_pair("one");
    struct vault vault = {.password = "one"};
    certreload_handle *handle = NULL;
    CHECK_OK(open_with(&vault, &handle));
    CHECK_INT(vault.calls, 1);
    CHECK_STR(vault.path, key);
    CHECK(pthread_equal(vault.thread, pthread_self()));
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chain));

    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    CHECK_INT(vault.calls, 1);
    make_encrypted_pair("one");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_INT(vault.calls, 2);
    CHECK(!pthread_equal(vault.thread, pthread_self()));
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chain));

    make_encrypted_pair("two");
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), KEY_PASSWORD_WRONG);
    CHECK_CONTAINS(certreload_last_error(), key);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_STALE);
    vault.password = "two";
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    certreload_close(handle);
}

static void what_a_callback_claims_is_not_believed(void) {
    test_begin(__func__);
    static char longest[CERTRELOAD_MAX_KEY_PASSWORD + 1];
    memset(longest, 'x', sizeof longest - 1);
    make_encrypted_pair(longest);
    certreload_handle *handle = NULL;
    struct vault vault = {.password = NULL};
    CHECK_RESULT(open_with(&vault, &handle), KEY_ENCRYPTED);
    vault.password = "one";
    CHECK_RESULT(open_with(&vault, &handle), KEY_PASSWORD_WRONG);
    vault.password = "";
    CHECK_RESULT(open_with(&vault, &handle), KEY_PASSWORD_WRONG);
    vault.password = longest;
    vault.length = SIZE_MAX;
    CHECK_RESULT(open_with(&vault, &handle), KEY_ENCRYPTED);
    vault.length = CERTRELOAD_MAX_KEY_PASSWORD + 1;
    CHECK_RESULT(open_with(&vault, &handle), KEY_ENCRYPTED);
    CHECK(handle == NULL);
    vault.length = CERTRELOAD_MAX_KEY_PASSWORD;
    CHECK_OK(open_with(&vault, &handle));
    certreload_close(handle);
}

static void a_file_is_one_of_the_files_of_the_identity(void) {
    test_begin(__func__);
    make_encrypted_pair("one");
    const char *file = scratch("password");
    shell("umask 077; echo one >password");
    certreload_options *options = unwatched_options(chain, key, 0);
    CHECK_OK(certreload_options_set_key_password_file(options, file));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    shell("echo two >password");
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), KEY_PASSWORD_WRONG);
    make_encrypted_pair("two");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chain));
    shell("rm password");
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), FILE_NOT_FOUND);
    CHECK_CONTAINS(certreload_last_error(), file);
    certreload_close(handle);

    /* The last setting counts, and NULL is none. */
    struct vault vault = {.password = "two"};
    CHECK_OK(certreload_options_set_key_password_callback(options, answer, &vault, NULL));
    CHECK_OK(certreload_check(options));
    CHECK_INT(vault.calls, 1);
    CHECK_OK(certreload_options_set_key_password_callback(options, NULL, NULL, NULL));
    CHECK_RESULT(certreload_check(options), KEY_ENCRYPTED);
    CHECK_OK(certreload_options_set_key_password_callback(options, answer, &vault, NULL));
    CHECK_OK(certreload_options_set_key_password_file(options, NULL));
    CHECK_RESULT(certreload_check(options), KEY_ENCRYPTED);
    CHECK_INT(vault.calls, 1);
    certreload_options_free(options);
}

int main(void) {
    chain = scratch("chain.pem");
    key = scratch("key.pem");
    a_callback_is_asked_once_for_each_load();
    what_a_callback_claims_is_not_believed();
    a_file_is_one_of_the_files_of_the_identity();
    return 0;
}
