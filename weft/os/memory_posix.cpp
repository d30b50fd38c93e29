#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "weft/base/assert.hpp"
#include "weft/os/error.hpp"
#include "weft/os/memory.hpp"

namespace weft::os {
namespace {

/// 0 where the sum does not fit.
std::size_t whole_pages(std::size_t bytes) noexcept {
  const std::size_t mask = page_size() - 1;
  return (bytes + mask) & ~mask;
}

}  // namespace

std::size_t page_size() noexcept {
  static const std::size_t bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

result<void*> map_pages(std::size_t bytes) noexcept {
  const std::size_t size = whole_pages(bytes);
  if (size == 0) return std::unexpected(from_errno(bytes == 0 ? EINVAL : ENOMEM));
  void* const pages =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return std::unexpected(last_error());
  return pages;
}

void unmap_pages(void* pages, std::size_t bytes) noexcept {
  const int failed = ::munmap(pages, whole_pages(bytes));
  WEFT_ASSERT(failed == 0, "unmap_pages() was given something that map_pages() did not give");
}

result<void> protect_none(void* pages, std::size_t bytes) noexcept {
  if (::mprotect(pages, bytes, PROT_NONE) != 0) return std::unexpected(last_error());
  return {};
}

}  // namespace weft::os
