// visited: the points of a search at which it has been before, so that what follows is not tried again.
//
//   What a point is  a moment at which the search may choose who moves: what every thread has done and
//                    read so far, in which order each word was written (memory::so_far), who sleeps where
//                    and who has stepped back. Two ways that lead there differ only in the order of
//                    steps that do not touch each other, and what may follow is the same after both
//   Budgets          preemptions, stale reads and wakes for nothing that were used on the way: a point
//                    is left if it was reached before with as much left of each. What follows with more
//                    left is more, so a search with bounds finds what it found without this. If another
//                    thread was asked to go on then, a preemption more must have been left: with it this
//                    one could have moved, or any
//   Order            depth first: when a point is met again, all that follows it has been tried. It is never
//                    met again on the way from itself, because a thread's history only grows
//
// What must hold, or a point is taken for another one:
//   H1  A thread's history says where the thread is. Wherever a thread can be left, something has joined its
//       history since the last such place: also after a wake that woke nobody and after a step back. Where
//       nothing has, as between the beginning and the first operation, it is not asked who moves: who
//       has just been chosen goes on (another one could have been chosen in its place, for less)
//   H2  Each answer of the search that a thread gets joins its history: which write it read, that a
//       compare-exchange or a wait ended for nothing. Values need not: the write says which
//   H3  What one thread does to another one without a word between them joins the other's history, too:
//       start and join, a heavy fence; and what a seq_cst fence has met in S. (S itself follows then from the
//       histories.) Whom a wake wakes is told by who sleeps
//   H4  What threads have in common beside words: plain variables in the order that words give (a race on
//       a plain<T> is a bug, found whatever the order); the heap, of which nothing comes back before the end;
//       ghost variables of the model (ghost<T>), whose accesses join histories. A variable of a model
//       that is neither and is read by one thread while another one writes it is not seen here: see
//       model.hpp
//   H5  Where a word lies (its number) decides nothing, but for a wake of a word that is gone, which wakes
//       who sleeps at the same place now. A search that has met one starts over, with places
//   H6  The bound on steps is met on all ways to a point or on none: they have the same steps
// H1 to H5 have litmus tests in reduction_test.cpp that go wrong without them (limits::forgets).
//
//   Chance  two points of 2^25 are taken for one with a probability of 2^-50 (100 bits)
//   Room    room_max points, 0.5 GB; those found later are searched, and not noted
//
//   After  CHESS's happens-before caching (Musuvathi et al., OSDI 2008)
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "weft/testing/model/fingerprint.hpp"

namespace weft::model {

/// What was used of the search's limits, and who is asked to go on: another thread costs a preemption.
struct used {
  static constexpr std::uint8_t nobody = 0;  // none is asked: whoever moves costs nothing

  std::uint8_t preemptions = 0;
  std::uint8_t stale_reads = 0;
  std::uint8_t spurious = 0;
  std::uint8_t mover = nobody;

  /// From there all can be done that can be done from `other`, for no more.
  constexpr bool covers(const used& other) const noexcept {
    const int to_another = mover != nobody && mover != other.mover ? 1 : 0;
    return preemptions + to_another <= other.preemptions && stale_reads <= other.stale_reads &&
           spurious <= other.spurious;
  }
};

class visited {
 public:
  static constexpr std::size_t room_default = std::size_t{1} << 24;

  /// `room` points, a power of two.
  explicit visited(std::size_t room = room_default) noexcept : room_max_(room) {}

  void clear() noexcept {
    entries_.clear();
    count_ = 0;
  }
  /// Whether it was there with no more used; notes it if not.
  bool been_at(const fingerprint& point, used spent) {
    const bool may_note = 2 * count_ < entries_.size() || grow();
    if (entries_.empty()) return false;
    const entry here(point, spent);
    for (std::size_t i = here.place() & (entries_.size() - 1);;
         i = (i + 1) & (entries_.size() - 1)) {
      entry& e = entries_[i];
      if (!e.is_used()) {
        if (may_note) e = here, ++count_;
        return false;
      }
      if (e.is_of_one_point_with(here) && e.spent().covers(spent)) return true;
    }
  }
  std::size_t size() const noexcept { return count_; }

 private:
  /// 100 bits of a point, and what was used.
  class entry {
   public:
    entry() noexcept = default;
    entry(const fingerprint& point, used spent) noexcept
        : low_(point.low() != 0 ? point.low() : 1),
          high_(point.high() << 28 | std::uint64_t{spent.mover} << 24 |
                std::uint64_t{spent.preemptions} << 16 | std::uint64_t{spent.stale_reads} << 8 |
                spent.spurious) {}
    bool is_used() const noexcept { return low_ != 0; }
    std::size_t place() const noexcept { return low_; }
    used spent() const noexcept {
      return {static_cast<std::uint8_t>(high_ >> 16), static_cast<std::uint8_t>(high_ >> 8),
              static_cast<std::uint8_t>(high_), static_cast<std::uint8_t>(high_ >> 24 & 15)};
    }
    bool is_of_one_point_with(const entry& other) const noexcept {
      return low_ == other.low_ && high_ >> 28 == other.high_ >> 28;
    }

   private:
    std::uint64_t low_ = 0;
    std::uint64_t high_ = 0;
  };

  /// False: there is no more room.
  bool grow() {
    constexpr std::size_t least = 1024;
    if (entries_.size() >= 2 * room_max_) return false;
    std::vector<entry> old(entries_.empty() ? (least < 2 * room_max_ ? least : 2 * room_max_)
                                            : 2 * entries_.size());
    old.swap(entries_);
    for (const entry& e : old) {
      if (!e.is_used()) continue;
      std::size_t i = e.place() & (entries_.size() - 1);
      while (entries_[i].is_used()) i = (i + 1) & (entries_.size() - 1);
      entries_[i] = e;
    }
    return true;
  }

  std::size_t room_max_;
  std::vector<entry> entries_;
  std::size_t count_ = 0;
};

}  // namespace weft::model
