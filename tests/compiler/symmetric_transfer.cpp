// G6 and G7, the part that holds under every flag: a short run of transfers, nested and in a row.
//
// How deep a stack a long run needs depends on flags, so those runs are built apart: see
// flags/transfers.cpp and check.py.

#include "lifetime.hpp"
#include "suite.hpp"

namespace conformance {
namespace {

constexpr int transfers = 1'000;  // few enough for a build whose transfers nest

task<void> leaf() { co_return; }

task<void> loop_with_variable() {
  int done = 0;
  while (done < transfers) {
    co_await leaf();
    ++done;
  }
  expect(done == transfers, "wrong count");
}

// GCC 12 is told to look here too: a loop is a statement with a condition (G5), but nothing is
// awaited in it.
task<void> loop_only() {
  for (int i = 0; i < transfers; i++) co_await leaf();
}

task<int> nest(int depth) {
  if (depth == 0) co_return 0;
  const int below = co_await nest(depth - 1);
  co_return below + 1;
}

}  // namespace

std::span<const pattern> symmetric_transfer() {
  static constexpr pattern table[] = {
      {"G6", "transfers_in_a_row", [] { drive(loop_with_variable()); }},
      {"G6", "transfers_in_a_row_without_variable", [] { drive(loop_only()); }},
      {"G6", "transfers_nested", [] { expect(drive(nest(100)) == 100, "wrong value"); }},
  };
  return table;
}

}  // namespace conformance
