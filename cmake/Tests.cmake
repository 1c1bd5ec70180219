# ctest: the C and C++ tests, and checks of what a user of the library meets: headers, exported
# symbols, and projects that consume the installed package.

set(tests_dir "${CMAKE_CURRENT_SOURCE_DIR}/tests")
set(test_environment
    "CERTRELOAD_EXAMPLES_DIR=${CMAKE_CURRENT_BINARY_DIR}/examples" "CERTRELOAD_TESTS_DIR=${tests_dir}")

# test_name.c is the program and the test c_name.
function(certreload_add_program_test source support)
    cmake_path(GET source STEM stem)
    cmake_path(GET source EXTENSION LAST_ONLY extension)
    string(REGEX REPLACE "^test_" "_" name "${stem}")
    string(SUBSTRING "${extension}${name}" 1 -1 name)
    add_executable(${name} "${source}" ${support})
    target_link_libraries(${name} PRIVATE certreload_strict ${ARGN})
    set_target_properties(
        ${name} PROPERTIES C_EXTENSIONS OFF CXX_EXTENSIONS OFF
                           RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/tests")
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 300 ENVIRONMENT "${test_environment}")
endfunction()

# Every test_*.c and test_*.cpp is a program and a test of its own, named after its file.
function(certreload_add_program_tests language directory support)
    file(GLOB sources CONFIGURE_DEPENDS "${directory}/test_*.${language}")
    foreach(source IN LISTS sources)
        certreload_add_program_test("${source}" "${support}")
    endforeach()
endfunction()

# A check in a shell script; it ends with 77 where something that it needs is not installed.
function(certreload_add_check name script)
    add_test(NAME ${name} COMMAND sh "${tests_dir}/${script}" ${ARGN})
    set_tests_properties(${name} PROPERTIES TIMEOUT 900 SKIP_RETURN_CODE 77)
endfunction()

set(c_support)
foreach(support support tls host children)
    list(APPEND c_support "${tests_dir}/c/${support}.c")
endforeach()
certreload_add_program_tests(c "${tests_dir}/c" "${c_support}")
certreload_add_program_tests(cpp "${tests_dir}/cpp" "")

# Event loops of others, where they are installed.
foreach(loop libevent libuv)
    certreload_find_loop(${loop})
    if(TARGET PkgConfig::${loop})
        certreload_add_program_test("${tests_dir}/c/loops/test_${loop}.c" "${c_support}" PkgConfig::${loop})
    else()
        message(WARNING "NOT TESTED: ${loop}, for its development files are not installed")
    endif()
endforeach()

