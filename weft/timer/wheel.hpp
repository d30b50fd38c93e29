// wheel: deadlines in four wheels of 256 slots and a list for what is later.
//
// A pure structure: time comes in as an argument. A slot of the lowest level is one tick wide, 65.5 us,
// one of each level above 256 times as much (16.8 ms, 4.3 s, 18 min), so the wheels reach 78 hours.
// An entry stands in the lowest level that is less than a turn away from it, and moves down when now
// reaches its slot. Ticks only sort entries into slots: what is due is said by the deadlines
// themselves, and each slot knows its earliest.
//
//   Threads  none of its own (timer_set puts a lock around it)
//   Cost     insert and remove O(1), no allocation; an entry moves at most five times
//   Order    never early; what is due leaves in no order
//   After    Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987)
//   Why      docs/decisions/0006-timer-tick.md
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/base/time.hpp"

namespace weft {

struct timer_tag {};

/// Something that is due at a moment. Derive from it; it stands in the frame of whoever waits.
class timer_entry : public list_hook<timer_tag> {
 public:
  /// `fire` is called once the deadline has passed, outside of any lock; the entry may be destroyed
  /// or armed again inside it.
  explicit timer_entry(void (*fire)(timer_entry&) noexcept) noexcept : fire_(fire) {}

  /// Before an entry that has fired is used again, and before anybody may cancel that use: a cancel()
  /// that comes before arm() is then remembered, as it is for a new entry.
  void reuse() noexcept { state_.set(state::idle); }

 private:
  friend class wheel;
  friend class timer_set;
  enum class state : std::uint8_t { idle, armed, fired, cancelled_early };
  void (*fire_)(timer_entry&) noexcept;
  std::int64_t deadline_ns_ = 0;
  // timer_set's: which arm() this was, for the order of equal deadlines (wrong if 2^31 others came between)
  std::uint32_t turn_ = 0;
  std::uint16_t place_ = 0;  // level * 256 + slot, or one of the places behind
  std::uint8_t slack_ = 0;   // how late it may be if that saves a wake; of slack_unit_ns
  plain<state> state_{state::idle};
};

class wheel {
 public:
  using list = intrusive_list<timer_entry, timer_tag>;
  static constexpr unsigned tick_bits = 16;
  static constexpr std::int64_t tick_ns = std::int64_t{1} << tick_bits;

  /// The entry is due at the first advance() to `deadline_ns` or later; at never_ns, never.
  void insert(timer_entry& entry, std::int64_t deadline_ns) noexcept;
  /// It must be in here, or have been given as due.
  void remove(timer_entry& entry) noexcept;
  /// Moves now on (never back) and appends what is due to `due`. Result: how many that is.
  std::uint64_t advance(std::int64_t now_ns, list& due) noexcept;
  /// Nothing is due before `deadline_ns`; whoever wakes at `latest_ns` is late for nothing by more than
  /// its slack. Exact, but for what has been removed: then both may be too early, and an advance() to
  /// such a moment makes them more exact.
  struct moments {
    std::int64_t deadline_ns;
    std::int64_t latest_ns;
  };
  moments next() const noexcept;
  /// A timer may be late by an eighth of the time that it was armed for, and by this at most.
  static constexpr std::int64_t slack_max_ns = ns_per_ms;
  static constexpr std::int64_t slack_unit_ns = 4096;
  static_assert(slack_max_ns / slack_unit_ns <= UINT8_MAX);
  static std::int64_t latest_of(const timer_entry& entry) noexcept {
    return saturating_add_ns(entry.deadline_ns_, entry.slack_ * slack_unit_ns);
  }
  /// An advance() to a later tick than this one moves entries, or at least now.
  std::uint64_t now_tick() const noexcept { return now_; }
  static std::uint64_t tick_of(std::int64_t moment_ns) noexcept {
    return moment_ns > 0 ? static_cast<std::uint64_t>(moment_ns) >> tick_bits : 0;
  }

 private:
  static constexpr unsigned levels = 4;
  static constexpr unsigned slot_bits = 8;
  static constexpr unsigned slots = 1u << slot_bits;
  static constexpr unsigned word_bits = 64;
  static constexpr unsigned words = slots / word_bits;
  static constexpr std::uint16_t near_place = levels * slots;
  static constexpr std::uint16_t overflow_place = near_place + 1;
  static constexpr std::uint16_t never_place = overflow_place + 1;
  static constexpr std::uint16_t due_place =
      never_place + 1;  // given away, and counted by nobody here
  static constexpr unsigned no_slot = slots;

  struct slot {
    list entries;
    moments first{never_ns, never_ns};  // of what is in it, or before that; never if it is empty
    void add(timer_entry& entry) noexcept;
  };
  void place(timer_entry& entry) noexcept;
  std::uint64_t settle(list& moved, std::int64_t now_ns, list& due) noexcept;
  unsigned first_occupied(unsigned level, unsigned from) const noexcept;

  std::uint64_t now_ = 0;  // ticks
  std::uint64_t occupied_[levels][words] = {};
  slot near_;  // in the tick that is now, or before it
  slot slot_[levels * slots];
  slot overflow_;  // a turn of the highest level away, or more
  slot never_;     // at never_ns
};

}  // namespace weft
