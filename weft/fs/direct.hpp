// aligned_buffer: memory for files that are opened with `direct`, past the page cache.
//
//   auto disk = co_await fs::open("data", {.direct = true});
//   fs::aligned_buffer buffer(1 << 20, disk->alignment());
//   const auto n = co_await disk->read_at(buffer.bytes(), 0);
//
//   Errors  an operation whose buffer, offset or length does not fit gives fs::misaligned() without
//           a call. Exceptions: std::bad_alloc
//   Note    the kernel says what fits from Linux 6.1 on; before, 4096 is asked for, which is enough for
//           any disk
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <span>

#include "weft/fs/file.hpp"

namespace weft::fs {

class aligned_buffer {
 public:
  /// At least `size` bytes, zeros: rounded up to a length that fits.
  explicit aligned_buffer(std::size_t size, direct_alignment needed = {4096, 4096})
      : size_(rounded(size, needed.offset)),
        bytes_(allocate(size_, fit(needed.memory)), deleter(fit(needed.memory))) {
    if (size_ != 0) std::memset(bytes_.get(), 0, size_);
  }
  std::span<std::byte> bytes() noexcept { return {bytes_.get(), size_}; }
  std::span<const std::byte> bytes() const noexcept { return {bytes_.get(), size_}; }
  std::size_t size() const noexcept { return size_; }

 private:
  struct deleter {
    explicit deleter(std::size_t a) noexcept : alignment(a) {}
    std::size_t alignment;
    void operator()(std::byte* p) const noexcept {
      ::operator delete(p, std::align_val_t(alignment));
    }
  };
  static std::size_t rounded(std::size_t size, std::size_t to) {
    if (size > std::numeric_limits<std::size_t>::max() - (to - 1)) throw std::bad_alloc();
    return (size + to - 1) / to * to;
  }
  static std::size_t fit(std::size_t memory) noexcept {
    return std::max(memory, alignof(std::max_align_t));
  }
  static std::byte* allocate(std::size_t size, std::size_t alignment) {
    return static_cast<std::byte*>(::operator new(size, std::align_val_t(alignment)));
  }
  std::size_t size_;
  std::unique_ptr<std::byte, deleter> bytes_;
};

}  // namespace weft::fs
