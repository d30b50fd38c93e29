# Every switch of the build, with what it is for. The presets set them; a project that embeds weft by
# add_subdirectory gets the library alone.

option(WEFT_BUILD_TESTS "Tests, stress tests, models and fuzz replays" ${PROJECT_IS_TOP_LEVEL})
option(WEFT_BUILD_MODELS "The interleaving models (*_model.cpp)" ${PROJECT_IS_TOP_LEVEL})
option(WEFT_ONLY_MODELS "Nothing but the models" OFF)
option(WEFT_BUILD_EXAMPLES "examples/*.cpp" ${PROJECT_IS_TOP_LEVEL})
option(WEFT_BUILD_BENCHMARKS "*_bench.cpp and benchmarks/" OFF)
option(WEFT_CHECKS "Layer, include-cost and documentation checks as tests" OFF)
# One preset a compiler runs these (dev, gcc): no other flag of a build changes anything about them.
option(WEFT_COMPILER_CHECKS "What the compiler must take and must refuse, as tests" ${PROJECT_IS_TOP_LEVEL})
option(WEFT_PRECOMPILE "Tests see GoogleTest and the standard headers compiled ahead" OFF)
option(WEFT_FUZZ "A libFuzzer program beside each fuzz replay (Clang only)" OFF)
option(WEFT_WERROR "Warnings are errors" ${PROJECT_IS_TOP_LEVEL})
option(WEFT_CENSUS "Count live frames, jobs, fds, timers and threads" OFF)
option(WEFT_INFINITE_TIMEOUTS "No internal park wakes by itself: a lost wake hangs, and is seen" OFF)
set(WEFT_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them: address,undefined or thread")

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_EXTENSIONS OFF)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
  endif()
endif()

# ccache: paths are made relative to the tree, so that a fresh clone elsewhere finds the objects of an
# earlier one. The sloppiness and the sum are for headers that are compiled ahead (cmake/ahead.cmake); no
# source of ours has __DATE__ or __TIME__ in it. The launcher carries the settings, because a plain
# `cmake --build` has no environment of ours.
find_program(WEFT_CCACHE ccache)
if(PROJECT_IS_TOP_LEVEL AND WEFT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
               CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_PCH_EXTSUM=1 ${WEFT_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()
