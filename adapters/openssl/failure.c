#include "failure.h"

#include <stdbool.h>

static _Thread_local const char *last_reason = "";
static _Thread_local bool is_of_core;

certreload_result cro_fail(certreload_result result, const char *reason) {
    last_reason = reason;
    is_of_core = false;
    return result;
}

certreload_result cro_fail_as_core(certreload_result result) {
    is_of_core = true;
    return result;
}

const char *certreload_openssl_last_error(void) {
    return is_of_core ? certreload_last_error() : last_reason;
}
