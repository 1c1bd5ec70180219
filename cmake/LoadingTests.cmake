# ctest: the ways in which the library gets into a process, and what it meets there: plugins, other
# allocators, other TLS libraries, a second rustls-ffi, programs that are linked statically.

set(loading_dir "${tests_dir}/loading")
set(support "${tests_dir}/c/support.c")

# certreload_add_loading_test(name sources...): a program that is not linked with the library yet.
function(certreload_add_loading_test name)
    add_executable(${name} ${ARGN} "${support}")
    target_include_directories(
        ${name} PRIVATE "${tests_dir}/c" "${loading_dir}"
                        "$<TARGET_PROPERTY:certreload::certreload,INTERFACE_INCLUDE_DIRECTORIES>")
    target_compile_features(${name} PRIVATE c_std_11)
    target_compile_options(${name} PRIVATE -Wall -Wextra -Wpedantic -Werror)
    target_link_libraries(${name} PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
    add_dependencies(${name} certreload_cargo)
    set_target_properties(
        ${name} PROPERTIES C_EXTENSIONS OFF RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/tests")
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 300)
endfunction()

# --- A plugin, and a host that is not linked with the library ---

add_library(test_plugin MODULE "${loading_dir}/plugin.c")
target_link_libraries(test_plugin PRIVATE certreload_strict)
set_target_properties(
    test_plugin PROPERTIES PREFIX "" C_EXTENSIONS OFF
                           LIBRARY_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/tests")
certreload_add_loading_test(
    c_plugin "${loading_dir}/plugin_host.c" "${loading_dir}/peer.c" "${loading_dir}/rustls_peer.c")
add_dependencies(c_plugin test_plugin)
target_compile_definitions(
    c_plugin PRIVATE CERTRELOAD_LIBRARY="$<TARGET_FILE:certreload::certreload>"
                     CERTRELOAD_PLUGIN="$<TARGET_FILE:test_plugin>")
# What support.c does for programs that are linked with the library is left out.
target_compile_options(c_plugin PRIVATE -ffunction-sections)
target_link_options(c_plugin PRIVATE -Wl,--gc-sections)

# --- Other allocators ---

function(certreload_add_allocator_tests name library)
    foreach(program IN LISTS ARGN)
        certreload_add_check(
            ${name}_${program} loading/with_allocator.sh ${library} "$<TARGET_FILE:${program}>")
    endforeach()
endfunction()

certreload_add_allocator_tests(jemalloc libjemalloc.so.2 c_lifecycle c_outlive c_exit cpp_wrapper)
certreload_add_allocator_tests(tcmalloc libtcmalloc_minimal.so.4 c_lifecycle c_outlive)
certreload_add_allocator_tests(mimalloc libmimalloc.so.2 c_lifecycle c_outlive)

# --- Programs that hold the library ---

# certreload_add_static_test(name test options...): a C test, linked statically.
function(certreload_add_static_test name test)
    certreload_add_loading_test(
        ${name} "${tests_dir}/c/test_${test}.c" "${tests_dir}/c/tls.c")
    target_compile_options(${name} PRIVATE -ffunction-sections -fdata-sections)
    target_link_libraries(${name} PRIVATE certreload::static)
    target_link_options(${name} PRIVATE -Wl,--gc-sections ${ARGN})
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${test_environment}")
endfunction()

foreach(test lifecycle exit)
    certreload_add_static_test(static_${test} ${test} -pie)
    target_compile_options(static_${test} PRIVATE -fPIE)
endforeach()
# With the C library in it as well.
find_library(CERTRELOAD_STATIC_C_LIBRARY libc.a)
mark_as_advanced(CERTRELOAD_STATIC_C_LIBRARY)
if(CERTRELOAD_STATIC_C_LIBRARY)
    certreload_add_static_test(fully_static_lifecycle lifecycle -static)
endif()

# --- OpenSSL, GnuTLS and a second rustls-ffi in the same process ---

find_package(OpenSSL)
find_package(GnuTLS)
if(NOT OPENSSL_FOUND OR NOT GNUTLS_FOUND)
    message(WARNING "certreload is not tested beside OpenSSL and GnuTLS: that takes both, to compile with")
    return()
endif()

# Built as the Rust tests are, so that there is little left to build; its Cargo.lock follows the library's.
set(second_dir "${CMAKE_CURRENT_BINARY_DIR}/second")
set(second_rustls "${CERTRELOAD_CARGO_TARGET_DIR}/debug/libsecond_rustls.a")
configure_file("${loading_dir}/second/Cargo.toml" "${second_dir}/Cargo.toml" COPYONLY)
configure_file("${loading_dir}/second/second.rs" "${second_dir}/second.rs" COPYONLY)
configure_file("${loading_dir}/second/Cargo.lock" "${second_dir}/Cargo.lock" COPYONLY)
add_custom_command(
    OUTPUT "${second_rustls}"
    COMMAND "${CMAKE_COMMAND}" -E env --unset=MAKEFLAGS --unset=MFLAGS
            "${CERTRELOAD_CARGO}" build --locked --quiet --manifest-path "${second_dir}/Cargo.toml"
            --target-dir "${CERTRELOAD_CARGO_TARGET_DIR}"
    DEPENDS "${loading_dir}/second/Cargo.toml" "${loading_dir}/second/Cargo.lock" certreload_cargo
    # Where .cargo/config.toml is.
    WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
    USES_TERMINAL VERBATIM)
add_custom_target(certreload_second_rustls DEPENDS "${second_rustls}")

# certreload_add_beside_test(name names_lead_to warns_of libraries...): links in the order given.
function(certreload_add_beside_test name names_lead_to warns_of)
    set(sources beside peer rustls_peer openssl_peer gnutls_peer)
    list(TRANSFORM sources PREPEND "${loading_dir}/")
    list(TRANSFORM sources APPEND ".c")
    certreload_add_loading_test(${name} ${sources})
    add_dependencies(${name} certreload_second_rustls)
    target_compile_definitions(${name} PRIVATE NAMES_LEAD_TO="${names_lead_to}" WARNS_OF="${warns_of}")
    target_link_libraries(${name} PRIVATE ${ARGN} OpenSSL::SSL GnuTLS::GnuTLS m)
endfunction()

# The names are those of the library where that comes first, and the program's own where they are in
# it; which the library does not mind.
certreload_add_beside_test(
    beside_library_first libcertreload.so "" certreload::certreload "${second_rustls}")
certreload_add_beside_test(
    beside_library_last beside_library_last beside_library_last "${second_rustls}" certreload::certreload)
# Without PIE the program has stubs of its own under the names of functions whose address it takes; the
# names lead to these, and they to the library.
certreload_add_beside_test(beside_no_pie beside_no_pie "" certreload::certreload)
target_compile_options(beside_no_pie PRIVATE -fno-pie)
target_link_options(beside_no_pie PRIVATE -no-pie)
foreach(program library_first library_last no_pie)
    target_sources(beside_${program} PRIVATE "${loading_dir}/second_rustls.c")
endforeach()

# A copy in a shared library: one that is hidden from all others, and one that is visible to all.
foreach(kind hidden visible)
    add_library(test_${kind}_rustls SHARED "${loading_dir}/second_rustls.c")
    add_dependencies(test_${kind}_rustls certreload_second_rustls)
    target_include_directories(
        test_${kind}_rustls PRIVATE "$<TARGET_PROPERTY:certreload::certreload,INTERFACE_INCLUDE_DIRECTORIES>")
    target_link_libraries(test_${kind}_rustls PRIVATE "${second_rustls}" m)
    set_target_properties(
        test_${kind}_rustls PROPERTIES C_EXTENSIONS OFF
                                       LIBRARY_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/tests")
endforeach()
target_link_options(test_hidden_rustls PRIVATE -Wl,--exclude-libs,ALL)
certreload_add_beside_test(
    beside_hidden_first libtest_hidden_rustls.so "" test_hidden_rustls certreload::certreload)
certreload_add_beside_test(
    beside_hidden_last libtest_hidden_rustls.so "" certreload::certreload test_hidden_rustls)
certreload_add_beside_test(
    beside_visible_first libtest_visible_rustls.so libtest_visible_rustls.so
    test_visible_rustls certreload::certreload)
certreload_add_beside_test(
    beside_visible_last libcertreload.so libtest_visible_rustls.so certreload::certreload test_visible_rustls)

# A program with functions of all those names that must not be called by the library.
set(traps "#include <stdlib.h>\n")
file(STRINGS "${tests_dir}/symbols.txt" rustls_names REGEX "^rustls_")
foreach(rustls_name IN LISTS rustls_names)
    string(APPEND traps "void ${rustls_name}(void);\nvoid ${rustls_name}(void) { abort(); }\n")
endforeach()
file(CONFIGURE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/traps.c" CONTENT "${traps}" @ONLY)
certreload_add_beside_test(beside_traps beside_traps beside_traps certreload::certreload)
target_sources(
    beside_traps PRIVATE "${loading_dir}/second_rustls.c" "${CMAKE_CURRENT_BINARY_DIR}/traps.c")
target_compile_definitions(beside_traps PRIVATE NAMES_ARE_TRAPS)

certreload_add_beside_test(beside_static beside_static "" certreload::static)
target_sources(beside_static PRIVATE "${loading_dir}/second_rustls.c")
target_compile_definitions(beside_static PRIVATE CERTRELOAD_IS_STATIC)
