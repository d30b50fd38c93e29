// membarrier: a fence that one thread executes on behalf of all, so that the other side of a Dekker
// pair needs no fence at all.
//
//   Protocol  light side: store x; compiler fence (__atomic_signal_fence); load y
//             heavy side: store y; heavy_fence(); load x
//             At least one of the two loads sees the other's store. Without the kernel's help the
//             light side must have a fence(order::seq_cst) of its own: ask register_heavy_fence()
//             once and choose.
#pragma once

namespace weft::os {

/// Whether heavy_fence() acts on all threads of the process. Tells the kernel at the first call.
/// Result: false where the kernel has no such thing or refuses it (Linux < 4.14, seccomp).
bool register_heavy_fence() noexcept;

/// Every running thread of the process passes a sequentially consistent fence between the beginning
/// and the end of this call. Where register_heavy_fence() is false only the calling thread does.
/// Cost: microseconds, an interrupt of each CPU that runs the process.
void heavy_fence() noexcept;

}  // namespace weft::os
