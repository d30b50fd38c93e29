// What the stress programs of queues share: how much to do, and who had what.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "weft/base/atomic.hpp"

namespace weft::test_support {

/// How many values a test sends: WEFT_STRESS_OPERATIONS in the environment (then however long it
/// takes), or the test's own.
inline std::uint32_t stress_operations(std::uint32_t usual) {
  const char* const s = std::getenv("WEFT_STRESS_OPERATIONS");
  return s ? static_cast<std::uint32_t>(std::strtoul(s, nullptr, 0)) : usual;
}

/// Says when a slow or sanitized build has done enough, if nobody asked for a number.
class stress_limit {
 public:
  bool reached() const {
    return !std::getenv("WEFT_STRESS_OPERATIONS") && std::chrono::steady_clock::now() > end_;
  }

 private:
  std::chrono::steady_clock::time_point end_ =
      std::chrono::steady_clock::now() + std::chrono::seconds(3);
};

/// Items that the one who made them uses again as soon as they were done: any number of them goes
/// through a test in little memory. Item has `number`, and `atomic<bool> out`.
template <class Item>
class items_in_use_again {
 public:
  /// An item with the next number, or null: the one whose turn it is is still out.
  Item* fresh() {
    Item* const i = &all_[next_ % count];
    if (i->out.load(order::acquire)) return nullptr;
    i->number = next_++;
    i->out.store(true, order::relaxed);
    return i;
  }
  std::uint32_t made() const { return next_; }
  /// By whoever has it; it must not be touched afterwards. Result: false if it was not out.
  [[nodiscard]] static bool done(Item* i) { return i->out.exchange(false, order::acq_rel); }

 private:
  static constexpr std::uint32_t count = 1 << 14;
  std::unique_ptr<Item[]> all_ = std::make_unique<Item[]>(count);
  std::uint32_t next_ = 0;
};

/// A count for each number.
class register_of_numbers {
 public:
  explicit register_of_numbers(std::uint32_t size)
      : times_(std::make_unique<atomic<unsigned char>[]>(size)) {}
  void had(std::uint32_t number) {
    times_[number].fetch_add(static_cast<unsigned char>(1), order::relaxed);
  }
  unsigned times(std::uint32_t number) const { return times_[number].load(order::relaxed); }

 private:
  std::unique_ptr<atomic<unsigned char>[]> times_;
};

}  // namespace weft::test_support
