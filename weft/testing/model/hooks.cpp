// What a model build defines in place of the platform: the shim's operations, the futex, the spin
// loop's yield, failed assertions, and a heap that gives nothing back before the execution ends (so
// that a use after the lifetime meets the dead object, not a new one in its place).
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/base/time.hpp"
#include "weft/os/futex.hpp"
#include "weft/os/membarrier.hpp"
#include "weft/testing/model/engine.hpp"

namespace weft::model {

// The words of namespace scope. Their number is their place here; each execution starts with the
// values that stand here, and leaves them as they are.
std::vector<std::uint64_t>& static_words() {
  static std::vector<std::uint64_t> words;
  return words;
}

namespace {

// A static word has generation 1 and its own index, the numbers that memory::reset gives out.
constexpr unsigned first_generation = 1u << 12;

std::uint64_t& outside(unsigned location) { return static_words()[location & 0xfff]; }

}  // namespace

namespace hook {

unsigned create(std::uint64_t initial) noexcept {
  if (engine* e = engine::current()) return e->create(initial);
  static_words().push_back(initial);
  return static_cast<unsigned>(static_words().size() - 1) | first_generation;
}

void destroy(unsigned location) noexcept {
  if (engine* e = engine::current()) e->destroy(location);
}

std::uint64_t load(unsigned location, order o) noexcept {
  engine* e = engine::current();
  return e ? e->load(location, o) : outside(location);
}

void store(unsigned location, std::uint64_t value, order o) noexcept {
  engine* e = engine::current();
  if (!e) {
    outside(location) = value;
    return;
  }
  e->store(location, value, o);
}

std::uint64_t update(unsigned location, rmw kind, std::uint64_t operand, unsigned bytes,
                     order o) noexcept {
  if (engine* e = engine::current()) return e->update(location, kind, operand, bytes, o);
  std::fprintf(stderr, "weft: a model's static word was changed outside of an execution\n");
  std::abort();
}

bool compare_exchange(unsigned location, std::uint64_t& expected, std::uint64_t desired,
                      order success, order failure, bool weak) noexcept {
  if (engine* e = engine::current()) {
    return e->compare_exchange(location, expected, desired, success, failure, weak);
  }
  std::fprintf(stderr, "weft: a model's static word was changed outside of an execution\n");
  std::abort();
}

void fence(order o) noexcept {
  if (engine* e = engine::current()) e->fence(o);
}
void heavy_fence() noexcept {
  if (engine* e = engine::current()) e->heavy_fence();
}
void pause() noexcept {
  if (engine* e = engine::current()) e->pause();
}
const void* this_thread() noexcept {
  static constexpr char places[threads_max] = {};
  engine* e = engine::current();
  return e ? &places[e->running()] : nullptr;
}
void* own(unsigned bytes) noexcept {
  if (engine* e = engine::current()) return e->own(bytes);
  static std::vector<std::uint64_t> outside;  // before and after: one thread
  if (outside.empty()) outside.resize(bytes / sizeof(std::uint64_t) + 1);
  return outside.data();
}
bool mutant(const char* id) noexcept {
  engine* e = engine::current();
  return e && e->mutant(id);
}

// Plain variables are no reason to switch threads: a race shows in the clocks whatever the order.
unsigned create_plain() noexcept {
  const checker_code here;
  engine* e = engine::current();
  return e ? e->plain_memory().create_plain(e->running()) : 0;
}
void destroy_plain(unsigned cell) noexcept {
  const checker_code here;
  if (engine* e = engine::current()) e->plain_memory().destroy_plain(e->running(), cell);
}
void plain_read(unsigned cell) noexcept {
  if (engine* e = engine::current()) e->plain_memory().read_plain(e->running(), cell);
}
void plain_write(unsigned cell) noexcept {
  if (engine* e = engine::current()) e->plain_memory().write_plain(e->running(), cell);
}

}  // namespace hook

void ghost_read() noexcept {
  if (engine* e = engine::current()) e->ghost_read();
}
void ghost_write() noexcept {
  if (engine* e = engine::current()) e->ghost_write();
}

}  // namespace weft::model

namespace weft {

void spin_wait_yield() noexcept { model::hook::pause(); }

void assertion_failed(const char* condition, const char* message, const char* file,
                      int line) noexcept {
  std::string path = file;  // as the build wrote it; from the library's folder on is enough
  if (const auto at = path.rfind("/weft/"); at != std::string::npos) path.erase(0, at + 1);
  const std::string why = std::string("assertion: ") + message + " (" + condition + ", " + path +
                          ":" + std::to_string(line) + ")";
  if (model::engine::current()) model::fail(why);
  std::fprintf(stderr, "weft: %s\n", why.c_str());
  std::abort();
}

namespace os {

namespace {

// The atomic is asked for its number through its only member: it may be dead, and then only the
// number that stood there counts.
unsigned number_of(const atomic<std::uint32_t>& word) noexcept {
  static_assert(sizeof word == sizeof(unsigned));
  unsigned n;
  __builtin_memcpy(&n, &word, sizeof n);
  return n;
}

}  // namespace

bool register_heavy_fence() noexcept { return true; }
void heavy_fence() noexcept { model::hook::heavy_fence(); }

// A deadline comes when the search chooses so, and in the first try never: it saves no lost wake.
bool futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected,
                std::int64_t deadline_ns) noexcept {
  return model::engine::current()->futex_wait(number_of(word), expected, deadline_ns != never_ns);
}

void futex_wake(atomic<std::uint32_t>& word, int n) noexcept {
  model::engine::current()->futex_wake(number_of(word), n);
}

}  // namespace os

}  // namespace weft

namespace {

using weft::model::execution_heap;

void* take(std::size_t bytes, std::size_t alignment) {
  if (bytes == 0) bytes = 1;
  void* p = alignment <= alignof(std::max_align_t)
                ? std::malloc(bytes)
                : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (!p) std::abort();
  if (execution_heap::is_on) weft::model::engine::current()->heap().keep(p);
  return p;
}

void give(void* p) noexcept {
  if (!execution_heap::is_on) std::free(p);
}

}  // namespace

void* operator new(std::size_t bytes) { return take(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t a) {
  return take(bytes, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { give(p); }
void operator delete(void* p, std::size_t) noexcept { give(p); }
void operator delete(void* p, std::align_val_t) noexcept { give(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { give(p); }
