// skynet [THREADS]: a tree of 10^8 leaves, ten children a node; the leaves' numbers are added up.
#include <weft/together/fork_join.hpp>

#include "entry.hpp"

namespace {

constexpr std::uint64_t leaves = 100'000'000;

weft::task<std::uint64_t> skynet(std::uint64_t first, std::uint64_t count);

template <std::size_t... I>
weft::task<std::uint64_t> node(std::uint64_t first, std::uint64_t each, std::index_sequence<I...>) {
  const auto sums = co_await weft::fork_join([=] { return skynet(first + I * each, each); }...);
  co_return (std::get<I>(sums) + ...);
}

weft::task<std::uint64_t> leaf(std::uint64_t number) { co_return number; }

weft::task<std::uint64_t> skynet(std::uint64_t first, std::uint64_t count) {
  if (count == 1) return leaf(first);
  return node(first, count / 10, std::make_index_sequence<10>());
}

weft::task<> checked() {
  const auto sum = co_await skynet(0, leaves);
  entry::expect(sum, leaves * (leaves - 1) / 2);
}

}  // namespace

int main(int argc, char** argv) { entry::measure(entry::threads(argc, argv, 1), checked, checked); }
