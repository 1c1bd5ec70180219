/* What the linker makes of the names of rustls-ffi where this is linked. */

#ifndef CERTRELOAD_TEST_SECOND_RUSTLS_H
#define CERTRELOAD_TEST_SECOND_RUSTLS_H

#include "rustls_peer.h"

rustls_functions second_rustls(void);

#endif
