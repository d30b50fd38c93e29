// The program's own malloc, realloc, aligned_alloc and mmap, as in tests/allocations: they go on to glibc's,
// unless it is their turn to fail. calloc goes through: the dynamic linker, which makes thread-local storage
// with it when a library's is first used, ends the program without memory.
#include "fail.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "weft/base/atomic.hpp"
#include "weft/base/config.hpp"

static constinit weft::atomic<long> requests{0};
static constinit weft::atomic<long> fails_at{0};

namespace failing {

void at(long n) noexcept {
  fails_at.store(0, weft::order::seq_cst);
  requests.store(0, weft::order::seq_cst);
  fails_at.store(n, weft::order::seq_cst);
}
long seen() noexcept { return requests.load(weft::order::seq_cst); }

}  // namespace failing

#if !WEFT_ASAN && !WEFT_TSAN
namespace {
bool fails() noexcept {
  const long n = fails_at.load(weft::order::relaxed);
  if (n == 0) return false;
  return requests.fetch_add(1, weft::order::relaxed) + 1 == n;
}
}  // namespace

extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

static void* none() noexcept {
  errno = ENOMEM;
  return nullptr;
}
void* malloc(std::size_t bytes) noexcept { return fails() ? none() : __libc_malloc(bytes); }
void* realloc(void* old, std::size_t bytes) noexcept {
  return fails() ? none() : __libc_realloc(old, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  return fails() ? none() : __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  return memalign(alignment, bytes);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) noexcept {
  void* const p = memalign(alignment, bytes);
  if (p == nullptr) return ENOMEM;
  *out = p;
  return 0;
}
void* mmap(void* at, std::size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
  if (fails()) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  const long p = syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);
  return reinterpret_cast<void*>(p);  // -1 is MAP_FAILED
}
void* mmap64(void* at, std::size_t bytes, int protection, int flags, int fd,
             off64_t offset) noexcept {
  return mmap(at, bytes, protection, flags, fd, offset);
}

}  // extern "C"
#endif
