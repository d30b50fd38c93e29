#include "weft/net/message_operation.hpp"

#include <algorithm>

namespace weft::net {

result<datagram> receive_datagram_operation::await_resume() noexcept {
  if (answer < 0) return std::unexpected(error_of(answer));
  const os::message_facts facts = os::facts_of(header_);
  datagram got;
  got.size = static_cast<std::size_t>(answer);
  got.truncated = facts.truncated;
  from_.size = facts.address_size;
  if (const auto e = from_system(from_)) got.from = *e;
  const std::size_t segment = os::segment_size_of(header_);
  got.segment_size = segment != 0 ? segment : got.size;
  return got;
}

result<message_with_descriptors> receive_descriptors_operation::await_resume() noexcept {
  if (answer < 0) return std::unexpected(error_of(answer));
  const os::message_facts facts = os::facts_of(header_);
  message_with_descriptors got;
  got.size = static_cast<std::size_t>(answer);
  got.truncated = facts.truncated;
  const std::size_t came = os::take_descriptors(header_, into_);
  got.descriptors = std::min(came, into_.size());
  got.descriptors_truncated = facts.control_truncated || came > into_.size();
  return got;
}

}  // namespace weft::net
