# Script: builds the library with cargo and puts what came out where the build tree expects it; or
# takes it from where somebody has built it already.

if(PREBUILT)
    set(out_dir "${PREBUILT}")
    set(artifact_dir "${PREBUILT}")
else()
    # Under make, MAKEFLAGS names a job server that this process was not given.
    unset(ENV{MAKEFLAGS})
    unset(ENV{MFLAGS})
    set(ENV{CARGO_TARGET_DIR} "${TARGET_DIR}")

    # cargo tells in JSON where things are; people read its progress and diagnostics on stderr. Of an
    # rlib, which only other crates want, there can be no link-time optimisation, nor of what is built
    # with it: without it, what each connection passes through is one piece of code.
    execute_process(
        COMMAND "${CARGO}" rustc --release --lib --crate-type cdylib,staticlib --locked
                --message-format=json-render-diagnostics
        WORKING_DIRECTORY "${SOURCE_DIR}"
        OUTPUT_VARIABLE messages
        RESULT_VARIABLE failed)
    if(failed)
        message(FATAL_ERROR "cargo build failed: ${failed}")
    endif()

    # Only this package has a path for an id; all others come from a registry.
    set(ours "\"package_id\":\"path\\+file:[^\"]*\"")
    string(REGEX MATCH "\"build-script-executed\",${ours}[^\n]*\"out_dir\":\"([^\"]*)\"" found "${messages}")
    set(out_dir "${CMAKE_MATCH_1}")
    string(REGEX MATCH "\"compiler-artifact\",${ours}[^\n]*\"([^\"]*)/libcertreload\\.so\"" found "${messages}")
    set(artifact_dir "${CMAKE_MATCH_1}")
    if(NOT out_dir OR NOT artifact_dir)
        message(FATAL_ERROR "cargo did not say where it put the library and its headers")
    endif()
endif()

# The header is taken from the build script's own directory because cargo runs that script only
# when its inputs change, and this build tree may be younger.
configure_file("${out_dir}/include/rustls.h" "${INCLUDE_DIR}/rustls.h" COPYONLY)
configure_file("${artifact_dir}/libcertreload.so" "${LIBRARY_DIR}/${SHARED_FILE}" COPYONLY)
if(EXISTS "${artifact_dir}/libcertreload.a")
    configure_file("${artifact_dir}/libcertreload.a" "${LIBRARY_DIR}/libcertreload.a" COPYONLY)
endif()
file(CREATE_LINK "${SHARED_FILE}" "${LIBRARY_DIR}/${SHARED_SONAME}" SYMBOLIC)
file(CREATE_LINK "${SHARED_SONAME}" "${LIBRARY_DIR}/libcertreload.so" SYMBOLIC)
