#include <pthread.h>

#include "weft/base/atomic.hpp"
#include "weft/os/fork.hpp"

namespace weft::os {
namespace {

atomic<std::uint32_t> generation{0};  // written while its process has one thread

void in_the_child() { generation.store(generation.load(order::relaxed) + 1, order::relaxed); }

}  // namespace

std::uint32_t fork_generation() noexcept {
  // Where it is refused (no memory), no fork is noticed: as it would be without.
  static const int asked = ::pthread_atfork(nullptr, nullptr, in_the_child);
  static_cast<void>(asked);
  return generation.load(order::relaxed);
}

void around_forks(void (*before)(), void (*after)()) noexcept {
  static_cast<void>(::pthread_atfork(before, after, after));
}

}  // namespace weft::os
