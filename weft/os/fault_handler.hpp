// fault_handler: says what is known of an address before the program dies of it. Internal.
//
//   Threads  any
//   After    SIGSEGV and SIGBUS go on to who handled them before, or end the program as by default
#pragma once

namespace weft::os {

/// What knows of addresses. Called in a handler, on the thread that faulted: it may look, and write to
/// standard error by write_from_handler(), and must do nothing else.
using fault_teller = void (*)(const void* address) noexcept;

/// From now on `tell` is asked, for the life of the process. Once. A refusal by the system changes nothing:
/// the program dies without a word then.
void tell_of_faults(fault_teller tell) noexcept;

/// Gives the calling thread a stack for handlers, without which none can run when its own is used up; until
/// the thread ends. One that has such a stack keeps it.
void use_signal_stack() noexcept;

void write_from_handler(const char* text) noexcept;

}  // namespace weft::os
