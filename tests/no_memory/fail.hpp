// The program's requests for memory (malloc and its kin, mmap), one of which can be made to fail.
#pragma once

namespace failing {

/// From now on the n-th request of any thread fails, and no other. 0: none does.
void at(long n) noexcept;
/// Requests since then.
long seen() noexcept;

}  // namespace failing
