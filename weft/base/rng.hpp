// rng: a small, fast, seedable generator for scheduling decisions. Not for secrets.
//
//   Threads  one owner
//   After    xorshift64* (Vigna, 2016); seeded through splitmix64 so that any seed is a good one
#pragma once

#include <cstdint>

namespace weft {

class rng {
 public:
  explicit rng(std::uint64_t seed) noexcept {
    std::uint64_t z = seed + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    state_ = (z ^ (z >> 31)) | 1;
  }
  std::uint64_t next() noexcept {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1du;
  }
  /// Evenly in [0, bound), bound > 0; the bias of the multiplication is below 2^-32.
  std::uint32_t below(std::uint32_t bound) noexcept {
    return static_cast<std::uint32_t>(((next() >> 32) * bound) >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace weft
