// G11: a variable in a frame that wants more alignment than operator new promises.
//
// Neither compiler passes the alignment on. The cure that works on both is a promise whose
// operator new returns memory aligned for the strictest type allowed.

#include <cstdint>
#include <cstdlib>
#include <new>

#include "lifetime.hpp"
#include "suite.hpp"

namespace conformance {
namespace {

constexpr int tries = 64;  // one frame may be aligned by luck, all of them not

struct alignas(64) line {
  char bytes[64];
};

struct aligned_promise;
struct aligned_task {
  using promise_type = aligned_promise;
  std::coroutine_handle<aligned_promise> frame;
};
struct aligned_promise : promise_base {
  static void* operator new(std::size_t size) {
    return ::operator new(size, std::align_val_t{64});
  }
  static void operator delete(void* frame, std::size_t size) {
    ::operator delete(frame, size, std::align_val_t{64});
  }
  aligned_task get_return_object() {
    return {std::coroutine_handle<aligned_promise>::from_promise(*this)};
  }
  void return_value(int value) { result = value; }
  int result = -1;
};

// The optimiser would answer from the declared alignment what the address really is.
int misalignment(const void* address) {
  auto bits = reinterpret_cast<std::uintptr_t>(address);
  asm volatile("" : "+r"(bits));
  return static_cast<int>(bits % alignof(line));
}

task<int> in_default_frame(int seed) {
  char before[3];
  line big;
  big.bytes[0] = 1;
  before[0] = static_cast<char>(seed);
  co_await park();
  co_return misalignment(&big) + 0 * before[0];
}

aligned_task in_aligned_frame(int seed) {
  char before[3];
  line big;
  big.bytes[0] = 1;
  before[0] = static_cast<char>(seed);
  co_await park();
  co_return misalignment(&big) + 0 * before[0];
}

// Holes of several sizes, so that frames do not all land in the same place. Never freed: the process
// ends with the pattern.
void disturb_heap(int i) {
  void* kept = std::malloc(16 + static_cast<std::size_t>(i % 7) * 16);
  asm volatile("" : "+r"(kept));  // or the call is left out
}

void default_frames() {
  int misaligned = 0;
  for (int i = 0; i < tries; i++) {
    disturb_heap(i);
    if (drive(in_default_frame(i)) != 0) ++misaligned;
  }
  expect(misaligned == 0, "a variable is not aligned");
}

void aligned_frames() {
  int misaligned = 0;
  for (int i = 0; i < tries; i++) {
    disturb_heap(i);
    auto work = in_aligned_frame(i);
    work.frame.resume();
    resume_parked();
    if (work.frame.promise().result != 0) ++misaligned;
    work.frame.destroy();
  }
  expect(misaligned == 0, "a variable is not aligned");
}

}  // namespace

std::span<const pattern> alignment() {
  // The sanitizers' own heaps happen to align blocks of this size.
  using namespace built_with;
  static constexpr pattern table[] = {
      {"G11", "aligned_variable_in_default_frame", default_frames, bad_if(!asan && !tsan)},
      {"G11", "aligned_variable_in_aligned_frame", aligned_frames},
  };
  return table;
}

}  // namespace conformance
