// permits: who among the members of a shared_semaphore has how many. A structure in shared memory.
//
// What is free is never written down: it is the total less what the records have. So a process that is
// killed leaves one number, its own, which whoever takes its record over sets to 0.
//   I1  A number rises only under the lock of `members`, by one store, after a look that found enough:
//       together they never have more than the total. It may fall at any time.
//   P4  give, give_all: read-modify-write (seq_cst)  ->  free (seq_cst, behind listen()): what whoever gave
//       had done; and, of P3 of members.hpp, the change and the look: one of the two comes first.
//   No wake is lost: who waits listens before it looks; who gives tells of it afterwards. One that is
//   killed between these two steps is made good for by shared_options::look_after.
#pragma once

#include <cstdint>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/shared/members.hpp"

namespace weft::shared {

class permits {
 public:
  /// Before anybody else sees it.
  void set_total(std::uint32_t n) noexcept { total_.store(n, order::relaxed); }

  std::uint32_t free() const noexcept {
    std::uint32_t taken = 0;
    for (const auto& one : held_) {
      taken += one.load(WEFT_MUTATE("permits.look.relaxed", order::seq_cst, order::relaxed));  // P4
    }
    const std::uint32_t total = total_.load(order::relaxed);
    return taken < total ? total - taken : 0;
  }
  std::uint32_t held(unsigned i) const noexcept { return held_[i].load(order::relaxed); }

  /// Under the lock, by the owner of record `i`. False: fewer are free.
  [[nodiscard]] bool take(unsigned i, std::uint32_t n) noexcept {
    if (free() < n) return false;
    held_[i].fetch_add(n, order::relaxed);
    return true;
  }
  /// By the owner, who then tells given().
  void give(unsigned i, std::uint32_t n) noexcept {
    std::uint32_t mine = held_[i].load(order::relaxed);
    do {
      WEFT_ASSERT(mine >= n, "a shared_semaphore was given back more than this handle has taken");
    } while (!held_[i].compare_exchange_weak(
        mine, mine - n, WEFT_MUTATE("permits.give.relaxed", order::seq_cst, order::relaxed),  // P4
        order::relaxed));
  }
  /// By the owner, or who has taken the record over. True: there were some: tell given().
  [[nodiscard]] bool give_all(unsigned i) noexcept {
    return held_[i].exchange(0, WEFT_MUTATE("permits.give_all.relaxed", order::seq_cst,
                                            order::relaxed)) != 0;  // P4
  }
  /// Whoever waits for permits listens here.
  signal_word& given() noexcept { return given_; }

 private:
  signal_word given_;
  atomic<std::uint32_t> total_{0};
  atomic<std::uint32_t> held_[members::count_max];
};

}  // namespace weft::shared
