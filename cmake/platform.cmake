# The one list that maps systems to sources. A file is a platform's if its stem ends in one of the
# words below (futex_linux.cpp, driver_uring.cpp, context_x86_64.S); it is built where the word is in
# WEFT_ACTIVE. Names without such a word are built everywhere. tools/ reads the two set() lines too.

set(WEFT_PLATFORM_WORDS
    linux posix darwin bsd windows none uring epoll poll kqueue iocp x86_64 aarch64 riscv64)
set(WEFT_ACTIVE_Linux linux posix uring epoll poll)
set(WEFT_ACTIVE_Darwin darwin posix kqueue poll none)
set(WEFT_ACTIVE_FreeBSD bsd posix kqueue poll none)
set(WEFT_ACTIVE_Windows windows iocp none)

if(NOT DEFINED WEFT_ACTIVE_${CMAKE_SYSTEM_NAME})
  message(FATAL_ERROR "weft does not know ${CMAKE_SYSTEM_NAME}: add its sources to cmake/platform.cmake")
endif()
string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" weft_cpu)
string(REGEX REPLACE "^(amd64|x64)$" "x86_64" weft_cpu "${weft_cpu}")
string(REGEX REPLACE "^arm64$" "aarch64" weft_cpu "${weft_cpu}")
set(WEFT_ACTIVE ${WEFT_ACTIVE_${CMAKE_SYSTEM_NAME}} ${weft_cpu})

# Sets <out> to whether this system builds <file>. All platform words at the end of the stem must be
# active: context_x86_64_windows.S needs both.
function(weft_is_for_this_platform out file)
  get_filename_component(stem ${file} NAME_WE)
  string(REGEX REPLACE "_(test|stress|model|fuzz|bench)(_support)?$" "" stem ${stem})
  set(again TRUE)
  while(again)
    set(again FALSE)
    foreach(word IN LISTS WEFT_PLATFORM_WORDS)
      if(stem MATCHES "^(.+)_${word}$")
        if(NOT word IN_LIST WEFT_ACTIVE)
          set(${out} FALSE PARENT_SCOPE)
          return()
        endif()
        set(stem ${CMAKE_MATCH_1})
        set(again TRUE)
        break()
      endif()
    endforeach()
  endwhile()
  set(${out} TRUE PARENT_SCOPE)
endfunction()
