#include "weft/os/stack_pages.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "weft/os/error.hpp"

namespace weft::os {
namespace {

constexpr int advice_guard_install =
    102;  // MADV_GUARD_INSTALL: newer than the headers we build with
constexpr std::size_t mappings_max_default = 65'530;

/// Without the heap: it is asked for when memory is short, too.
std::size_t read_mappings_max() noexcept {
  const int file = ::open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
  if (file < 0) return mappings_max_default;
  char text[32] = {};
  const auto n = ::read(file, text, sizeof text - 1);
  ::close(file);
  const auto most = n > 0 ? std::strtoull(text, nullptr, 10) : 0;
  return most != 0 ? static_cast<std::size_t>(most) : mappings_max_default;
}

}  // namespace

result<void*> reserve_pages(std::size_t bytes) noexcept {
  void* const pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (pages == MAP_FAILED) return std::unexpected(last_error());
  // A huge page would commit 2 MiB for the first touch of one stack. EINVAL: the kernel has none.
  if (::madvise(pages, bytes, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) {
    const auto why = last_error();
    ::munmap(pages, bytes);
    return std::unexpected(why);
  }
  return pages;
}

result<void> release_pages(void* pages, std::size_t bytes) noexcept {
  if (::munmap(pages, bytes) != 0) return std::unexpected(last_error());
  return {};
}

result<void> guard_pages(void* pages, std::size_t bytes, guard_kind kind) noexcept {
  const int failed = kind == guard_kind::advice ? ::madvise(pages, bytes, advice_guard_install)
                                                : ::mprotect(pages, bytes, PROT_NONE);
  if (failed != 0) return std::unexpected(last_error());
  return {};
}

std::size_t mappings_max() noexcept {
  static const std::size_t most = read_mappings_max();
  return most;
}

}  // namespace weft::os
