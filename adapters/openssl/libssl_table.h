/*
 * The functions of libssl and libcrypto that this library calls, as one table of pointers. No other
 * file calls OpenSSL in another way, so a program that finds OpenSSL at run time can fill the table
 * with dlsym().
 */

#ifndef CERTRELOAD_LIBSSL_TABLE_H
#define CERTRELOAD_LIBSSL_TABLE_H

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/stack.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#define CRO_LIBSSL_FUNCTIONS(F)                                                                    \
    F(SSL_CTX_callback_ctrl)                                                                       \
    F(SSL_CTX_ctrl)                                                                                \
    F(SSL_CTX_free)                                                                                \
    F(SSL_CTX_get_cert_store)                                                                      \
    F(SSL_CTX_get_ex_data)                                                                         \
    F(SSL_CTX_get_info_callback)                                                                   \
    F(SSL_CTX_get_security_level)                                                                  \
    F(SSL_CTX_new)                                                                                 \
    F(SSL_CTX_sess_get_new_cb)                                                                     \
    F(SSL_CTX_sess_set_new_cb)                                                                     \
    F(SSL_CTX_set_cert_cb)                                                                         \
    F(SSL_CTX_set_cipher_list)                                                                     \
    F(SSL_CTX_set_client_hello_cb)                                                                 \
    F(SSL_CTX_set_ex_data)                                                                         \
    F(SSL_CTX_set_info_callback)                                                                   \
    F(SSL_CTX_set_security_level)                                                                  \
    F(SSL_CTX_set_session_ticket_cb)                                                               \
    F(SSL_CTX_set_verify)                                                                          \
    F(SSL_CTX_use_cert_and_key)                                                                    \
    F(SSL_SESSION_get0_id_context)                                                                 \
    F(SSL_SESSION_get0_peer)                                                                       \
    F(SSL_SESSION_get_timeout)                                                                     \
    F(SSL_SESSION_set1_id_context)                                                                 \
    F(SSL_SESSION_set_timeout)                                                                     \
    F(SSL_certs_clear)                                                                             \
    F(SSL_client_hello_get0_ext)                                                                   \
    F(SSL_ctrl)                                                                                    \
    F(SSL_do_handshake)                                                                            \
    F(SSL_free)                                                                                    \
    F(SSL_get0_param)                                                                              \
    F(SSL_get0_verified_chain)                                                                     \
    F(SSL_get_SSL_CTX)                                                                             \
    F(SSL_get_certificate)                                                                         \
    F(SSL_get_error)                                                                               \
    F(SSL_get_ex_data)                                                                             \
    F(SSL_get_ex_data_X509_STORE_CTX_idx)                                                          \
    F(SSL_get_finished)                                                                            \
    F(SSL_get_servername)                                                                          \
    F(SSL_get_session)                                                                             \
    F(SSL_get_verify_callback)                                                                     \
    F(SSL_get_verify_mode)                                                                         \
    F(SSL_is_server)                                                                               \
    F(SSL_new)                                                                                     \
    F(SSL_session_reused)                                                                          \
    F(SSL_set0_CA_list)                                                                            \
    F(SSL_set_accept_state)                                                                        \
    F(SSL_set_bio)                                                                                 \
    F(SSL_set_client_CA_list)                                                                      \
    F(SSL_set_connect_state)                                                                       \
    F(SSL_set_ex_data)                                                                             \
    F(SSL_set_num_tickets)                                                                         \
    F(SSL_set_options)                                                                             \
    F(SSL_set_session)                                                                             \
    F(SSL_set_session_id_context)                                                                  \
    F(SSL_set_verify)                                                                              \
    F(SSL_use_cert_and_key)                                                                        \
    F(TLS_client_method)                                                                           \
    F(TLS_server_method)                                                                           \
    F(ASN1_TIME_diff)                                                                              \
    F(BIO_new_bio_pair)                                                                            \
    F(CRYPTO_get_ex_new_index)                                                                     \
    F(CRYPTO_memdup)                                                                               \
    F(ERR_peek_last_error)                                                                         \
    F(ERR_pop_to_mark)                                                                             \
    F(ERR_reason_error_string)                                                                     \
    F(ERR_set_mark)                                                                                \
    F(EVP_Digest)                                                                                  \
    F(EVP_PKEY_free)                                                                               \
    F(OPENSSL_sk_new_null)                                                                         \
    F(OPENSSL_sk_num)                                                                              \
    F(OPENSSL_sk_pop_free)                                                                         \
    F(OPENSSL_sk_push)                                                                             \
    F(OPENSSL_sk_value)                                                                            \
    F(OpenSSL_version)                                                                             \
    F(X509_CRL_free)                                                                               \
    F(X509_NAME_dup)                                                                               \
    F(X509_NAME_free)                                                                              \
    F(X509_STORE_CTX_get0_chain)                                                                   \
    F(X509_STORE_CTX_get_error)                                                                    \
    F(X509_STORE_CTX_get_error_depth)                                                              \
    F(X509_STORE_CTX_get_ex_data)                                                                  \
    F(X509_STORE_CTX_set_error)                                                                    \
    F(X509_STORE_add_cert)                                                                         \
    F(X509_STORE_add_crl)                                                                          \
    F(X509_STORE_free)                                                                             \
    F(X509_STORE_get0_param)                                                                       \
    F(X509_STORE_new)                                                                              \
    F(X509_STORE_set_flags)                                                                        \
    F(X509_VERIFY_PARAM_clear_flags)                                                               \
    F(X509_VERIFY_PARAM_free)                                                                      \
    F(X509_VERIFY_PARAM_get_depth)                                                                 \
    F(X509_VERIFY_PARAM_get_flags)                                                                 \
    F(X509_VERIFY_PARAM_inherit)                                                                   \
    F(X509_VERIFY_PARAM_new)                                                                       \
    F(X509_VERIFY_PARAM_set1)                                                                      \
    F(X509_check_private_key)                                                                      \
    F(X509_check_purpose)                                                                          \
    F(X509_free)                                                                                   \
    F(X509_get0_notAfter)                                                                          \
    F(X509_get_subject_name)                                                                       \
    F(d2i_AutoPrivateKey)                                                                          \
    F(d2i_X509)                                                                                    \
    F(d2i_X509_CRL)                                                                                \
    F(i2d_X509_NAME)

struct cro_libssl {
#define CRO_POINTER(name) __typeof__(name) *name;
    CRO_LIBSSL_FUNCTIONS(CRO_POINTER)
#undef CRO_POINTER
    /* Those that exist in some releases only, or whose type depends on the release. */
    int64_t (*session_time)(const SSL_SESSION *session);
    const EVP_MD *(*fetch_sha256)(void);
};

extern struct cro_libssl cro_libssl;

/* The typed stacks of OpenSSL are inline functions that call it directly: these take the way
 * through the table. */

static inline int cro_stack_count(const void *stack) {
    return cro_libssl.OPENSSL_sk_num((const OPENSSL_STACK *)stack);
}

static inline void *cro_stack_item(const void *stack, int index) {
    return cro_libssl.OPENSSL_sk_value((const OPENSSL_STACK *)stack, index);
}

#endif
