# The example servers, compiled as strictly as the tests.

set(examples_dir "${CMAKE_CURRENT_BINARY_DIR}/examples")

function(certreload_add_example source)
    cmake_path(GET source STEM name)
    add_executable(${name} examples-c/${source})
    target_link_libraries(${name} PRIVATE certreload_strict ${ARGN})
    set_target_properties(
        ${name} PROPERTIES C_EXTENSIONS OFF CXX_EXTENSIONS OFF
                           RUNTIME_OUTPUT_DIRECTORY "${examples_dir}")
endfunction()

foreach(source https_server.c epoll_server.c prefork_server.c mtls_server.c mtls_client.c cpp_server.cpp)
    certreload_add_example(${source})
endforeach()

certreload_find_loop(libevent)
if(TARGET PkgConfig::libevent)
    certreload_add_example(libevent_server.c PkgConfig::libevent)
else()
    message(WARNING "libevent_server is not built: the development files of libevent are not installed")
endif()

if(CERTRELOAD_BUILD_OPENSSL)
    certreload_add_example(openssl_server.c certreload::openssl)
else()
    message(WARNING "openssl_server is not built: the development files of OpenSSL are not installed")
endif()
