// Invariants, whenever no member function runs
//   I1  At level L, `distance` slots of that level lie between an entry's tick and now_, and
//       1 <= distance <= 255. So a slot's index names one stretch of time, and the first occupied
//       slot in the order now + 1, now + 2, ... is the level's earliest.
//   I2  An occupied bit is set if and only if its slot's list is not empty.
//   I3  What is in near_ has a tick of now_ or less; everything else one that is later than now_.
//   I4  No deadline in a slot is before its first.deadline_ns. With removals that may become too early,
//       which costs one vain advance(); that one moves the slot's entries down and finds their own.
//       Searching the slot at each removal would make it O(n).
//   I5  What is in overflow_ is at least 256 slots of the highest level away from the now_ at which it
//       was put there. It is looked through when now_ reaches the slot of the earliest one, which
//       takes 255 slots or more (78 hours) unless that one has been there before: so once in 78 hours.
// Rejected
//   The level of the highest byte in which tick and now differ: it needs no search over levels for
//     the next event, but whatever lies behind a turn's end, however near, waits in one slot, and
//     moves in one go under the lock: with ticks of 65 us, half a million timers at once.
//   Moving now on from event to event: each slot between would be found by a search of its own. Now
//     is set to its new place first, and each entry is placed once.
#include "weft/timer/wheel.hpp"

#include <bit>

