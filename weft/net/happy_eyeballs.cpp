#include "weft/net/happy_eyeballs.hpp"

#include "weft/base/assert.hpp"

namespace weft::net {
namespace {

/// Says nothing about the other end.
bool is_about_this_machine(std::error_code error) noexcept {
  return error == std::errc::network_unreachable || error == std::errc::address_not_available ||
         error == std::errc::address_family_not_supported || error == std::errc::network_down ||
         error == std::errc::host_unreachable;
}

}  // namespace

std::vector<endpoint> interleave_families(std::vector<endpoint> endpoints) {
  std::vector<endpoint> turn[2];  // of the first one's family, and of the other
  for (const endpoint& e : endpoints) {
    turn[e.address.is_v6() == endpoints.front().address.is_v6() ? 0 : 1].push_back(e);
  }
  endpoints.clear();
  for (std::size_t i = 0; i < std::max(turn[0].size(), turn[1].size()); ++i) {
    for (const auto& family : turn) {
      if (i < family.size()) endpoints.push_back(family[i]);
    }
  }
  return endpoints;
}

std::error_code most_telling(const std::vector<failed_attempt>& failures) noexcept {
  WEFT_ASSERT(!failures.empty(), "there is no error without a failed attempt");
  for (auto it = failures.rbegin(); it != failures.rend(); ++it) {
    if (!is_about_this_machine(it->error)) return it->error;
  }
  return failures.back().error;
}

}  // namespace weft::net
