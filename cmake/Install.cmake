# `cmake --install`: libraries, headers, the CMake package, certreload.pc and the papers. The
# installed tree may be moved: nothing in it names the place where it was put.

include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/certreload")
set(pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

install(
    PROGRAMS
        "${library_dir}/${shared_file}"
        "${library_dir}/${shared_soname}"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    COMPONENT runtime)
install(
    PROGRAMS "${library_dir}/libcertreload.so"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    COMPONENT development)
install(
    FILES "${library_dir}/${static_file}"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    COMPONENT development)
install(
    FILES
        include/certreload.h
        include/certreload.hpp
        "${generated_include_dir}/rustls.h"
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    COMPONENT development)

# LICENSE-THIRD-PARTY, which scripts/notices.py writes, is among them.
file(GLOB papers CONFIGURE_DEPENDS LICENSE* README.md CHANGELOG.md)
install(
    FILES ${papers}
    DESTINATION "${CMAKE_INSTALL_DOCDIR}"
    COMPONENT runtime)

configure_package_config_file(
    cmake/certreloadConfig.cmake.in certreloadConfig.cmake
    INSTALL_DESTINATION "${package_dir}"
    PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
# The SONAME carries the major number, so that is what has to agree.
write_basic_package_version_file(certreloadConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(
    FILES
        "${CMAKE_CURRENT_BINARY_DIR}/certreloadConfig.cmake"
        "${CMAKE_CURRENT_BINARY_DIR}/certreloadConfigVersion.cmake"
    DESTINATION "${package_dir}"
    COMPONENT development)

# pkg-config finds the prefix from where certreload.pc lies, unless a directory was given as an
# absolute path: then that is what the builder wants.
file(RELATIVE_PATH pc_to_prefix "/prefix/${pkgconfig_dir}" "/prefix")
string(REGEX REPLACE "/$" "" pc_to_prefix "${pc_to_prefix}")
set(pc_prefix "\${pcfiledir}/${pc_to_prefix}")
set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
    set(pc_libdir "${CMAKE_INSTALL_LIBDIR}")
endif()
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
endif()
list(TRANSFORM CERTRELOAD_SYSTEM_LIBRARIES PREPEND "-l" OUTPUT_VARIABLE pc_libs_private)
list(JOIN pc_libs_private " " pc_libs_private)
configure_file(cmake/certreload.pc.in certreload.pc @ONLY)
install(
    FILES "${CMAKE_CURRENT_BINARY_DIR}/certreload.pc"
    DESTINATION "${pkgconfig_dir}"
    COMPONENT development)
