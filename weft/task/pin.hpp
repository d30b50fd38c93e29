// pin: who owns a processor at this moment.
//
// Every entry into the runtime from user code pins the processor, and the return to user code unpins
// it. The monitor (runtime/monitor.hpp) may take a processor away from a thread that is stuck in user
// code; it never can while the thread is pinned. A pin tells the thread whether it still owns its
// processor, so a processor pointer must not be kept across anything that may run user code.
//
//   Threads   pin, unpin, let_go, become_owner: the thread itself; try_claim: one monitor
//   Cost      about 1 ns: a store, a compiler fence, a load; the claiming side pays with membarrier
//   Protocol  below
//
// Protocol: an asymmetric Dekker pair (figures and proofs of the trial: docs/internals/pinning.md)
//   in_runtime  1 inside the runtime or parked, 0 in user code. Written by the thread.
//   state       owned | claim | taken. owned -> claim -> taken by the monitor; claim -> owned by
//               whichever of the two settles it first by compare-exchange; owned or claim -> taken by
//               the thread that gives its processor away; taken -> owned by the thread alone.
//   I1  After the heavy fence, a thread whose in_runtime = 1 the monitor does not see has not read
//       state yet: it will see `claim` and settle it. Exactly one compare-exchange wins.
//   P1  unpin: in_runtime = 0 (release)  ->  try_claim: load (acquire): all the thread wrote to the
//       processor.
//   I2  No ABA: a claim that was settled is over for the monitor, which begins the next one itself.
//   Without membarrier (refused by seccomp) pin() uses a full fence, 10 ns instead of 1.
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"

namespace weft {

class pin_state {
 public:
  /// `asymmetric`: membarrier works, so the light side needs no fence of its own.
  explicit pin_state(bool asymmetric = false) noexcept : asymmetric_(asymmetric) {}

  enum class pin_result : std::uint8_t { owned, lost };

  /// Enters the runtime. owned: the processor is this thread's until unpin().
  [[nodiscard]] pin_result pin() noexcept {
    in_runtime_.store(1, order::relaxed);
    if (WEFT_LIKELY(asymmetric_)) {
      compiler_fence();
    } else {
      fence(order::seq_cst);
    }
    if (WEFT_LIKELY(state_.load(order::relaxed) == owned_state)) return pin_result::owned;
    return settle();
  }
  void unpin() noexcept {
    in_runtime_.store(0, WEFT_MUTATE("pin.unpin.relaxed", order::release, order::relaxed));  // P1
  }
  bool is_pinned() const noexcept { return in_runtime_.load(order::relaxed) != 0; }
  /// By the monitor: the thread is in user code now, and what it wrote before it went there is seen.
  bool is_in_user_code() const noexcept { return in_runtime_.load(order::acquire) == 0; }  // P1

  enum class claim_result : std::uint8_t { taken, refused };

  /// By the monitor: takes the processor if the thread is in user code. `heavy_fence` is membarrier.
  /// `still` is asked after it, with the thread seen in user code: whether it is to be taken at all.
  template <class HeavyFence, class Still>
  [[nodiscard]] claim_result try_claim(HeavyFence heavy_fence, Still still) noexcept {
    std::uint32_t seen = owned_state;
    if (in_runtime_.load(order::acquire) != 0) return claim_result::refused;
    if (!state_.compare_exchange(seen, claim_state, order::acq_rel, order::relaxed)) {
      return claim_result::refused;
    }
    heavy_fence();
    seen = claim_state;
    if (in_runtime_.load(order::acquire) == 0 && still() &&  // P1
        state_.compare_exchange(seen, taken_state, order::acq_rel, order::relaxed)) {
      return claim_result::taken;
    }
    seen = claim_state;
    state_.compare_exchange(seen, owned_state, order::acq_rel, order::relaxed);
    return claim_result::refused;
  }
  template <class HeavyFence>
  [[nodiscard]] claim_result try_claim(HeavyFence heavy_fence) noexcept {
    return try_claim(heavy_fence, [] { return true; });
  }
  /// By the thread, pinned and owning: it has no processor any more, as if it had been taken.
  void let_go() noexcept {
    std::uint32_t seen = owned_state;
    while (!state_.compare_exchange(seen, taken_state, order::acq_rel, order::relaxed)) {
      // A claim that is about to be refused, as the thread is pinned: its compare-exchange fails.
    }
  }
  /// The thread has a processor again.
  void become_owner() noexcept { state_.store(owned_state, order::release); }

 private:
  static constexpr std::uint32_t owned_state = 0;
  static constexpr std::uint32_t claim_state = 1;
  static constexpr std::uint32_t taken_state = 2;

  pin_result settle() noexcept {
    std::uint32_t seen = claim_state;
    if (state_.compare_exchange(seen, owned_state, order::acq_rel, order::acquire)) {
      return pin_result::owned;
    }
    return seen == owned_state ? pin_result::owned : pin_result::lost;
  }

  alignas(cache_line) atomic<std::uint32_t> in_runtime_{1};
  const bool asymmetric_;
  alignas(cache_line) atomic<std::uint32_t> state_{owned_state};  // written by the monitor
};

}  // namespace weft
