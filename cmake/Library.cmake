# The library itself: cargo builds it, and two imported targets stand for what comes out.

find_program(CERTRELOAD_CARGO cargo HINTS "$ENV{HOME}/.cargo/bin" REQUIRED)

set(library_dir "${CMAKE_CURRENT_BINARY_DIR}/lib")
set(generated_include_dir "${CMAKE_CURRENT_BINARY_DIR}/include")
set(shared_file "libcertreload.so.${PROJECT_VERSION}")
set(shared_soname "libcertreload.so.${PROJECT_VERSION_MAJOR}")
set(static_file libcertreload.a)
set(openssl_file "libcertreload_openssl.so.${PROJECT_VERSION}")
set(openssl_soname "libcertreload_openssl.so.${PROJECT_VERSION_MAJOR}")

# INTERFACE_INCLUDE_DIRECTORIES must exist when CMake generates.
file(MAKE_DIRECTORY "${library_dir}" "${generated_include_dir}")

# Runs at every build, for only cargo knows whether its sources changed; files that come out the
# same keep their time stamps, so nothing is linked anew.
add_custom_target(
    certreload_cargo ALL
    COMMAND
        "${CMAKE_COMMAND}"
        "-DCARGO=${CERTRELOAD_CARGO}"
        "-DSOURCE_DIR=${CMAKE_CURRENT_SOURCE_DIR}"
        "-DTARGET_DIR=${CERTRELOAD_CARGO_TARGET_DIR}"
        "-DLIBRARY_DIR=${library_dir}"
        "-DINCLUDE_DIR=${generated_include_dir}"
        "-DSHARED_FILE=${shared_file}"
        "-DSHARED_SONAME=${shared_soname}"
        "-DPREBUILT=${CERTRELOAD_PREBUILT}"
        -P "${CMAKE_CURRENT_LIST_DIR}/CargoBuild.cmake"
    BYPRODUCTS
        "${library_dir}/${shared_file}"
        "${library_dir}/${shared_soname}"
        "${library_dir}/libcertreload.so"
        "${library_dir}/${static_file}"
        "${generated_include_dir}/rustls.h"
    USES_TERMINAL
    VERBATIM)

# What `cargo rustc --release --crate-type staticlib -- --print native-static-libs` says, but for gcc_s
# and c: the compiler adds them, in the form that suits the program (with -static there is no gcc_s).
set(CERTRELOAD_SYSTEM_LIBRARIES util rt pthread m dl)

add_library(certreload::certreload SHARED IMPORTED GLOBAL)
set_target_properties(
    certreload::certreload
    PROPERTIES IMPORTED_LOCATION "${library_dir}/${shared_file}"
               IMPORTED_SONAME "${shared_soname}")

add_library(certreload::static STATIC IMPORTED GLOBAL)
set_target_properties(
    certreload::static
    PROPERTIES IMPORTED_LOCATION "${library_dir}/${static_file}"
               INTERFACE_LINK_LIBRARIES "${CERTRELOAD_SYSTEM_LIBRARIES}")

foreach(library certreload::certreload certreload::static)
    target_include_directories(
        ${library} INTERFACE "${CMAKE_CURRENT_SOURCE_DIR}/include" "${generated_include_dir}")
    add_dependencies(${library} certreload_cargo)
endforeach()
