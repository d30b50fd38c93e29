// datagram_batch: room for several datagrams, with an address each, that are received or sent by one call
// of the system (recvmmsg, sendmmsg).
//
//   net::datagram_batch batch(32, 1500);
//   const auto n = co_await socket.receive_many(batch);
//   for (std::size_t i = 0; i < batch.size(); ++i) use(batch.bytes(i), batch[i].from);
//   const auto sent = co_await socket.send_many(batch);     // each goes back to where it came from
//
//   Memory   taken when it is made, none for an await
//   Threads  one user at a time; an await uses it until it ends
//   Cancel   a receive that was stopped leaves the batch empty
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "weft/base/assert.hpp"
#include "weft/net/message_operation.hpp"

namespace weft::net {

class datagram_batch {
 public:
  /// For at most `capacity` datagrams, of at most `bytes_each`. At least one. Throws std::bad_alloc;
  /// std::bad_array_new_length, where no memory could be so large.
  datagram_batch(std::size_t capacity, std::size_t bytes_each);
  datagram_batch(const datagram_batch&) = delete;
  datagram_batch& operator=(const datagram_batch&) = delete;

  std::size_t capacity() const noexcept { return slots_.size(); }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  /// What is known of the i-th; i < size().
  const datagram& operator[](std::size_t i) const noexcept {
    WEFT_ASSERT(i < size_, "datagram_batch: there is no such datagram, look at size()");
    return slots_[i].about;
  }
  std::span<std::byte> bytes(std::size_t i) noexcept {
    WEFT_ASSERT(i < size_, "datagram_batch: there is no such datagram, look at size()");
    return {room_.data() + i * bytes_each_, slots_[i].about.size};
  }

  void clear() noexcept { size_ = 0; }
  /// Adds a copy of `bytes` that goes to `to`. False: the batch is full, or they are too many.
  [[nodiscard]] bool push(std::span<const std::byte> bytes, const endpoint& to) noexcept;
  /// The same for the peer of a connected socket.
  [[nodiscard]] bool push(std::span<const std::byte> bytes) noexcept;

 private:
  friend class batch_operation;
  struct slot {
    datagram about;
    bool addressed = false;
    os::message_part part{};
    os::socket_address address{};
    os::segment_room control{};
  };
  static std::size_t bytes_of_all(std::size_t capacity, std::size_t bytes_each);
  void prepare_to_receive() noexcept;
  void prepare_to_send(std::size_t first) noexcept;
  void take(std::size_t i, std::size_t bytes) noexcept;

  std::size_t bytes_each_;
  std::size_t size_ = 0;
  std::vector<std::byte> room_;
  std::vector<slot> slots_;
  std::vector<os::message_header> headers_;
};

/// receive_many() and send_many().
class batch_operation final : public stream_operation {
 public:
  batch_operation(io::io_handle& h, datagram_batch& into) noexcept
      : stream_operation(h, io::io_code::receive_message), batch_(into) {
    into.prepare_to_receive();
    buffer = into.headers_.data();
    length = into.headers_.size();
  }
  batch_operation(io::io_handle& h, datagram_batch& batch, std::size_t first) noexcept
      : stream_operation(h, io::io_code::send_message), batch_(batch), first_(first) {
    if (first >= batch.size()) return;
    batch.prepare_to_send(first);
    buffer = batch.headers_.data() + first;
    length = batch.size() - first;
  }
  bool await_ready() const noexcept { return length == 0; }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> await_resume() noexcept;

 private:
  datagram_batch& batch_;
  std::size_t first_ = 0;
};

}  // namespace weft::net
