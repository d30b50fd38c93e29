// Invariants, whenever no member function runs
//   I1  An entry at level L has the same bytes as now_ above L, and a greater byte L.
//   I2  An occupied bit is set if and only if its slot's list is not empty.
//   I3  So the first occupied slot of the lowest occupied level is the earliest event of the
//       wheels, and everything in overflow_ is later than that.
//   I4  No tick in overflow_ is before overflow_from_; with removals it may become too early, which
//       costs one vain look at the list. Searching for the earliest instead would make insert and
//       remove O(n) for who has nothing but very late timers.
#include "weft/timer/wheel.hpp"

#include <bit>

namespace weft {

void wheel::insert(timer_entry& entry, std::uint64_t tick) noexcept {
  entry.tick_ = tick;
  place(entry);
  ++size_;
}

void wheel::place(timer_entry& entry) noexcept {
  if (entry.tick_ == no_tick) {
    entry.place_ = never_place;
    never_.push_back(entry);
    return;
  }
  if (entry.tick_ <= now_) {
    entry.place_ = past_place;
    past_.push_back(entry);
    return;
  }
  const std::uint64_t differs = entry.tick_ ^ now_;
  const auto level = static_cast<unsigned>(63 - std::countl_zero(differs)) / 8;
  if (level >= levels) {
    entry.place_ = overflow_place;
    overflow_.push_back(entry);
    if (entry.tick_ < overflow_from_) overflow_from_ = entry.tick_;
    return;
  }
  const auto slot = static_cast<unsigned>(entry.tick_ >> (8 * level)) % slots;
  entry.place_ = static_cast<std::uint16_t>(level * slots + slot);
  occupied_[level][slot / word_bits] |= std::uint64_t{1} << (slot % word_bits);
  slot_[entry.place_].push_back(entry);
}

void wheel::remove(timer_entry& entry) noexcept {
  static_cast<list_hook<timer_tag>&>(entry).unlink();
  --size_;
  const unsigned place = entry.place_;
  if (place == overflow_place && overflow_.empty()) overflow_from_ = no_tick;
  if (place < overflow_place && slot_[place].empty()) {
    occupied_[place / slots][place % slots / word_bits] &=
        ~(std::uint64_t{1} << (place % word_bits));
  }
}

wheel::event wheel::next_event() const noexcept {
  for (unsigned level = 0; level < levels; ++level) {
    const auto current = static_cast<unsigned>(now_ >> (8 * level)) % slots;
    for (unsigned word = current / word_bits; word < slots / word_bits; ++word) {
      std::uint64_t bits = occupied_[level][word];
      if (word == current / word_bits) {
        // I1: only slots after the current one are in use.
        bits &= current % word_bits == word_bits - 1
                    ? 0
                    : ~std::uint64_t{0} << (current % word_bits + 1);
      }
      if (bits == 0) continue;
      const unsigned slot = word * word_bits + static_cast<unsigned>(std::countr_zero(bits));
      const std::uint64_t above = now_ >> (8 * (level + 1)) << (8 * (level + 1));
      return event{above | std::uint64_t{slot} << (8 * level), level * slots + slot};
    }
  }
  if (!overflow_.empty()) {
    return event{overflow_from_ >> (8 * levels) << (8 * levels), overflow_place};
  }
  return event{no_tick, past_place};
}

std::uint64_t wheel::next_tick() const noexcept { return past_.empty() ? next_event().tick : now_; }

void wheel::settle(list& moved, list& due) noexcept {
  while (!moved.empty()) {
    timer_entry& entry = moved.pop_front();
    if (entry.tick_ <= now_) {
      --size_;
      due.push_back(entry);
    } else {
      place(entry);
    }
  }
}

void wheel::advance(std::uint64_t now, list& due) noexcept {
  list moved;
  moved.splice_back(past_);
  settle(moved, due);
  for (;;) {
    const event next = next_event();
    if (next.tick == no_tick || next.tick > now) break;
    now_ = next.tick;
    if (next.place == overflow_place) {
      moved.splice_back(overflow_);
      overflow_from_ = no_tick;
    } else {
      moved.splice_back(slot_[next.place]);
      occupied_[next.place / slots][next.place % slots / word_bits] &=
          ~(std::uint64_t{1} << (next.place % word_bits));
    }
    settle(moved, due);
  }
  if (now > now_) now_ = now;
}

}  // namespace weft
