# Sanitizers hold for everything that is linked together, so they are set for the whole build.
set(WEFT_SANITIZE_FLAGS "")
if(WEFT_SANITIZE)
  list(APPEND WEFT_SANITIZE_FLAGS -fsanitize=${WEFT_SANITIZE} -fno-sanitize-recover=all
       -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC gives up tail calls when it instruments stack objects or function entries; without them
    # symmetric transfer between coroutines overflows the stack.
    if(WEFT_SANITIZE MATCHES "address")
      list(APPEND WEFT_SANITIZE_FLAGS --param=asan-stack=0)
    endif()
    if(WEFT_SANITIZE MATCHES "thread")
      list(APPEND WEFT_SANITIZE_FLAGS --param=tsan-instrument-func-entry-exit=0)
    endif()
  endif()
endif()
if(WEFT_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "WEFT_FUZZ needs Clang: libFuzzer is part of it")
  endif()
  list(APPEND WEFT_SANITIZE_FLAGS -fsanitize=fuzzer-no-link)
endif()
add_compile_options(${WEFT_SANITIZE_FLAGS})
add_link_options(${WEFT_SANITIZE_FLAGS})

# A test under a sanitizer stops at the first finding. The symbolizer must be of the compiler's version.
set(WEFT_TEST_ENVIRONMENT "")
if(WEFT_SANITIZE)
  find_program(WEFT_SYMBOLIZER NAMES llvm-symbolizer-19)
  set(symbolizer "")
  if(WEFT_SYMBOLIZER)
    set(symbolizer ":external_symbolizer_path=${WEFT_SYMBOLIZER}")
  endif()
  set(WEFT_TEST_ENVIRONMENT
      "ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1${symbolizer}"
      "UBSAN_OPTIONS=print_stacktrace=1${symbolizer}"
      "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1${symbolizer}")
endif()
