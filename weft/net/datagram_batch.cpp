#include "weft/net/datagram_batch.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

namespace weft::net {

datagram_batch::datagram_batch(std::size_t capacity, std::size_t bytes_each)
    : bytes_each_(bytes_each),
      room_(bytes_of_all(capacity, bytes_each)),
      slots_(std::max<std::size_t>(capacity, 1)),
      headers_(slots_.size()) {}

std::size_t datagram_batch::bytes_of_all(std::size_t capacity, std::size_t bytes_each) {
  constexpr std::size_t most = PTRDIFF_MAX;
  capacity = std::max<std::size_t>(capacity, 1);
  if (capacity > most / std::max(bytes_each, sizeof(slot))) throw std::bad_array_new_length();
  return capacity * bytes_each;
}

bool datagram_batch::push(std::span<const std::byte> bytes) noexcept {
  if (size_ == slots_.size() || bytes.size() > bytes_each_) return false;
  slot& s = slots_[size_];
  s.about = datagram{};
  s.about.size = s.about.segment_size = bytes.size();
  s.addressed = false;
  if (!bytes.empty()) std::memcpy(room_.data() + size_ * bytes_each_, bytes.data(), bytes.size());
  ++size_;
  return true;
}
bool datagram_batch::push(std::span<const std::byte> bytes, const endpoint& to) noexcept {
  if (!push(bytes)) return false;
  slots_[size_ - 1].about.from = to;
  slots_[size_ - 1].addressed = true;
  return true;
}

void datagram_batch::prepare_to_receive() noexcept {
  size_ = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slot& s = slots_[i];
    s.part = {room_.data() + i * bytes_each_, bytes_each_};
    s.address.size = 0;
    os::set_message(headers_[i], &s.part, 1, &s.address, s.control.bytes,
                    os::expect_segment_size());
  }
}

void datagram_batch::prepare_to_send(std::size_t first) noexcept {
  for (std::size_t i = first; i < size_; ++i) {
    slot& s = slots_[i];
    s.part = {room_.data() + i * bytes_each_, s.about.size};
    if (s.addressed) s.address = to_system(s.about.from);
    // Several that came merged go as several, not as one that is larger than any that came.
    const std::size_t segment = s.about.segment_size;
    const bool cut = segment != 0 && segment < s.about.size && segment <= UINT16_MAX;
    const std::size_t control =
        cut ? os::put_segment_size(s.control, static_cast<std::uint16_t>(segment)) : 0;
    os::set_message(headers_[i], &s.part, 1, s.addressed ? &s.address : nullptr, s.control.bytes,
                    control);
  }
}

void datagram_batch::take(std::size_t i, std::size_t bytes) noexcept {
  slot& s = slots_[i];
  const os::message_facts facts = os::facts_of(headers_[i]);
  s.about = datagram{};
  s.about.size = bytes;
  s.about.truncated = facts.truncated;
  s.address.size = facts.address_size;
  const auto from = from_system(s.address);
  s.addressed = from.has_value();
  if (from) s.about.from = *from;
  const std::size_t segment = os::segment_size_of(headers_[i]);
  s.about.segment_size = segment != 0 ? segment : bytes;
}

result<std::size_t> batch_operation::await_resume() noexcept {
  if (length == 0) return std::size_t{0};
  if (answer < 0) return std::unexpected(error_of(answer));
  std::size_t n = std::max<std::size_t>(moved, 1);
  const bool receives = code == io::io_code::receive_message;
  if (moved == 0 && length > 1) {  // a driver of completions moved the first; what else there is:
    const auto rest = std::span(batch_.headers_).subspan(first_ + 1, length - 1);
    const auto more = receives ? os::receive_messages_now(handle->fd(), rest)
                               : os::send_messages_now(handle->fd(), rest);
    if (more) n += *more;  // an error is met again by the next operation
  }
  if (!receives) return n;
  for (std::size_t i = 0; i < n; ++i) {
    batch_.take(i,
                i == 0 ? static_cast<std::size_t>(answer) : os::facts_of(batch_.headers_[i]).bytes);
  }
  batch_.size_ = n;
  return n;
}

}  // namespace weft::net
