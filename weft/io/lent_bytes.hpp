// lent_bytes: bytes in a buffer that is not the reader's: lent to it when they were there.
//
// Who waits for bytes with a buffer of its own holds the buffer as long as it waits, and most
// connections wait most of the time. What reads into a lent one holds nothing while it waits.
//
//   Threads  one at a time; it may be given on, and die on any thread
//   Memory   the buffer goes back to its lender when this dies, also when the driver or the runtime
//            that it came from has ended. Keep it for as long as the bytes are looked at: what is
//            kept for long should be copied. Who needs a buffer while all are lent gets one from
//            the heap
//   Cost     no allocation while what was lent comes back (see lent_buffers.hpp)
//   After    provided buffers of io_uring(7); Tokio's and Go's readers hold theirs
#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace weft::io {

/// The most bytes that one lent buffer holds.
inline constexpr std::size_t lent_bytes_max = std::size_t{16} << 10;

/// Whose buffers these are. For drivers.
class buffer_lender {
 public:
  buffer_lender(const buffer_lender&) = delete;
  buffer_lender& operator=(const buffer_lender&) = delete;
  /// Takes back what it lent. Threads: any.
  virtual void give_back(std::byte* buffer) noexcept = 0;

 protected:
  constexpr buffer_lender() noexcept = default;
  ~buffer_lender() = default;
};

class [[nodiscard]] lent_bytes {
 public:
  /// Holds nothing.
  lent_bytes() noexcept = default;
  /// For drivers: the first `size` bytes of `buffer`, which goes back to `from`.
  lent_bytes(buffer_lender& from, std::byte* buffer, std::size_t size) noexcept
      : from_(&from), data_(buffer), size_(size) {}
  lent_bytes(lent_bytes&& other) noexcept
      : from_(std::exchange(other.from_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  lent_bytes& operator=(lent_bytes&& other) noexcept {
    if (this != &other) {
      release();
      from_ = std::exchange(other.from_, nullptr);
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  ~lent_bytes() { release(); }

  /// May be written to, too: nobody else has them.
  std::span<std::byte> bytes() const noexcept { return {data_, size_}; }
  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  /// At the end of the stream, and after release().
  bool empty() const noexcept { return size_ == 0; }

  /// Gives the buffer back now.
  void release() noexcept {
    if (from_ != nullptr) std::exchange(from_, nullptr)->give_back(data_);
    data_ = nullptr;
    size_ = 0;
  }

 private:
  buffer_lender* from_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace weft::io
