#include "weft/io/attempt.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "weft/base/assert.hpp"
#include "weft/io/driver.hpp"
#include "weft/io/lent_buffers.hpp"

namespace weft::io {
namespace {

static_assert(sizeof(io_part) == sizeof(iovec) &&
              offsetof(io_part, data) == offsetof(iovec, iov_base) &&
              offsetof(io_part, size) == offsetof(iovec, iov_len));

constexpr int parts_max = 64;               // parts handed to one sendmsg
constexpr std::size_t messages_max = 1024;  // handed to one recvmmsg or sendmmsg (UIO_MAXIOV)

attempt answered(io_operation& op, std::int64_t answer) noexcept {
  op.answer = answer;
  return attempt::done;
}

bool would_wait(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

attempt try_accept(io_operation& op) noexcept {
  for (int skipped = 0;; ++skipped) {
    int fd;
    if (op.address != nullptr) {
      socklen_t length = sizeof op.address->bytes;
      fd = accept4(op.handle->fd(), reinterpret_cast<sockaddr*>(op.address->bytes), &length,
                   SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) op.address->size = length;
    } else {
      fd = accept4(op.handle->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    if (fd >= 0) return answered(op, fd);
    if (would_wait(errno)) return attempt::not_yet;
    if (!is_connection_error(errno) || skipped == accept_skips_max) return answered(op, -errno);
  }
}

attempt try_connect(io_operation& op) noexcept {
  // Asking again is how the outcome is learnt: it tells "still at it" from "failed" and "done" even
  // after an event that meant somebody else.
  for (;;) {
    if (connect(op.handle->fd(), reinterpret_cast<const sockaddr*>(op.address->bytes),
                static_cast<socklen_t>(op.address->size)) == 0) {
      return answered(op, 0);
    }
    switch (errno) {
      case EISCONN:
        return answered(op, 0);
      case EINPROGRESS:
      case EALREADY:
        return attempt::not_yet;
      case EINTR:
        continue;
      default:
        return answered(op, -errno);
    }
  }
}

attempt try_poll(io_operation& op, short events) noexcept {
  for (;;) {
    pollfd p{op.handle->fd(), events, 0};
    const int n = poll(&p, 1, 0);
    if (n > 0) return answered(op, 0);
    if (n == 0) return attempt::not_yet;
    if (errno != EINTR) return answered(op, -errno);
  }
}

ssize_t receive_some(io_operation& op) noexcept {
  return recv(op.handle->fd(), static_cast<std::byte*>(op.buffer) + op.moved, op.length - op.moved,
              0);
}

/// A buffer is borrowed for the try, and kept if there were bytes.
attempt try_receive_lent(io_operation& op) noexcept {
  std::byte* const buffer = borrow_from_heap();
  if (buffer == nullptr) return answered(op, -ENOMEM);
  for (;;) {
    const ssize_t n = recv(op.handle->fd(), buffer, lent_bytes_max, 0);
    if (n > 0) {
      op.lend(heap_lender(), buffer);
      return answered(op, n);
    }
    const int error = n < 0 ? errno : 0;
    if (error == EINTR) continue;
    heap_lender().give_back(buffer);
    return would_wait(error) ? attempt::not_yet : answered(op, -error);
  }
}

ssize_t send_some(io_operation& op) noexcept {
  return send(op.handle->fd(), static_cast<const std::byte*>(op.buffer) + op.moved,
              op.length - op.moved, MSG_NOSIGNAL);
}

/// What is left of the parts, up to parts_max of them.
ssize_t send_parts(io_operation& op) noexcept {
  iovec left[parts_max];
  std::size_t skip = op.moved;
  std::size_t n = 0;
  for (std::uint32_t i = 0; i < op.part_count && n < parts_max; ++i) {
    const io_part& part = op.parts[i];
    if (skip >= part.size) {
      skip -= part.size;
      continue;
    }
    left[n].iov_base = const_cast<std::byte*>(static_cast<const std::byte*>(part.data) + skip);
    left[n++].iov_len = part.size - skip;
    skip = 0;
  }
  msghdr header{};
  header.msg_iov = left;
  header.msg_iovlen = n;
  return sendmsg(op.handle->fd(), &header, MSG_NOSIGNAL);
}

/// One message, or as many as there are of those that follow each other: see io_operation::length.
attempt try_messages(io_operation& op, bool sends) noexcept {
  const int flags = sends ? MSG_NOSIGNAL : MSG_CMSG_CLOEXEC;
  auto* const list = static_cast<mmsghdr*>(op.buffer);
  const auto count = static_cast<unsigned>(std::min<std::size_t>(op.length, messages_max));
  for (;;) {
    ssize_t n;
    if (count > 1) {
      n = sends ? sendmmsg(op.handle->fd(), list, count, flags | MSG_DONTWAIT)
                : recvmmsg(op.handle->fd(), list, count, flags | MSG_DONTWAIT, nullptr);
    } else {
      auto* const one = static_cast<msghdr*>(op.buffer);
      n = sends ? sendmsg(op.handle->fd(), one, flags) : recvmsg(op.handle->fd(), one, flags);
    }
    if (n >= 0) {
      if (count > 1) op.moved = static_cast<std::size_t>(n);
      return answered(op, count > 1 ? static_cast<std::int64_t>(list->msg_len) : n);
    }
    if (errno == EINTR) continue;
    return would_wait(errno) ? attempt::not_yet : answered(op, -errno);
  }
}

template <class Move>
attempt try_move(io_operation& op, std::size_t total, Move move) noexcept {
  const std::size_t before = op.moved;
  for (;;) {
    const ssize_t n = move(op);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (would_wait(errno)) return attempt::not_yet;
      return answered(op, -errno);
    }
    op.moved += static_cast<std::size_t>(n);
    if (n == 0 || !op.whole || op.moved >= total) {
      return answered(op, static_cast<std::int64_t>(op.moved));
    }
    if (op.moved - before >= attempt_bytes_max) return attempt::more;
  }
}

std::size_t total_of(const io_operation& op) noexcept {
  std::size_t total = 0;
  for (std::uint32_t i = 0; i < op.part_count; ++i) total += op.parts[i].size;
  return total;
}

}  // namespace

bool is_connection_error(int error) noexcept {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:  // these: accept(2) of Linux hands on what the network said to the new socket
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

attempt try_call(io_operation& op) noexcept {
  switch (op.code) {
    case io_code::accept:
      return try_accept(op);
    case io_code::connect:
      return try_connect(op);
    case io_code::receive:
      return try_move(op, op.length, receive_some);
    case io_code::receive_lent:
      return try_receive_lent(op);
    case io_code::send:
      return try_move(op, op.length, send_some);
    case io_code::send_vector:
      return try_move(op, total_of(op), send_parts);
    case io_code::receive_message:
      return try_messages(op, false);
    case io_code::send_message:
      return try_messages(op, true);
    case io_code::wait_readable:
      return try_poll(op, POLLIN | POLLRDHUP);
    case io_code::wait_writable:
      return try_poll(op, POLLOUT);
    case io_code::futex_wait:  // these never come here: they are no calls that could be tried
    case io_code::file:
      break;
  }
  return answered(op, -ENOSYS);
}

}  // namespace weft::io
