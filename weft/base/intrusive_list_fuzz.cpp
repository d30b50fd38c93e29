// Two lists and their elements, driven by bytes, beside std::list. An element is put in at both ends, taken
// out from the middle, by for_each, and with its whole list.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <list>

#include "weft/base/intrusive_list.hpp"

namespace {

struct node : weft::list_hook<> {
  int number = 0;
};

void require(bool holds) {
  if (!holds) std::abort();
}

void compare(const weft::intrusive_list<node>& list, const std::list<int>& oracle) {
  auto expected = oracle.begin();
  list.for_each([&](const node& n) {
    require(expected != oracle.end() && *expected == n.number);
    ++expected;
  });
  require(expected == oracle.end() && list.empty() == oracle.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr unsigned count = 16;
  node nodes[count];
  for (unsigned i = 0; i < count; ++i) nodes[i].number = static_cast<int>(i);
  weft::intrusive_list<node> lists[2];
  std::list<int> oracles[2];
  for (std::size_t i = 0; i < size; ++i) {
    const unsigned what = data[i] >> 5, which = data[i] >> 4 & 1;
    node& n = nodes[data[i] & 15];
    auto& list = lists[which];
    auto& oracle = oracles[which];
    switch (what) {
      case 0:
      case 1:
        if (n.is_linked()) break;
        list.push_back(n), oracle.push_back(n.number);
        break;
      case 2:
        if (n.is_linked()) break;
        list.push_front(n), oracle.push_front(n.number);
        break;
      case 3:
        if (list.empty()) break;
        require(list.back().number == oracle.back());
        require(list.pop_front().number == oracle.front());
        oracle.pop_front();
        break;
      case 4:
      case 5:
        if (!n.is_linked()) break;
        n.unlink();
        for (auto& each : oracles) each.remove(n.number);
        break;
      case 6:
        list.splice_back(lists[1 - which]);
        oracle.splice(oracle.end(), oracles[1 - which]);
        break;
      default:
        list.for_each([&n](node& each) {
          if (each.number % 4 == n.number % 4) each.unlink();
        });
        oracle.remove_if([&n](int number) { return number % 4 == n.number % 4; });
    }
    for (int l = 0; l < 2; ++l) compare(lists[l], oracles[l]);
  }
  for (auto& list : lists) {
    while (!list.empty()) list.pop_front();
  }
  return 0;
}
