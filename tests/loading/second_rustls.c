#include "second_rustls.h"

rustls_functions second_rustls(void) {
#define X(name) name,
    return (rustls_functions){RUSTLS_FUNCTIONS(X)};
#undef X
}
