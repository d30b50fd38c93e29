// The kernels of preempt_test_support.hpp where nobody is preempted: one, so that regions are entered.
#include <array>
#include <cstdint>

#include "weft/fiber/preempt_test_support.hpp"
#include "weft/runtime/preemptible.hpp"

namespace weft::fiber_test {
namespace {

WEFT_PREEMPTIBLE std::uint64_t mix(std::uint64_t seed, std::uint64_t count) {
  for (; count != 0; --count) seed = (seed ^ seed >> 29) * 0x9e3779b97f4a7c15;
  return seed;
}

}  // namespace

std::span<const kernel> kernels() {
  static constexpr std::array<kernel, 1> all{{{"mix", mix, 50'000}}};
  return all;
}

}  // namespace weft::fiber_test
