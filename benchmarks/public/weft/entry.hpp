// entry: what the five programs share: arguments, the check that a result is right, and the lines
// that the comparison's script reads.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <type_traits>
#include <weft/weft.hpp>

namespace entry {

/// The argument at `position`, or `otherwise`; ends the program if it is no number above zero.
inline std::size_t argument(int argc, char** argv, int position, std::size_t otherwise) {
  if (argc <= position) return otherwise;
  const auto n = std::strtoull(argv[position], nullptr, 10);
  if (n != 0) return n;
  std::fprintf(stderr, "%s: '%s' is not a number above zero\n", argv[0], argv[position]);
  std::exit(2);
}

/// Half of the hardware's threads, as the other entries have it: one a core where there are two.
inline std::size_t threads(int argc, char** argv, int position) {
  const auto half = std::thread::hardware_concurrency() / 2;
  return argument(argc, argv, position, half == 0 ? 1 : half);
}

inline void expect(std::uint64_t got, std::uint64_t right) {
  if (got == right) return;
  std::printf("error: expected %lu, got %lu\n", right, got);
  std::exit(1);
}

inline long peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

using clock = std::chrono::steady_clock;

inline long long us_since(clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - begin).count();
}

/// Calls `warm_up` and then, timed, `work`, which are awaited as jobs of a runtime with `threads`
/// workers, and prints how long the second one took.
template <class WarmUp, class Work>
void measure(std::size_t threads, WarmUp warm_up, Work work) {
  weft::runtime rt({.workers = static_cast<unsigned>(threads)});
  std::printf("threads: %zu\n", threads);
  rt.block_on(rt.spawn(warm_up));
  const auto begin = clock::now();
  rt.block_on(rt.spawn(work));
  const auto us = us_since(begin);
  std::printf("runs:\n  - iteration_count: 1\n    duration: %lld us\n    max_rss: %ld KiB\n", us,
              peak_kib());
}

}  // namespace entry
