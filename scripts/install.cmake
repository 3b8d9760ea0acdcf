# The programs, and what code outside the tree needs. For a strategy: find_package(proberace), target
# proberace::plugin. For a program that probes itself: COMPONENTS library, target proberace::proberace.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
add_library(proberace_library STATIC $<TARGET_OBJECTS:proberace_harness> $<TARGET_OBJECTS:proberace_traps>
                                     $<TARGET_OBJECTS:proberace_strategies>)
set_target_properties(proberace_library PROPERTIES OUTPUT_NAME proberace)
install(TARGETS proberace proberace-controlled proberace_library)
install(DIRECTORY harness/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/proberace/harness
        FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${CMAKE_BINARY_DIR}/workloads DESTINATION ${CMAKE_INSTALL_BINDIR})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/proberace)
configure_package_config_file(scripts/proberaceConfig.cmake.in ${CMAKE_BINARY_DIR}/proberaceConfig.cmake
                              INSTALL_DESTINATION ${package}
                              PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_BINDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/proberaceConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/proberaceConfig.cmake ${CMAKE_BINARY_DIR}/proberaceConfigVersion.cmake
        DESTINATION ${package})
