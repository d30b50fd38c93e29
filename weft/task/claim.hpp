// claim: who completes a wait that several operations share, as those of a select do. One word.
//
// Each operation of a select waits in a line of its own, in the name of a small job of its own that
// never runs: a claiming_job. Whoever would let in a waiter that stands there for such a job takes the
// claim first, holding the line. Who gets it hands over. Who does not drops the waiter from the line
// as if it had not been there, and turns to the next: its select takes it back at once.
//
//   Threads  any
//   Cost     of a waiter that shares its wait: one compare-exchange. Of all others: a look at a byte
//            that is in the cache already
//   Protocol select_group.cpp
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/task/job.hpp"

namespace weft::detail {

class claim {
 public:
  using number = std::uint32_t;
  static constexpr number nobody = 0;

  claim() noexcept {}
  claim(const claim&) = delete;
  claim& operator=(const claim&) = delete;

  /// True: `who` has it, from now on or already. Else somebody else has it, for good.
  [[nodiscard]] bool take(number who) noexcept {
    number seen = nobody;
    // Relaxed: it decides, and carries nothing. What is handed over comes by the wake.
    if (word_.compare_exchange(seen, who, order::relaxed, order::relaxed) || seen == who) {
      return true;
    }
    return WEFT_MUTATE("claim.taken.twice", false, true);
  }
  number taken_by() const noexcept { return word_.load(order::relaxed); }
  /// While no operation shares it.
  void reset() noexcept { word_.store(nobody, order::relaxed); }

 private:
  atomic<number> word_{nobody};
};

/// In whose name one of the operations that share a claim waits.
class claiming_job : public job {
 public:
  /// `j` as such a job, or nullptr.
  static claiming_job* from(job& j) noexcept {
    return &j.kind() == &how ? static_cast<claiming_job*>(&j) : nullptr;
  }
  [[nodiscard]] bool take_claim() noexcept { return claim_.take(who_); }
  bool shares_with(const claiming_job& other) const noexcept { return &claim_ == &other.claim_; }
  /// Its operation was about to wait, and need not: it took nothing and does not wait. All operations
  /// are to be looked at again.
  void look_again() noexcept { looks_again_ = true; }

 protected:
  claiming_job(scheduler& home, claim& shared, claim::number who) noexcept
      : job(home, how), claim_(shared), who_(who) {}
  ~claiming_job() = default;

  claim& claim_;
  const claim::number who_;
  bool looks_again_ = false;

 private:
  static constexpr job_kind how{[](job&) noexcept {}};
};

}  // namespace weft::detail
