# The warnings of our own code, each because it has found something; users of weft do not get them.
set(WEFT_WARNINGS
    -Wall -Wextra
    -Wshadow              # an inner `n` that hides the outer one has cost an afternoon before
    -Wnon-virtual-dtor -Woverloaded-virtual
    -Wextra-semi
    -Wimplicit-fallthrough
    -Wunused)
if(WEFT_WERROR)
  list(APPEND WEFT_WARNINGS -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports these on coroutine frames and inlined intrusive lists where nothing is wrong; Clang
  # and the sanitizers watch the same faults.
  list(APPEND WEFT_WARNINGS -Wno-maybe-uninitialized -Wno-dangling-pointer -Wno-array-bounds
       -Wno-stringop-overflow -Wno-mismatched-new-delete)
  list(TRANSFORM WEFT_WARNINGS REPLACE "^-Wshadow$" "-Wshadow=local")  # plain -Wshadow flags constructors
endif()
