// G6 and G7: how long a run of symmetric transfers may be, which is a matter of flags.
//
//   transfers COUNT: awaits COUNT children in a row on a stack of 256 KiB; 0 when it came through.
//
// Each await is two transfers. As tail calls they need no stack at all; as calls a child that ends
// at once leaves two frames behind, and the stack is gone within some thousands.

#include <cstdio>
#include <cstdlib>

#include <pthread.h>
#include <sys/resource.h>

#include "../lifetime.hpp"

namespace conformance {

void fail(const char* what) noexcept {
  std::fprintf(stderr, "%s\n", what);
  std::_Exit(1);
}

namespace {

constexpr std::size_t stack_size = 256 * 1024;

task<void> leaf() { co_return; }

task<long> loop(long count) {
  long done = 0;
  while (done < count) {
    co_await leaf();
    ++done;
  }
  co_return done;
}

void* run(void* count) {
  const long wanted = *static_cast<long*>(count);
  expect(drive(loop(wanted)) == wanted, "wrong count");
  return nullptr;
}

}  // namespace
}  // namespace conformance

int main(int argc, char** argv) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  long count = argc > 1 ? std::atol(argv[1]) : 1'000;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, conformance::stack_size);
  pthread_t thread;
  if (pthread_create(&thread, &attributes, conformance::run, &count) != 0) return 2;
  pthread_join(thread, nullptr);
  return 0;
}
