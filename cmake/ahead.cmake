# What most tests include of others, compiled once, ahead of them: a second less for each (WEFT_PRECOMPILE).
# Nothing of weft, or a change of ours would compile every test anew. Not in dev and gcc, where a test that
# forgets one of these headers is to be seen.
set(WEFT_AHEAD
    gtest/gtest.h algorithm array atomic chrono coroutine cstdint deque exception expected functional memory
    mutex optional span stdexcept string string_view thread tuple type_traits utility variant vector)

# For <target>; others with the same flags take it over with target_precompile_headers(... REUSE_FROM <target>).
function(weft_compile_ahead target)
  list(TRANSFORM WEFT_AHEAD REPLACE "(.+)" "<\\1>" OUTPUT_VARIABLE headers)
  target_precompile_headers(${target} PRIVATE ${headers})
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    return()
  endif()
  # The same file whenever it is made, or ccache would know no test again.
  target_compile_options(${target} PUBLIC "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
  # CMake hands it over as -Xclang -include-pch; of this ccache sees that the path is one of the tree.
  set(CMAKE_CXX_COMPILE_OPTIONS_USE_PCH -include <PCH_HEADER> PARENT_SCOPE)

  # The file names the folder that it was made in, so a clone elsewhere has another one. ccache takes a
  # *.sum beside it in its place (CCACHE_PCH_EXTSUM): what these headers say to this compiler. It is made
  # when the build is configured: who installs another GoogleTest configures anew.
  list(TRANSFORM WEFT_AHEAD REPLACE "(.+)" "#include <\\1>\n" OUTPUT_VARIABLE lines)
  list(JOIN lines "" text)
  set(source ${PROJECT_BINARY_DIR}/ahead.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "${text}" @ONLY)
  execute_process(
    COMMAND ${CMAKE_CXX_COMPILER} ${CMAKE_CXX23_STANDARD_COMPILE_OPTION} ${WEFT_SANITIZE_FLAGS} -E -P -dD -x c++ -
    INPUT_FILE ${source} OUTPUT_VARIABLE said RESULT_VARIABLE code ERROR_QUIET)
  set(sum ${PROJECT_BINARY_DIR}/CMakeFiles/${target}.dir/cmake_pch.hxx.pch.sum)
  if(code EQUAL 0)
    string(SHA256 hash "${said}")
    file(CONFIGURE OUTPUT ${sum} CONTENT "${hash}\n" @ONLY)
  else()
    file(REMOVE ${sum})
  endif()
endfunction()
