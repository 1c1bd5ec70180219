# The example servers, compiled as strictly as the tests.

set(examples_dir "${CMAKE_CURRENT_BINARY_DIR}/examples")

foreach(source https_server.c epoll_server.c prefork_server.c cpp_server.cpp)
    cmake_path(GET source STEM name)
    add_executable(${name} examples-c/${source})
    target_link_libraries(${name} PRIVATE certreload_strict)
    set_target_properties(
        ${name} PROPERTIES C_EXTENSIONS OFF CXX_EXTENSIONS OFF
                           RUNTIME_OUTPUT_DIRECTORY "${examples_dir}")
endforeach()
