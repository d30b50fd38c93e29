# Builds main.cpp with weft/fiber's context for AArch64 and runs it, as it is and compiled for checked
# branches and signed return addresses (the C library here is not, so that branches are not checked in fact).
find_program(compiler NAMES aarch64-linux-gnu-g++)
find_program(emulator NAMES qemu-aarch64-static qemu-aarch64)
foreach(needed compiler emulator)
  if(NOT ${needed})
    message("skipped: there is no ${needed} for AArch64 (apt-get install g++-aarch64-linux-gnu qemu-user-static)")
    return()
  endif()
endforeach()

foreach(protection none standard)
  set(program ${SCRATCH}/fiber_aarch64_${protection})
  execute_process(
    COMMAND ${compiler} -std=c++23 -O2 -g1 -static -pthread -Wall -Wextra -Werror -mbranch-protection=${protection}
            -I${SOURCE} ${SOURCE}/tests/fiber_aarch64/main.cpp ${SOURCE}/weft/fiber/context.cpp
            ${SOURCE}/weft/fiber/context_aarch64.S ${SOURCE}/weft/fiber/preempt_aarch64.cpp ${SOURCE}/weft/base/assert.cpp
            ${SOURCE}/weft/os/stack_pages_linux.cpp ${SOURCE}/weft/os/memory_posix.cpp
            ${SOURCE}/weft/os/error_posix.cpp -o ${program}
    COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${emulator} ${program} RESULT_VARIABLE code ERROR_VARIABLE said TIMEOUT 100)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "with -mbranch-protection=${protection}: ${code}\n${said}")
  endif()
  if(NOT said MATCHES "an exception leaves the function of a fiber: catch it there")
    message(FATAL_ERROR "with -mbranch-protection=${protection}: no advice when an exception leaves\n${said}")
  endif()
endforeach()
