# What a user of weft must compile with; the same for the layers inside. One list, used by the targets,
# the pkg-config file, `./run FILE.cpp` and the documentation check.
set(WEFT_USAGE_DEFINITIONS "")
foreach(switch WEFT_CENSUS WEFT_INFINITE_TIMEOUTS)
  if(${switch})
    list(APPEND WEFT_USAGE_DEFINITIONS ${switch}=1)
  endif()
endforeach()

set(WEFT_USAGE_OPTIONS "")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Symmetric transfer: without tail calls (-O0, -O1) a loop of a million awaits overflows the stack.
  list(APPEND WEFT_USAGE_OPTIONS -foptimize-sibling-calls)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # It says how a frame is aligned. Without that each takes a multiple of 64 bytes: see frame_pool.hpp.
  # (Of a user's own coroutines that ask for memory without it nothing is said: they are no worse off than before.)
  list(APPEND WEFT_USAGE_OPTIONS -fcoro-aligned-allocation -Wno-coro-non-aligned-allocation-function)
endif()

function(weft_apply_usage target)
  target_compile_features(${target} PUBLIC cxx_std_23)
  target_compile_definitions(${target} PUBLIC ${WEFT_USAGE_DEFINITIONS})
  target_compile_options(${target} PUBLIC
    "$<$<COMPILE_LANG_AND_ID:CXX,${CMAKE_CXX_COMPILER_ID}>:${WEFT_USAGE_OPTIONS}>")
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                              $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} PUBLIC Threads::Threads)
endfunction()

# Our own sources: the warnings, for C++ only: an assembler does not know them.
function(weft_apply_warnings target)
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${WEFT_WARNINGS}>")
endfunction()