namespace weft {

void wheel::slot::add(timer_entry& entry) noexcept {
  entries.push_back(entry);
  if (entry.deadline_ns_ < first.deadline_ns) first.deadline_ns = entry.deadline_ns_;
  if (const std::int64_t latest = latest_of(entry); latest < first.latest_ns)
    first.latest_ns = latest;
}

void wheel::insert(timer_entry& entry, std::int64_t deadline_ns) noexcept {
  entry.deadline_ns_ = deadline_ns;
  entry.slack_ = 0;
  if (tick_of(deadline_ns) > now_) {
    const std::int64_t left_ns = deadline_ns - static_cast<std::int64_t>(now_ << tick_bits);
    const std::int64_t slack_ns = left_ns / 8 < slack_max_ns ? left_ns / 8 : slack_max_ns;
    entry.slack_ = static_cast<std::uint8_t>(slack_ns / slack_unit_ns);
  }
  place(entry);
}

void wheel::place(timer_entry& entry) noexcept {
  if (entry.deadline_ns_ == never_ns) {
    entry.place_ = never_place;
    never_.add(entry);
    return;
  }
  std::uint64_t tick = tick_of(entry.deadline_ns_);
  if (tick <= now_) {
    entry.place_ = near_place;
    near_.add(entry);
    return;
  }
  std::uint64_t now = now_;
  for (unsigned level = 0; level < levels; ++level) {
    if (tick - now < slots) {
      const auto index = static_cast<unsigned>(tick % slots);
      entry.place_ = static_cast<std::uint16_t>(level * slots + index);
      occupied_[level][index / word_bits] |= std::uint64_t{1} << (index % word_bits);
      slot_[entry.place_].add(entry);
      return;
    }
    tick >>= slot_bits;
    now >>= slot_bits;
  }
  entry.place_ = overflow_place;
  overflow_.add(entry);
}

void wheel::remove(timer_entry& entry) noexcept {
  static_cast<list_hook<timer_tag>&>(entry).unlink();
  const unsigned place = entry.place_;
  if (place < near_place) {
    slot& in = slot_[place];
    if (!in.entries.empty()) return;
    in.first = {never_ns, never_ns};
    occupied_[place / slots][place % slots / word_bits] &=
        ~(std::uint64_t{1} << (place % word_bits));
  } else if (place == near_place) {
    if (near_.entries.empty()) near_.first = {never_ns, never_ns};
  } else if (place == overflow_place) {
    if (overflow_.entries.empty()) overflow_.first = {never_ns, never_ns};
  }
}

/// The first occupied slot at `from` or after it, in the circle; no_slot: the level is empty.
unsigned wheel::first_occupied(unsigned level, unsigned from) const noexcept {
  const std::uint64_t* const bits = occupied_[level];
  const unsigned first = from / word_bits;
  const std::uint64_t behind = ~std::uint64_t{0} << (from % word_bits);
  for (unsigned i = 0; i <= words; ++i) {
    const unsigned word = (first + i) % words;
    const std::uint64_t wanted = i == 0 ? behind : i == words ? ~behind : ~std::uint64_t{0};
    if (const std::uint64_t found = bits[word] & wanted) {
      return word * word_bits + static_cast<unsigned>(std::countr_zero(found));
    }
  }
  return no_slot;
}

wheel::moments wheel::next() const noexcept {
  moments found = near_.first;
  const auto look_at = [&found](const slot& s) {
    if (s.first.deadline_ns < found.deadline_ns) found.deadline_ns = s.first.deadline_ns;
    if (s.first.latest_ns < found.latest_ns) found.latest_ns = s.first.latest_ns;
  };
  for (unsigned level = 0; level < levels; ++level) {
    const auto begin = static_cast<unsigned>((now_ >> (slot_bits * level)) + 1) % slots;
    // The first one has the level's earliest deadline; one behind it may be in more of a hurry, but
    // only if it begins before the latest moment: 17 slots of the lowest level, two of others.
    for (unsigned passed = 0; passed < slots - 1;) {
      const unsigned index = first_occupied(level, (begin + passed) % slots);
      if (index == no_slot || (index - begin) % slots < passed) break;
      const slot& s = slot_[level * slots + index];
      if (s.first.deadline_ns >= found.latest_ns) break;
      look_at(s);
      passed = (index - begin) % slots + 1;
    }
  }
  look_at(overflow_);
  return found;
}

std::uint64_t wheel::settle(list& moved, std::int64_t now_ns, list& due) noexcept {
  std::uint64_t found = 0;
  while (!moved.empty()) {
    timer_entry& entry = moved.pop_front();
    if (entry.deadline_ns_ <= now_ns) {
      entry.place_ = due_place;
      due.push_back(entry);
      ++found;
    } else {
      place(entry);
    }
  }
  return found;
}

std::uint64_t wheel::advance(std::int64_t now_ns, list& due) noexcept {
  std::uint64_t found = 0;
  const std::uint64_t before = now_;
  if (const std::uint64_t to = tick_of(now_ns); to > now_) now_ = to;

  list moved;
  if (near_.first.deadline_ns <= now_ns) {
    moved.splice_back(near_.entries);
    near_.first = {never_ns, never_ns};
    found += settle(moved, now_ns, due);
  }
  // Upwards: what comes down goes below the level that it comes from, into slots that have been emptied.
  for (unsigned level = 0; level < levels; ++level) {
    const std::uint64_t from = before >> (slot_bits * level);
    const std::uint64_t to = now_ >> (slot_bits * level);
    if (from == to) return found;
    std::uint64_t left = to - from < slots ? to - from : slots;  // slots that now has reached
    unsigned index = static_cast<unsigned>(from + 1) % slots;
    for (;;) {
      const unsigned next = first_occupied(level, index);
      if (next == no_slot) break;
      const unsigned skipped = (next - index) % slots;
      if (skipped >= left) break;
      slot& reached = slot_[level * slots + next];
      occupied_[level][next / word_bits] &= ~(std::uint64_t{1} << (next % word_bits));
      reached.first = {never_ns, never_ns};
      moved.splice_back(reached.entries);
      found += settle(moved, now_ns, due);
      left -= skipped;
      index = next;
    }
  }
  constexpr unsigned top = slot_bits * (levels - 1);
  if (overflow_.first.deadline_ns != never_ns &&
      tick_of(overflow_.first.deadline_ns) >> top <= now_ >> top) {
    moved.splice_back(overflow_.entries);
    overflow_.first = {never_ns, never_ns};
    found += settle(moved, now_ns, due);
  }
  return found;
}

}  // namespace weft
