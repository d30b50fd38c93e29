// fingerprint: 128 bits that stand for a sequence of things, or for a set of them. Two that differ are of
// two sequences; two that are equal are of one, but for chance.
#pragma once

#include <cstdint>

namespace weft::model {

/// What the fingerprint of a point is made of. The checker's own tests leave parts out, and see that an
/// outcome is lost then: visited.hpp.
enum class part : unsigned {
  reads = 1u << 0,            // which writes a thread has read
  order_of_writes = 1u << 1,  // of each word
  fences = 1u << 3,           // what a seq_cst fence met in S
  heavy_fences = 1u << 4,     // that somebody else's heavy fence came over a thread
  joins = 1u << 5,            // what a thread knows from its start and from ends
  answers = 1u << 6,          // that an operation failed or ended for nothing
  wakes = 1u << 7,            // that a thread is past a wake, whether it woke anybody or not
  pauses = 1u << 8,           // that a thread is past a step back
  ghosts = 1u << 9,
  places = 1u << 10,  // where words lie, when that matters
  budgets = 1u << 11,
  mover = 1u << 12,  // who is asked to go on
  sleepers = 1u << 13,
  steps_back = 1u << 14,
};

class fingerprint {
 public:
  constexpr fingerprint() noexcept = default;

  /// Appends.
  constexpr void add(std::uint64_t what) noexcept {
    a_ = mixed(a_ ^ (what * 0x9e3779b97f4a7c15));
    b_ = mixed(b_ + what + 0x632be59bd9b4e019);
  }
  constexpr void add(const fingerprint& what) noexcept {
    a_ = mixed(a_ ^ (what.a_ * 0x9e3779b97f4a7c15));
    b_ = mixed(b_ + what.b_ + 0x632be59bd9b4e019);
  }
  /// As into a set in which a thing may be more than once: the order of such additions does not show.
  constexpr void add_in_any_order(const fingerprint& what) noexcept {
    a_ += mixed(what.a_ + 0xd1342543de82ef95);
    b_ += mixed(what.b_ ^ 0xaf251af3b0f025b5);
  }
  /// Takes out what was added in any order.
  constexpr void remove(const fingerprint& what) noexcept {
    a_ -= mixed(what.a_ + 0xd1342543de82ef95);
    b_ -= mixed(what.b_ ^ 0xaf251af3b0f025b5);
  }
  friend constexpr bool operator==(const fingerprint&, const fingerprint&) noexcept = default;
  constexpr std::uint64_t low() const noexcept { return a_; }
  constexpr std::uint64_t high() const noexcept { return b_; }

 private:
  /// Steele, Lea, Flood: SplittableRandom's finalizer (OOPSLA 2014).
  static constexpr std::uint64_t mixed(std::uint64_t z) noexcept {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t a_ = 0;
  std::uint64_t b_ = 0;
};

}  // namespace weft::model
