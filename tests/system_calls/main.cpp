// system_calls: a million spawn + join on one worker between two system calls that nobody else makes,
// for check.py to look at from outside.
//
//   system_calls [N]    prints `operations N` at the end
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "weft/weft.hpp"

namespace {

constexpr std::size_t operations_usual = 1'000'000;
constexpr std::size_t warm_up = 20'000;

weft::task<> empty() { co_return; }

weft::task<> spawn_and_join(std::size_t n) {
  for (std::size_t i = 0; i < n; i++) {
    auto handle = weft::spawn(empty);
    co_await handle;
  }
}

/// There is no such descriptor: it fails at once, and shows what it says.
void mark(const char* text) {
  if (::write(-1, text, std::strlen(text)) != -1) std::abort();
}

weft::task<> measured(std::size_t n) {
  co_await spawn_and_join(warm_up);
  mark("weft: begin");
  co_await spawn_and_join(n);
  mark("weft: end");
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t n = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : operations_usual;
  // The monitor looks as often as by default. But on a machine with other work the worker may stand still for 10 ms,
  // and a hand-over is not what is measured.
  weft::runtime rt({.workers = 1, .preempt_after = std::chrono::minutes(1)});
  rt.block_on(rt.spawn(measured, n));
  std::printf("operations %zu\n", n);
}
