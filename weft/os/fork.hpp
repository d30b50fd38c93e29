// fork: whether this process is still the one that made something.
//
//   Threads  any; the child of fork() has one, and reads what that one left it
//   Limits   told by fork() of the C library. vfork, posix_spawn and a clone of one's own are not counted:
//            what they start is to exec at once
//   After    pthread_atfork(3)
#pragma once

#include <cstdint>

namespace weft::os {

/// How often this process, or one that it comes from, is the child of a fork() since the first call of
/// this function. Cost: a relaxed load.
std::uint32_t fork_generation() noexcept;

/// `before` is called before each fork() from now on, on the thread that calls it, and `after` in the parent and
/// in the child: they take locks, and let them go, that another thread could hold at that moment, and the
/// child would wait for for ever. A refusal (no memory) changes nothing.
void around_forks(void (*before)(), void (*after)()) noexcept;

}  // namespace weft::os
