// membarrier: a full fence in every running thread of the process, paid by the caller alone, so that
// the other side of a Dekker pair needs only a compiler fence.
//
//   Cost  0.15 us alone, 0.45 us with another core busy
#pragma once

namespace weft::os {

/// Asks the kernel for it, once a process. False: refused (old kernel, seccomp); the light sides must
/// then use full fences of their own.
bool register_heavy_fence() noexcept;

/// Valid after register_heavy_fence() said true.
void heavy_fence() noexcept;

}  // namespace weft::os
