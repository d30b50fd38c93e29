// members: the processes that have a piece of shared memory open, and the lock that they share. Made so
// that a process may be killed between any two instructions, and the others go on.
//
//   Threads    of any process that has the memory mapped
//   Memory     fixed layout, no addresses: each process maps it where it likes
//   Cost       the lock: one compare-exchange, one exchange
//
// Protocol
//   who[i]     0: free; else the identity of the process that the record belongs to
//   claims[i]  how often the record was claimed. By its owner alone
//   lock_      0: free; else the token of its holder (record and claim), and `contended`: somebody waits
//
//   I1  A token is held by one claim of one record, and never comes again (2^23 claims later, really).
//   I2  What a record stands for (a lock held, permits) is changed by its owner alone, or by who has
//       taken the record over: by a compare-exchange of who[i] from an identity that has ended. Two
//       cannot, and one that is killed while it does so leaves a record of a process that has ended.
//   I3  Under the lock, one store makes a change true (its commit). So there is nothing to repair: who
//       takes over frees the lock, and the next holder finds what was committed.
//   P1  unlock: exchange (release)  ->  try_lock (acquire): what the holder did. Of a holder that was
//       killed nothing is told this way: what was committed carries its own release.
//   P2  attach, take_over: CAS who (acq_rel)  ->  CAS who (acq_rel): the record's last owner's writes.
//   Rejected: the robust mutexes of the C library (their layout is that of one library, and they want
//   the thread that locked); a lock per file (memory need not be a file).
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"

namespace weft::shared {

class members {
 public:
  static constexpr unsigned count_max = 64;
  static constexpr unsigned none = count_max;

  /// A free record for `identity`, or none.
  [[nodiscard]] unsigned attach(std::uint64_t identity) noexcept {
    for (unsigned i = 0; i < count_max; ++i) {
      std::uint64_t seen = 0;
      if (who_[i].load(order::relaxed) != 0) continue;
      if (!who_[i].compare_exchange(seen, identity, order::acq_rel, order::relaxed))
        continue;  // P2
      claims_[i].fetch_add(1, order::relaxed);
      return i;
    }
    return none;
  }
  /// By its owner, who holds nothing by it.
  void detach(unsigned i) noexcept { who_[i].store(0, order::release); }  // P2
  std::uint64_t who(unsigned i) const noexcept { return who_[i].load(order::relaxed); }

  /// `ended`, whose record it is, is no more: it belongs to `identity` now, and the lock is free if the
  /// dead one had it. Do the rest, then detach(i). False: another one was faster.
  [[nodiscard]] bool take_over(unsigned i, std::uint64_t ended, std::uint64_t identity) noexcept {
    if (!who_[i].compare_exchange(ended, identity, order::acq_rel, order::relaxed)) return false;
    const std::uint32_t dead = token(i);
    std::uint32_t seen = lock_.load(order::relaxed);
    while ((seen & ~contended) == dead) {
      if (WEFT_MUTATE("members.take_over.leaves_lock", false, true)) break;
      if (lock_.compare_exchange(seen, 0, order::acq_rel, order::relaxed)) break;
    }
    return true;
  }

  // The lock.

  [[nodiscard]] bool try_lock(unsigned i) noexcept {
    std::uint32_t free = 0;
    return lock_.compare_exchange(
        free, token(i), WEFT_MUTATE("members.lock.relaxed", order::acquire, order::relaxed),  // P1
        order::relaxed);
  }
  /// True: wake all who wait for lock_word().
  [[nodiscard]] bool unlock() noexcept {
    return (lock_.exchange(0, WEFT_MUTATE("members.unlock.relaxed", order::release,
                                          order::relaxed)) &  // P1
            contended) != 0;
  }
  /// The holder's unlock() will wake who sleeps while the word holds `value`. False: it is free.
  [[nodiscard]] bool contend(std::uint32_t& value) noexcept {
    std::uint32_t seen = lock_.load(order::relaxed);
    while (seen != 0 && (seen & contended) == 0) {
      if (lock_.compare_exchange(seen, seen | contended, order::relaxed, order::relaxed)) {
        seen |= contended;
      }
    }
    value = seen;
    return seen != 0;
  }
  atomic<std::uint32_t>& lock_word() noexcept { return lock_; }

 private:
  static constexpr std::uint32_t contended = 0x8000'0000;
  std::uint32_t token(unsigned i) const noexcept {
    return (claims_[i].load(order::relaxed) << 8 & ~contended) | (i + 1);
  }

  atomic<std::uint32_t> lock_{0};
  atomic<std::uint32_t> claims_[count_max];
  atomic<std::uint64_t> who_[count_max];
};

/// Tells who waits for a change that there was one. The word: changes counted, and whether somebody waits.
///   P3  listen: fetch_or (seq_cst), then a look  ->  changed: the change, then fetch_add (seq_cst): one
///       of the two comes first. Either the look sees the change, or changed() sees who listens.
class signal_word {
 public:
  /// Before the look that may end in a wait. Sleep while the word holds what this gives.
  std::uint32_t listen() noexcept {
    const order o = WEFT_MUTATE("signal.listen.relaxed", order::seq_cst, order::relaxed);
    return word_.fetch_or(1, o) | 1;  // P3
  }
  /// After the change. True: wake all.
  [[nodiscard]] bool changed() noexcept {
    constexpr std::uint32_t change = 2;
    const order o = WEFT_MUTATE("signal.changed.relaxed", order::seq_cst, order::relaxed);
    const std::uint32_t seen =
        word_.fetch_add(WEFT_MUTATE("signal.changed.not_counted", change, 0), o);  // P3
    if ((seen & 1) == 0) return false;
    word_.fetch_and(~std::uint32_t{1}, order::relaxed);
    return true;
  }
  atomic<std::uint32_t>& word() noexcept { return word_; }

 private:
  atomic<std::uint32_t> word_{0};
};

}  // namespace weft::shared
