// process: who a process is, told so that a later one with the same number is not taken for it.
//
//   Threads  any
//   Limits   processes of one process-id namespace: others see other numbers
#pragma once

#include <cstdint>

namespace weft::os {

/// The number of the calling process, as the system's tools show it. Cost: a system call: so it stays true after fork().
std::uint64_t process_id() noexcept;
/// Of the calling process: its number and when it began. Never 0. Cost: a file is read.
std::uint64_t process_identity() noexcept;
/// False: it has ended, though perhaps nobody has asked for its exit status yet. Where the system does
/// not say (no /proc), a number that is in use counts as alive. Cost: a file is read.
bool process_is_alive(std::uint64_t identity) noexcept;
/// Two processes may compare identities if this is the same for both. 0: the system does not say.
std::uint64_t process_namespace() noexcept;

}  // namespace weft::os
