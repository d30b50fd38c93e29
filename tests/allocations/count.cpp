// The program's own malloc, calloc, realloc, aligned_alloc, posix_memalign, memalign and mmap: they
// count, and go on to glibc's. A program's definitions come before those of the shared libraries, so
// libstdc++'s operator new, OpenSSL and weft all end here; nothing has to be preloaded or wrapped.
//
// Not seen: what is bound inside of libc itself (fopen's buffers, thread stacks), and whatever the
// allocator does on its own. tests/system_calls sees what of that reaches the kernel.
#include "count.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "weft/base/atomic.hpp"
#include "weft/base/config.hpp"

// Set before any constructor runs: malloc is called by the dynamic linker's work already.
static constinit weft::atomic<std::uint64_t> allocations{0};
static constinit weft::atomic<std::uint64_t> mappings{0};

namespace counted {

calls now() noexcept {
  return {allocations.load(weft::order::relaxed), mappings.load(weft::order::relaxed)};
}

}  // namespace counted

#if !WEFT_ASAN && !WEFT_TSAN  // they have an allocator of their own
extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t bytes) noexcept {
  allocations.fetch_add(1, weft::order::relaxed);
  return __libc_malloc(bytes);
}
void* calloc(std::size_t n, std::size_t bytes) noexcept {
  allocations.fetch_add(1, weft::order::relaxed);
  return __libc_calloc(n, bytes);
}
void* realloc(void* old, std::size_t bytes) noexcept {
  allocations.fetch_add(1, weft::order::relaxed);
  return __libc_realloc(old, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  allocations.fetch_add(1, weft::order::relaxed);
  return __libc_memalign(alignment, bytes);
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
  mappings.fetch_add(1, weft::order::relaxed);
  const long p = syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);
  return reinterpret_cast<void*>(p);  // -1 is MAP_FAILED
}
void* mmap64(void* at, std::size_t bytes, int protection, int flags, int fd,
             off64_t offset) noexcept {
  return mmap(at, bytes, protection, flags, fd, offset);
}

}  // extern "C"
#endif
