#include "weft/base/census.hpp"

namespace weft {

namespace detail {
atomic<long> census_counts[static_cast<int>(census_kind::count_)];
}

census live_census() noexcept {
  const auto count = [](census_kind k) {
    return detail::census_counts[static_cast<int>(k)].load(order::relaxed);
  };
  return census{count(census_kind::frames), count(census_kind::jobs), count(census_kind::fds),
                count(census_kind::timers), count(census_kind::threads)};
}

}  // namespace weft
