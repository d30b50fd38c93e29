// wheel: deadlines by the millisecond in four wheels of 256 slots and a list for what is later.
//
// A pure structure: time comes in as an argument, in ticks (milliseconds). An entry stands in the
// level of the highest byte in which its tick differs from now, in the slot that this byte names;
// when now reaches a slot of a higher level its entries move down. So what a level holds is later
// than all that the levels below it hold, and the first occupied slot is the next event.
//
//   Threads  none of its own (timer_set puts a lock around it)
//   Cost     insert and remove O(1), no allocation; each entry moves down at most four times
//   Order    never early; equal ticks leave in the order in which they were inserted
//   After    Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987)
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
  std::int64_t deadline_ns_ = 0;  // timer_set's: orders what leaves in one tick
  std::uint64_t tick_ = 0;
  std::uint16_t place_ = 0;  // level * 256 + slot, or one of the places behind
  plain<state> state_{state::idle};
};

class wheel {
 public:
  using list = intrusive_list<timer_entry, timer_tag>;
  static constexpr std::uint64_t no_tick = UINT64_MAX;

  /// The entry is due at the first advance() to `tick` or later; one in the past, at the next; one
  /// at no_tick, never.
  void insert(timer_entry& entry, std::uint64_t tick) noexcept;
  /// It must be in here.
  void remove(timer_entry& entry) noexcept;
  /// Moves now on (never back) and appends what has become due to `due`, earliest first.
  void advance(std::uint64_t now, list& due) noexcept;
  /// Nothing happens before this tick: a lower bound, exact within the same 256 ticks as now.
  std::uint64_t next_tick() const noexcept;
  std::uint64_t now() const noexcept { return now_; }
  std::uint64_t size() const noexcept { return size_; }

 private:
  static constexpr unsigned levels = 4;
  static constexpr unsigned slots = 256;
  static constexpr unsigned word_bits = 64;
  static constexpr std::uint16_t overflow_place = levels * slots;
  static constexpr std::uint16_t past_place = overflow_place + 1;
  static constexpr std::uint16_t never_place = past_place + 1;

  struct event {
    std::uint64_t tick;
    unsigned place;
  };
  void place(timer_entry& entry) noexcept;
  event next_event() const noexcept;
  void settle(list& moved, list& due) noexcept;

  std::uint64_t now_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t occupied_[levels][slots / word_bits] = {};
  list slot_[levels * slots];
  list overflow_;                          // differs from now above the fourth byte
  list past_;                              // due at the next advance
  list never_;                             // at no_tick
  std::uint64_t overflow_from_ = no_tick;  // not after any tick in overflow_
};

}  // namespace weft
