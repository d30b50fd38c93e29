#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

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

result<void*> map_pages_aligned(std::size_t bytes, std::size_t alignment) noexcept {
  WEFT_ASSERT((alignment & (alignment - 1)) == 0 && alignment >= page_size(),
              "the alignment of a mapping is a power of two and at least a page");
  WEFT_ASSERT(bytes == whole_pages(bytes), "an aligned mapping has whole pages");
  std::size_t with_room = 0;
  if (__builtin_add_overflow(bytes, alignment - page_size(), &with_room)) {
    return std::unexpected(from_errno(ENOMEM));
  }
  const auto mapped = map_pages(with_room);
  if (!mapped) return mapped;
  // What is in front of the aligned part, and behind it, goes back.
  char* const first = static_cast<char*>(*mapped);
  const std::size_t before = -reinterpret_cast<std::uintptr_t>(first) & (alignment - 1);
  const std::size_t behind = with_room - before - bytes;
  if (before != 0) unmap_pages(first, before);
  if (behind != 0) unmap_pages(first + before + bytes, behind);
  return first + before;
}

void unmap_pages(void* pages, std::size_t bytes) noexcept {
  const int failed = ::munmap(pages, whole_pages(bytes));
  WEFT_ASSERT(failed == 0, "unmap_pages() was given something that map_pages() did not give");
}

void forget_pages(void* pages, std::size_t bytes) noexcept {
  // EINVAL: they are locked, as the user asked; that is fine.
  const int failed = ::madvise(pages, bytes, MADV_DONTNEED);
  WEFT_ASSERT(failed == 0 || errno == EINVAL,
              "forget_pages() was given no whole pages of a mapping");
}

result<void> protect_none(void* pages, std::size_t bytes) noexcept {
  if (::mprotect(pages, bytes, PROT_NONE) != 0) return std::unexpected(last_error());
  return {};
}

}  // namespace weft::os
