# Tests of the adapter for OpenSSL: each test_*.c is a program and a test.

set(openssl_support "${tests_dir}/openssl/peers.c" "${tests_dir}/c/support.c" "${tests_dir}/c/children.c")
file(GLOB openssl_tests CONFIGURE_DEPENDS "${tests_dir}/openssl/test_*.c")
foreach(source IN LISTS openssl_tests)
    certreload_add_program_test("${source}" "${openssl_support}" certreload::openssl)
endforeach()

certreload_add_check(openssl_live_contexts openssl/check_live_contexts.sh "${CMAKE_CURRENT_SOURCE_DIR}/adapters/openssl")

# Renewals under load, with clients that check every answer.
if(CERTRELOAD_BUILD_EXAMPLES AND Python3_FOUND)
    add_test(
        NAME load_openssl
        COMMAND "${Python3_EXECUTABLE}" -B "${tests_dir}/load/load.py" --server "$<TARGET_FILE:openssl_server>"
                --renewals 200 --workers 4)
    set_tests_properties(load_openssl PROPERTIES TIMEOUT 600 COST 40)
endif()