# Threads do everything to a few handles at once, for as long as CERTRELOAD_CHAOS_SECONDS says.
file(GLOB chaos_sources CONFIGURE_DEPENDS "${tests_dir}/chaos/*.c")
add_executable(chaos ${chaos_sources} "${tests_dir}/c/support.c" "${tests_dir}/c/tls.c")
target_link_libraries(chaos PRIVATE certreload_strict)
set_target_properties(chaos PROPERTIES C_EXTENSIONS OFF RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/tests")
set(CERTRELOAD_CHAOS_SECONDS 30 CACHE STRING "How long the chaos test runs")
add_test(NAME chaos COMMAND chaos)
set_tests_properties(
    chaos PROPERTIES TIMEOUT 900 COST 30 ENVIRONMENT "${test_environment};CERTRELOAD_CHAOS_SHOW=1;CERTRELOAD_CHAOS_SECONDS=${CERTRELOAD_CHAOS_SECONDS}")

find_package(Python3 COMPONENTS Interpreter)
if(NOT CERTRELOAD_BUILD_EXAMPLES OR NOT Python3_FOUND)
    message(WARNING "the example servers are not tested: that takes them and Python 3")
else()
    add_test(NAME examples COMMAND "${Python3_EXECUTABLE}" -B "${tests_dir}/examples.py")
    set_tests_properties(examples PROPERTIES TIMEOUT 600 COST 50 ENVIRONMENT "${test_environment}")
    # Renewals by mixed methods, broken pairs among them, with clients that check every answer.
    set(load "${Python3_EXECUTABLE}" -B "${tests_dir}/load/load.py" --server "$<TARGET_FILE:https_server>")
    add_test(NAME load COMMAND ${load} --renewals 200 --workers 4)
    add_test(NAME sighup_storm COMMAND ${load} --renewals 50 --storm 100000 --poll 86400000)
    set_tests_properties(load sighup_storm PROPERTIES TIMEOUT 600 COST 40)
    # lego, certbot and dehydrated renew from a certificate authority of our own.
    add_test(NAME acme COMMAND "${Python3_EXECUTABLE}" -B "${tests_dir}/acme/acme.py")
    set_tests_properties(
        acme PROPERTIES TIMEOUT 600 COST 70 SKIP_RETURN_CODE 77 ENVIRONMENT "${test_environment}")
endif()

if(CERTRELOAD_BUILD_OPENSSL)
    include(cmake/OpenSslTests.cmake)
endif()

# What strace sees; each ends with 77 where there is no strace, or where it may not trace.
if(CERTRELOAD_BUILD_EXAMPLES AND Python3_FOUND)
    add_executable(strace_connections "${tests_dir}/strace/connections.c")
    target_link_libraries(strace_connections PRIVATE certreload_strict)
    set_target_properties(
        strace_connections PROPERTIES C_EXTENSIONS OFF
                                      RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/tests")
    set(strace "${Python3_EXECUTABLE}" -B "${tests_dir}/strace")
    add_test(
        NAME strace_idle
        COMMAND ${strace}/idle.py "$<TARGET_FILE:https_server>" "$<TARGET_FILE:epoll_server>")
    add_test(NAME strace_connections COMMAND ${strace}/connections.py "$<TARGET_FILE:strace_connections>")
    set_tests_properties(strace_idle strace_connections PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()

if(Python3_FOUND)
    add_test(NAME metrics COMMAND "${Python3_EXECUTABLE}" -B "${tests_dir}/metrics.py" "${library_dir}/${shared_file}")
    set_tests_properties(metrics PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
    # Of the machine code that is installed: what an optimiser leaves is what a signal handler runs.
    add_test(
        NAME signal_safety
        COMMAND "${Python3_EXECUTABLE}" -B "${tests_dir}/signal_safety/check.py"
                "${library_dir}/${shared_file}" "${CMAKE_C_COMPILER}")
    set_tests_properties(signal_safety PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()

set(public_include_dir "${CMAKE_CURRENT_SOURCE_DIR}/include")
set(header_dirs "${public_include_dir}" "${generated_include_dir}")
if(CERTRELOAD_BUILD_OPENSSL)
    list(APPEND header_dirs "${CMAKE_CURRENT_SOURCE_DIR}/adapters/openssl/include")
endif()
certreload_add_check(headers_gcc c/check_headers.sh gcc g++ ${header_dirs})
certreload_add_check(headers_clang c/check_headers.sh clang clang++ ${header_dirs})
certreload_add_check(
    symbols c/check_symbols.sh "${library_dir}/${shared_file}" "${public_include_dir}"
    "${generated_include_dir}" "${CMAKE_C_COMPILER}")

certreload_add_check(
    readme c/check_readme.sh "${CMAKE_CURRENT_SOURCE_DIR}/README.md" "${CMAKE_C_COMPILER}"
    "${CMAKE_CXX_COMPILER}" ${header_dirs})
if(CERTRELOAD_BUILD_OPENSSL)
    certreload_add_check(
        readme_openssl c/check_readme.sh "${CMAKE_CURRENT_SOURCE_DIR}/docs/openssl.md" "${CMAKE_C_COMPILER}"
        "${CMAKE_CXX_COMPILER}" ${header_dirs})
endif()

# A library from elsewhere has no static sibling, and may not go into a process by itself.
if(NOT CERTRELOAD_PREBUILT)
    include(cmake/LoadingTests.cmake)
endif()

set(consumer_arguments
    "${CMAKE_COMMAND}" "${CMAKE_CURRENT_SOURCE_DIR}" "${CMAKE_CURRENT_BINARY_DIR}"
    "${CERTRELOAD_CARGO_TARGET_DIR}")
foreach(consumer find_package add_subdirectory pkg_config)
    certreload_add_check(consumer_${consumer} consumer/run.sh ${consumer} ${consumer_arguments})
endforeach()
# Installing writes a list into the build tree.
set_tests_properties(consumer_find_package consumer_pkg_config PROPERTIES RESOURCE_LOCK install)
