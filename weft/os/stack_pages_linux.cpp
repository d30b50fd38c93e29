#include "weft/os/stack_pages.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include "weft/base/atomic.hpp"
#include "weft/os/error.hpp"
#include "weft/os/memory.hpp"

namespace weft::os {
namespace {

// Newer than the headers we build with.
constexpr int advice_guard_install = 102;  // MADV_GUARD_INSTALL
constexpr int advice_populate_read = 22;   // MADV_POPULATE_READ
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

/// An emulator (qemu-user) says yes to advice that it does not know, and then there is no guard. So a page
/// is marked, and the kernel asked to fill it: where there is a guard that is EFAULT, and nothing else
/// is. A refused mark is no lie; then, and where there is no page to try, each guard finds out itself.
bool is_advice_ignored() noexcept {
  const std::size_t page = page_size();
  void* const tried =
      ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (tried == MAP_FAILED) return false;
  bool ignored = false;
  if (::madvise(tried, page, advice_guard_install) == 0) {
    ignored = ::madvise(tried, page, advice_populate_read) == 0 || errno != EFAULT;
  }
  ::munmap(tried, page);
  return ignored;
}

#if WEFT_CENSUS
// Nothing comes with it: a test sets it before it starts the threads that it is for.
atomic<stack_pages_check> checked_by;

bool is_refused(stack_pages_call call) noexcept {
  const stack_pages_check check = checked_by.load(order::relaxed);
  return check != nullptr && !check(call);
}
#else
enum class stack_pages_call { reserve, release, guard_by_advice, guard_by_protection, forget };
constexpr bool is_refused(stack_pages_call) noexcept { return false; }
#endif

}  // namespace

result<void*> reserve_pages(std::size_t bytes) noexcept {
  if (is_refused(stack_pages_call::reserve)) return std::unexpected(from_errno(ENOMEM));
  void* const pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (pages == MAP_FAILED) return std::unexpected(last_error());
  // A huge page would commit 2 MiB for the first touch of one stack. Since Linux 6.7 MAP_STACK says so,
  // too. EINVAL: the kernel has none.
  if (::madvise(pages, bytes, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) {
    const auto why = last_error();
    ::munmap(pages, bytes);
    return std::unexpected(why);
  }
  return pages;
}

result<void> release_pages(void* pages, std::size_t bytes) noexcept {
  if (is_refused(stack_pages_call::release)) return std::unexpected(from_errno(ENOMEM));
  if (::munmap(pages, bytes) != 0) return std::unexpected(last_error());
  return {};
}

result<void> guard_pages(void* pages, std::size_t bytes, guard_kind kind) noexcept {
  const bool by_advice = kind == guard_kind::advice;
  if (by_advice) {
    static const bool is_ignored = is_advice_ignored();
    if (is_ignored) return std::unexpected(from_errno(EINVAL));
  }
  if (is_refused(by_advice ? stack_pages_call::guard_by_advice
                           : stack_pages_call::guard_by_protection)) {
    return std::unexpected(from_errno(ENOMEM));
  }
  const int failed = by_advice ? ::madvise(pages, bytes, advice_guard_install)
                               : ::mprotect(pages, bytes, PROT_NONE);
  if (failed != 0) return std::unexpected(last_error());
  return {};
}

void forget_reserved_pages(void* pages, std::size_t bytes) noexcept {
  static_cast<void>(is_refused(stack_pages_call::forget));
  forget_pages(pages, bytes);
}

std::size_t touched_bytes(const void* pages, std::size_t bytes) noexcept {
  constexpr std::size_t pages_at_once = 256;  // it may be called on the stack that it looks at
  const std::size_t page = page_size();
  auto* const first = static_cast<std::byte*>(const_cast<void*>(pages));
  unsigned char there[pages_at_once];
  std::size_t touched = 0;
  for (std::size_t left = bytes / page;
       left != 0;) {  // from the end, as a stack of 64 GiB has 16 million
    const std::size_t n = std::min(pages_at_once, left);
    left -= n;
    if (::mincore(first + left * page, n * page, there) != 0) break;
    const auto* const deepest =
        std::find_if(there, there + n, [](unsigned char of) { return (of & 1) != 0; });
    if (deepest == there + n) break;
    touched = bytes - (left + static_cast<std::size_t>(deepest - there)) * page;
  }
  return touched;
}

std::size_t mappings_max() noexcept {
  static const std::size_t most = read_mappings_max();
  return most;
}

#if WEFT_CENSUS
void set_stack_pages_check(stack_pages_check check) noexcept {
  checked_by.store(check, order::relaxed);
}
#endif

}  // namespace weft::os
