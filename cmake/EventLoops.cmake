# Finds libevent and libuv, which an example and tests use and the library does not.

# Makes the target PkgConfig::NAME where NAME (libevent or libuv) is installed.
function(certreload_find_loop name)
    set(module ${name})
    if(name STREQUAL libevent)
        set(module libevent_core)
    endif()
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND AND NOT TARGET PkgConfig::${name})
        pkg_check_modules(${name} QUIET IMPORTED_TARGET GLOBAL ${module})
    endif()
endfunction()
