# The warnings of our own code, a short list; users of weft do not get them.
set(WEFT_WARNINGS
    -Wall -Wextra
    -Wshadow              # an inner `n` hides the outer one, and the wrong one is tested
    -Woverloaded-virtual  # (not -Wnon-virtual-dtor: operations are never deleted through a base;
                          # -Wall has -Wdelete-non-virtual-dtor, which looks at the deletion itself)
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
