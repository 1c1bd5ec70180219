# Tests of the adapter for OpenSSL: each test_*.c is a program and a test.

set(openssl_support "${tests_dir}/openssl/peers.c" "${tests_dir}/c/support.c")
file(GLOB openssl_tests CONFIGURE_DEPENDS "${tests_dir}/openssl/test_*.c")
foreach(source IN LISTS openssl_tests)
    certreload_add_program_test("${source}" "${openssl_support}" certreload::openssl)
endforeach()
