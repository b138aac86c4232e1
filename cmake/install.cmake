# What is installed: libcairn, its headers, the cairn command, a CMake package and a pkg-config file.
if(NOT TARGET cairn)
  return()
endif()

target_sources(cairn PUBLIC FILE_SET HEADERS
  BASE_DIRS ${PROJECT_SOURCE_DIR}/base/include ${PROJECT_SOURCE_DIR}/runtime/include
  FILES
    ${PROJECT_SOURCE_DIR}/base/include/cairn/element_type.hpp
    ${PROJECT_SOURCE_DIR}/base/include/cairn/status.hpp
    ${PROJECT_SOURCE_DIR}/runtime/include/cairn/cairn.h
    ${PROJECT_SOURCE_DIR}/runtime/include/cairn/cairn.hpp
    ${PROJECT_SOURCE_DIR}/runtime/include/cairn/options.hpp
    ${PROJECT_SOURCE_DIR}/runtime/include/cairn/serialize.hpp
    ${PROJECT_SOURCE_DIR}/runtime/include/cairn/session.hpp)
# Before 1.0 every minor version may change the interface.
set_target_properties(cairn PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  INSTALL_RPATH_USE_LINK_PATH ON VERIFY_INTERFACE_HEADER_SETS ON)
target_compile_features(cairn INTERFACE $<BUILD_INTERFACE:cxx_std_20>)
# What an installed Cairn needs depends on the program's languages: CairnConfig.cmake finds it.
get_target_property(libraries cairn INTERFACE_LINK_LIBRARIES)
set_target_properties(cairn PROPERTIES INTERFACE_LINK_LIBRARIES
  "$<BUILD_INTERFACE:${libraries}>;$<INSTALL_INTERFACE:Cairn::dependencies>")

option(CAIRN_INSTALL "Install Cairn" ${PROJECT_IS_TOP_LEVEL})
if(NOT CAIRN_INSTALL)
  return()
endif()

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS cairn EXPORT CairnTargets FILE_SET HEADERS)
if(TARGET cairn_command)
  file(RELATIVE_PATH bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set_target_properties(cairn_command PROPERTIES
    INSTALL_RPATH $ORIGIN/${bin_to_lib} INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS cairn_command)
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Cairn)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/CairnConfig.cmake.in
  ${PROJECT_BINARY_DIR}/cmake/CairnConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cmake/CairnConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(EXPORT CairnTargets NAMESPACE Cairn:: DESTINATION ${package_dir})
install(FILES ${PROJECT_BINARY_DIR}/cmake/CairnConfig.cmake
              ${PROJECT_BINARY_DIR}/cmake/CairnConfigVersion.cmake
        DESTINATION ${package_dir})

# cairn.pc names its directories relative to itself, so that an installation can be moved.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_to_prefix
     ${CMAKE_INSTALL_PREFIX}/${pkgconfig_dir} ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pc_to_prefix ${pc_to_prefix})
configure_file(${PROJECT_SOURCE_DIR}/cmake/cairn.pc.in ${PROJECT_BINARY_DIR}/cmake/cairn.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cmake/cairn.pc DESTINATION ${pkgconfig_dir})
