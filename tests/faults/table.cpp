// Left out, with the reason
//   ENOTCONN of shutdown(): it says that the connection has gone, so a proxy does not wait for its end
//   FUTEX_WAKE; read() and write() of the drivers' bells: they cannot fail but by a bug of ours
//   EAGAIN of accept4, recvfrom and sendto on epoll: the kernel says it only where there is nothing, and
//     then tells of the next event; edge-triggered epoll (of all programs) relies on that
//   close: whatever it says, the kernel has closed it; a call that is refused here is not made, which
//     no kernel does. (weft never closes twice: fd_posix.cpp)
//   brk: the kernel says no by another break, not by an errno
//   EBADF, EFAULT, EINVAL, ENOTSOCK: bugs of ours, or of who closed a descriptor of weft's: assertions
#include "table.hpp"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>

namespace weft::faults {
namespace {

bool waits_on_futex(const call_seen& call) {
  const auto op = static_cast<int>(call.data.args[1]) & FUTEX_CMD_MASK;
  return op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET;
}
/// Not the drivers' bells: what rang is there to be read.
bool of_file(const call_seen& call) {
  char name[64], target[16];
  std::snprintf(name, sizeof name, "/proc/%d/fd/%d", static_cast<int>(call.thread),
                static_cast<int>(call.data.args[0]));
  return ::readlink(name, target, sizeof target) > 0 && target[0] == '/';
}
bool of_watch(const call_seen& call) {
  char name[64], target[32];
  std::snprintf(name, sizeof name, "/proc/%d/fd/%d", static_cast<int>(call.thread),
                static_cast<int>(call.data.args[0]));
  const ssize_t n = ::readlink(name, target, sizeof target);
  return n > 0 && std::string_view(target, static_cast<std::size_t>(n)).contains("inotify");
}
/// The top of what is watched. A folder below it that may not be read is left out without a word.
bool of_watched_top(const call_seen& call) {
  const std::string path = path_of(call, 1);
  return path.find('/', path.find("/watched") + 1) == path.npos;
}
/// Fences of a process that has said that it will ask for them.
bool is_fence(const call_seen& call) {
  constexpr std::uint64_t private_expedited = 8;
  return call.data.args[0] == private_expedited;
}
bool registers_fence(const call_seen& call) { return !is_fence(call); }

#define FAULT(name, error, ...) {#name, SYS_##name, #error, error __VA_OPT__(, ) __VA_ARGS__}

constexpr fault all[] = {
    // Connections
    FAULT(accept4, EMFILE),
    FAULT(accept4, ENFILE),
    FAULT(accept4, ENOBUFS),
    FAULT(accept4, ENOMEM),
    FAULT(accept4, ECONNABORTED),
    FAULT(accept4, EPROTO),
    FAULT(accept4, EINTR),
    FAULT(accept4, EPERM),
    FAULT(accept4, EAGAIN, worst::error, nullptr, true),
    FAULT(socket, EMFILE),
    FAULT(socket, ENOBUFS),
    FAULT(socket, EACCES),
    FAULT(bind, EADDRINUSE),
    FAULT(bind, EACCES),
    FAULT(listen, EADDRINUSE),
    FAULT(getsockname, ENOBUFS),
    FAULT(setsockopt, ENOMEM),
    FAULT(setsockopt, ENOPROTOOPT),
    FAULT(connect, ECONNREFUSED),
    FAULT(connect, ETIMEDOUT),
    FAULT(connect, ENETUNREACH),
    FAULT(connect, EADDRNOTAVAIL),
    FAULT(connect, EINTR),
    FAULT(shutdown, ENOBUFS),
    FAULT(recvfrom, ECONNRESET),
    FAULT(recvfrom, ETIMEDOUT),
    FAULT(recvfrom, ENOMEM),
    FAULT(recvfrom, EINTR),
    FAULT(recvfrom, EAGAIN, worst::error, nullptr, true),
    FAULT(sendto, EPIPE),
    FAULT(sendto, ECONNRESET),
    FAULT(sendto, ENOBUFS),
    FAULT(sendto, EINTR),
    FAULT(sendto, EAGAIN, worst::error, nullptr, true),
    FAULT(sendmsg, EPIPE),
    FAULT(sendmsg, ENOMEM),
    FAULT(sendmsg, EINTR),
    FAULT(sendfile, EIO),
    FAULT(sendfile, EPIPE),
    FAULT(sendfile, EINTR),
    FAULT(sendfile, ENOMEM),
    // Files
    FAULT(openat, EMFILE),
    FAULT(openat, ENOENT),
    FAULT(openat, EACCES),
    FAULT(openat, EINTR),
    FAULT(openat2, ENOSYS),
    FAULT(openat2, EMFILE),
    FAULT(openat2, EACCES),
    FAULT(openat2, EAGAIN),
    FAULT(openat2, EINTR),
    FAULT(read, EIO, worst::error, of_file),
    FAULT(read, EINTR, worst::error, of_file),
    FAULT(pread64, EIO),
    FAULT(pread64, EINTR),
    FAULT(fstat, EIO),
    FAULT(statx, ENOSYS),
    FAULT(statx, EACCES),
    FAULT(newfstatat, EACCES),
    FAULT(newfstatat, ENOMEM),
    FAULT(fcntl, ENOMEM),
    // Watched trees
    FAULT(inotify_init1, EMFILE),
    FAULT(inotify_init1, ENFILE),
    FAULT(inotify_init1, ENOMEM),
    FAULT(inotify_add_watch, ENOSPC),
    FAULT(inotify_add_watch, ENOMEM),
    FAULT(inotify_add_watch, EACCES, worst::error, of_watched_top),
    FAULT(inotify_add_watch, ENOENT, worst::error, of_watched_top),
    FAULT(read, EINTR, worst::error, of_watch),
    FAULT(read, EAGAIN, worst::error, of_watch),
    FAULT(read, EIO, worst::error, of_watch),
    FAULT(read, ENOMEM, worst::error, of_watch),
    // Waiting
    FAULT(epoll_create1, EMFILE),
    FAULT(epoll_create1, EPERM),
    FAULT(epoll_create1, ENOSYS),
    FAULT(epoll_ctl, ENOMEM),
    FAULT(epoll_ctl, ENOSPC),
    FAULT(epoll_ctl, EPERM),
#ifdef SYS_epoll_wait
    FAULT(epoll_wait, EINTR),
    FAULT(epoll_wait, EPERM, worst::message),
#endif
    FAULT(epoll_pwait, EINTR),
#ifdef SYS_epoll_pwait2
    FAULT(epoll_pwait2, EINTR),
    FAULT(epoll_pwait2, ENOSYS),
    FAULT(epoll_pwait2, EPERM),
#endif
    FAULT(eventfd2, EMFILE),
    FAULT(eventfd2, ENOMEM),
    FAULT(eventfd2, EPERM),
    FAULT(pipe2, EMFILE),
    FAULT(pipe2, ENFILE),
    FAULT(timerfd_create, EMFILE),
    FAULT(timerfd_create, EPERM),
    FAULT(timerfd_settime, ECANCELED, worst::message),
#ifdef SYS_poll
    FAULT(poll, EINTR),
    FAULT(poll, ENOMEM),
#endif
    FAULT(ppoll, EINTR),
    FAULT(ppoll, ENOMEM),
    FAULT(ppoll, EAGAIN),
    FAULT(ppoll, EPERM, worst::message),
    FAULT(io_uring_setup, EPERM),
    FAULT(io_uring_setup, ENOSYS),
    FAULT(io_uring_setup, ENOMEM),
    FAULT(io_uring_setup, EMFILE),
    FAULT(io_uring_enter, EINTR),
    FAULT(io_uring_enter, EAGAIN),
    FAULT(io_uring_enter, EBUSY),
    FAULT(io_uring_enter, EPERM, worst::message),
    FAULT(io_uring_register, EPERM),
    FAULT(io_uring_register, EINVAL),
    // Threads, memory, the machine
    FAULT(futex, EINTR, worst::error, waits_on_futex),
    FAULT(futex, EAGAIN, worst::error, waits_on_futex),
#ifdef SYS_futex_waitv
    FAULT(futex_waitv, EINTR),
    FAULT(futex_waitv, EAGAIN),
    FAULT(futex_waitv, ENOSYS),
    FAULT(futex_waitv, EPERM),
#endif
    FAULT(clone3, EAGAIN),
    FAULT(clone3, ENOMEM),
    FAULT(clone3, ENOSYS),
    FAULT(mmap, ENOMEM),
    FAULT(mprotect, ENOMEM),
    FAULT(madvise, EAGAIN),
    FAULT(madvise, EINVAL),
    FAULT(membarrier, ENOSYS, worst::error, registers_fence),
    FAULT(membarrier, EPERM, worst::error, registers_fence),
    FAULT(membarrier, ENOMEM, worst::error, is_fence),
    FAULT(membarrier, EACCES, worst::message, is_fence),
    FAULT(sched_getaffinity, EPERM),
    FAULT(sched_setaffinity, EPERM),
    FAULT(prctl, EPERM),
    FAULT(getrandom, ENOSYS),
    FAULT(getrandom, EINTR),
    FAULT(prlimit64, EPERM),
};

}  // namespace

std::span<const fault> faults() { return all; }

}  // namespace weft::faults
