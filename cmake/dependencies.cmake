# What weft can use when it is there. Nothing here is needed for the core of the library.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(OpenSSL QUIET)  # weft/tls
if(WEFT_BUILD_TESTS)
  find_package(GTest QUIET)
endif()
if(WEFT_BUILD_BENCHMARKS)
  find_package(benchmark QUIET)
endif()
find_package(Python3 QUIET COMPONENTS Interpreter)
