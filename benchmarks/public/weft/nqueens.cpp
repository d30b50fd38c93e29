// nqueens [THREADS]: how many ways 14 queens fit on the board; a fork for each safe place of a row.
#include <weft/together/fork_join.hpp>

#include <array>

#include "entry.hpp"

namespace {

constexpr std::size_t n = 14;
constexpr std::uint64_t known = 365'596;
using columns = std::array<char, n>;  // of the queens in the rows so far; or the safe ones

bool fits(const columns& queens, std::size_t row, char column) {
  for (std::size_t above = 0; above < row; above++) {
    const auto distance = static_cast<int>(row - above);
    const auto aside = column - queens[above];
    if (aside == 0 || aside == distance || aside == -distance) return false;
  }
  return true;
}

weft::task<std::uint64_t> place(const columns& queens, std::size_t row);
weft::task<std::uint64_t> leaf(std::uint64_t found) { co_return found; }

template <std::size_t... I>
weft::task<std::uint64_t> node(columns queens, std::size_t row, columns safe,
                               std::index_sequence<I...>) {
  const auto branch = [&](char column) {
    columns with = queens;
    with[row] = column;
    return place(with, row + 1);
  };
  const auto found = co_await weft::fork_join([&] { return branch(safe[I]); }...);
  co_return (std::get<I>(found) + ...);
}

/// The node with as many branches as there are safe columns.
template <std::size_t Count = 1>
weft::task<std::uint64_t> node_of(std::size_t count, const columns& queens, std::size_t row,
                                  const columns& safe) {
  if constexpr (Count < n)
    if (count != Count) return node_of<Count + 1>(count, queens, row, safe);
  return node(queens, row, safe, std::make_index_sequence<Count>());
}

weft::task<std::uint64_t> place(const columns& queens, std::size_t row) {
  if (row == n) return leaf(1);
  columns safe{};
  std::size_t count = 0;
  for (char column = 0; column < static_cast<char>(n); column++)
    if (fits(queens, row, column)) safe[count++] = column;
  if (count == 0) return leaf(0);
  return node_of(count, queens, row, safe);
}

weft::task<> checked() {
  const columns none{};
  const auto found = co_await place(none, 0);
  entry::expect(found, known);
}

}  // namespace

int main(int argc, char** argv) { entry::measure(entry::threads(argc, argv, 1), checked, checked); }
