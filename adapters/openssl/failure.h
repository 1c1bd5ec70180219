/* Why the last call of this thread failed. */

#ifndef CERTRELOAD_OPENSSL_FAILURE_H
#define CERTRELOAD_OPENSSL_FAILURE_H

#include <certreload_openssl.h>

/* Remembers the reason, and returns the result. */
certreload_result cro_fail(certreload_result result, const char *reason);

/* Remembers that the core failed, which has the reason. */
certreload_result cro_fail_as_core(certreload_result result);

#endif
