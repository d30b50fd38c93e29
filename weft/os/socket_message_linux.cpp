#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <type_traits>

#include "weft/os/error.hpp"
#include "weft/os/socket_message.hpp"

namespace weft::os {
namespace {

// Of <linux/udp.h>, which does not go with <netinet/udp.h>.
constexpr int udp_segment = 103;
constexpr int udp_gro = 104;

static_assert(sizeof(message_header) >= sizeof(mmsghdr) && sizeof(mmsghdr) % 8 == 0);
static_assert(sizeof(message_header) == sizeof(mmsghdr), "a batch is an array of mmsghdr");
static_assert(sizeof(message_part) == sizeof(iovec) &&
              offsetof(message_part, data) == offsetof(iovec, iov_base));
static_assert(sizeof(descriptors_room) >= CMSG_SPACE(descriptors_max * sizeof(int)));
static_assert(sizeof(segment_room) >= CMSG_SPACE(sizeof(int)));

mmsghdr* raw(message_header& h) noexcept { return reinterpret_cast<mmsghdr*>(h.bytes); }
const mmsghdr* raw(const message_header& h) noexcept {
  return reinterpret_cast<const mmsghdr*>(h.bytes);
}

std::size_t put(unsigned char* control, int level, int type, const void* data,
                std::size_t size) noexcept {
  cmsghdr head{};
  head.cmsg_level = level;
  head.cmsg_type = type;
  head.cmsg_len = CMSG_LEN(size);
  std::memset(control, 0, CMSG_SPACE(size));
  std::memcpy(control, &head, sizeof head);
  std::memcpy(control + CMSG_LEN(0), data, size);
  return CMSG_SPACE(size);
}

/// Calls see(level, type, data, size) for each control message.
template <class See>
void each_control(const message_header& header, See see) noexcept {
  auto* const m = const_cast<msghdr*>(&raw(header)->msg_hdr);
  if (m->msg_control == nullptr) return;
  for (cmsghdr* c = CMSG_FIRSTHDR(m); c != nullptr; c = CMSG_NXTHDR(m, c)) {
    if (c->cmsg_len < CMSG_LEN(0)) return;
    see(c->cmsg_level, c->cmsg_type, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
  }
}

template <class Call>
result<std::size_t> repeat(Call call) noexcept {
  for (;;) {
    const auto n = call();
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR) return std::unexpected(last_error());
  }
}

}  // namespace

void set_message(message_header& header, const message_part* parts, std::size_t count,
                 socket_address* address, void* control, std::size_t control_size) noexcept {
  mmsghdr m{};
  m.msg_hdr.msg_iov = reinterpret_cast<iovec*>(const_cast<message_part*>(parts));
  m.msg_hdr.msg_iovlen = static_cast<decltype(m.msg_hdr.msg_iovlen)>(count);
  if (address != nullptr) {
    m.msg_hdr.msg_name = address->bytes;
    m.msg_hdr.msg_namelen = address->size != 0 ? address->size : sizeof address->bytes;
  }
  if (control != nullptr && control_size != 0) {
    m.msg_hdr.msg_control = control;
    m.msg_hdr.msg_controllen = control_size;
  }
  std::memcpy(header.bytes, &m, sizeof m);
}

message_facts facts_of(const message_header& header) noexcept {
  const mmsghdr& m = *raw(header);
  message_facts facts;
  if (m.msg_hdr.msg_name != nullptr) facts.address_size = m.msg_hdr.msg_namelen;
  facts.bytes = m.msg_len;
  facts.truncated = (m.msg_hdr.msg_flags & MSG_TRUNC) != 0;
  facts.control_truncated = (m.msg_hdr.msg_flags & MSG_CTRUNC) != 0;
  return facts;
}

std::size_t expect_descriptors(std::size_t count) noexcept {
  count = std::min(count, descriptors_max);
  // CMSG_LEN, not CMSG_SPACE: the kernel would use the padding for one more.
  return count == 0 ? 0 : CMSG_LEN(count * sizeof(int));
}

std::size_t put_descriptors(descriptors_room& control, std::span<const int> numbers) noexcept {
  if (numbers.empty()) return 0;
  return put(control.bytes, SOL_SOCKET, SCM_RIGHTS, numbers.data(), numbers.size_bytes());
}

std::size_t take_descriptors(const message_header& header, std::span<fd> into) noexcept {
  std::size_t came = 0;
  each_control(header, [&](int level, int type, const unsigned char* data, std::size_t size) {
    if (level != SOL_SOCKET || type != SCM_RIGHTS) return;
    for (; size >= sizeof(int); size -= sizeof(int), data += sizeof(int)) {
      int number;
      std::memcpy(&number, data, sizeof number);
      fd owned(number);  // also the one that nobody has room for
      if (came < into.size()) into[came] = std::move(owned);
      ++came;
    }
  });
  return came;
}

std::size_t put_segment_size(segment_room& control, std::uint16_t size) noexcept {
  return put(control.bytes, IPPROTO_UDP, udp_segment, &size, sizeof size);
}
std::size_t expect_segment_size() noexcept { return CMSG_SPACE(sizeof(int)); }
std::size_t segment_size_of(const message_header& header) noexcept {
  int segment = 0;
  each_control(header, [&](int level, int type, const unsigned char* data, std::size_t size) {
    if (level == IPPROTO_UDP && type == udp_gro && size >= sizeof segment) {
      std::memcpy(&segment, data, sizeof segment);
    }
  });
  return segment > 0 ? static_cast<std::size_t>(segment) : 0;
}

result<std::size_t> send_now(int socket, const void* data, std::size_t size) noexcept {
  return repeat([&] { return ::send(socket, data, size, MSG_DONTWAIT | MSG_NOSIGNAL); });
}

result<std::size_t> send_now(int socket, std::span<const message_part> parts) noexcept {
  msghdr header{};
  header.msg_iov = reinterpret_cast<iovec*>(const_cast<message_part*>(parts.data()));  // only read
  header.msg_iovlen = parts.size();
  return repeat([&] { return ::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL); });
}

result<std::size_t> receive_messages_now(int socket, std::span<message_header> batch) noexcept {
  if (batch.empty()) return std::size_t{0};
  return repeat([&] {
    return ::recvmmsg(socket, raw(batch[0]), static_cast<unsigned>(batch.size()),
                      MSG_DONTWAIT | MSG_CMSG_CLOEXEC, nullptr);
  });
}

result<std::size_t> send_messages_now(int socket, std::span<message_header> batch) noexcept {
  if (batch.empty()) return std::size_t{0};
  return repeat([&] {
    return ::sendmmsg(socket, raw(batch[0]), static_cast<unsigned>(batch.size()),
                      MSG_DONTWAIT | MSG_NOSIGNAL);
  });
}

}  // namespace weft::os
