# The same four programs for each way of getting at the library: C and C++, shared and static.

foreach(language c cpp)
    add_executable(${language}_shared ../consumer.${language})
    target_link_libraries(${language}_shared PRIVATE certreload::certreload)
    add_executable(${language}_static ../consumer.${language})
    target_link_libraries(${language}_static PRIVATE certreload::static)
endforeach()
set_target_properties(
    c_shared c_static cpp_shared cpp_static
    PROPERTIES C_STANDARD 11 CXX_STANDARD 17
               RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/programs")

# With the adapter for OpenSSL, where it is.
if(TARGET certreload::openssl)
    add_executable(openssl_shared ../consumer_openssl.c)
    target_link_libraries(openssl_shared PRIVATE certreload::openssl)
    add_executable(openssl_static ../consumer_openssl.c)
    target_link_libraries(openssl_static PRIVATE certreload::openssl_static)
    set_target_properties(
        openssl_shared openssl_static
        PROPERTIES C_STANDARD 11 RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/programs")
endif()
