// Prints the seed (the tests' common main), a line a scenario, and the sum of all of them.
//
//   WEFT_STRESS_OPERATIONS   how many stops in all, however long they take (without it a part of a second
//                            for each scenario)
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/stops/crowd.hpp"

namespace weft::stops {
namespace {

class sum final : public ::testing::Environment {
 public:
  void TearDown() override {
    const auto of = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
    std::printf("stops injected %llu, lost %llu, doubled %llu\n", of(total.injected),
                of(total.lost), of(total.doubled));
  }
};
[[maybe_unused]] ::testing::Environment* const added = ::testing::AddGlobalTestEnvironment(new sum);

}  // namespace
}  // namespace weft::stops
