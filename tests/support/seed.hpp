// seed: the one number all randomness of a test run comes from. Printed at the start; a failure is
// replayed with WEFT_SEED=<number> in the environment.
#pragma once

#include <cstdint>

namespace weft::test_support {

std::uint64_t seed() noexcept;

}  // namespace weft::test_support
