# `cmake --install` gives headers, the archive, find_package(weft) and pkg-config weft.
include(CMakePackageConfigHelpers)

install(TARGETS weft EXPORT weftTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/weft DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp" PATTERN "*_support.hpp" EXCLUDE)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/weft)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/weft)
install(EXPORT weftTargets NAMESPACE weft:: DESTINATION ${package_dir})
configure_package_config_file(cmake/weftConfig.cmake.in ${PROJECT_BINARY_DIR}/weftConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/weftConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/weftConfig.cmake ${PROJECT_BINARY_DIR}/weftConfigVersion.cmake
        DESTINATION ${package_dir})

list(TRANSFORM WEFT_USAGE_DEFINITIONS PREPEND "-D" OUTPUT_VARIABLE cflags)
list(APPEND cflags ${WEFT_USAGE_OPTIONS})
list(JOIN cflags " " own_cflags)
list(REMOVE_ITEM cflags -fcoro-aligned-allocation  # the user's compiler may be GCC, which has no such options
     -Wno-coro-non-aligned-allocation-function)
list(JOIN cflags " " WEFT_PC_CFLAGS)
list(JOIN WEFT_PRIVATE_LIBS " " WEFT_PC_LIBS)
configure_file(cmake/weft.pc.in ${PROJECT_BINARY_DIR}/weft.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/weft.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# How to compile one file against this build, a key and its value a line: for ./run and tools/, which
# add the include folder (it may have a space in it).
string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
list(JOIN WEFT_SANITIZE_FLAGS " " sanitize)
file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/flags.txt CONTENT
"compiler ${CMAKE_CXX_COMPILER}
cxxflags -std=c++23 ${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${type}} ${own_cflags} ${sanitize} -pthread
archive $<TARGET_FILE:weft>
libs ${WEFT_PC_LIBS}
active ${WEFT_ACTIVE}
")
