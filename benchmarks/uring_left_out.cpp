// What the parts of io_uring that weft leaves out would save: linked time-outs, registered files and direct
// descriptors, splice (docs/decisions/0010-left-out-of-io-uring.md). No runtime: one thread with a ring, or with
// plain calls. CPU times; the ways alternate, and the medians of the rounds are printed.
//
//   uring_left_out [ROUNDS]
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "weft/io/ring_uring.hpp"

namespace {

using weft::io::ring;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}
double cpu_us() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}
double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

int listen_tcp(sockaddr_in& at) {
  const int l = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  at = {};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t n = sizeof at;
  if (::bind(l, reinterpret_cast<sockaddr*>(&at), n) != 0 || ::listen(l, 1024) != 0) fail("listen");
  ::getsockname(l, reinterpret_cast<sockaddr*>(&at), &n);
  return l;
}
struct pair {
  int a, b;
};
pair connect_tcp() {
  sockaddr_in at;
  const int l = listen_tcp(at);
  const int c = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(c, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) fail("connect");
  const int s = ::accept4(l, nullptr, nullptr, SOCK_CLOEXEC);
  ::close(l);
  const int one = 1;
  for (const int f : {c, s}) ::setsockopt(f, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return {c, s};
}

// --- A receive that waits, with a time-out of an hour, or without one. The byte comes by a plain send.

double receives(ring& r, const pair& p, bool linked, bool fixed, int n) {
  __kernel_timespec hour{.tv_sec = 3600, .tv_nsec = 0};
  char byte = 'x', got;
  const double before = cpu_us();
  for (int i = 0; i < n; ++i) {
    io_uring_sqe& e = r.next_entry();
    e.opcode = IORING_OP_RECV;
    e.fd = fixed ? 0 : p.a;
    e.addr = reinterpret_cast<std::uint64_t>(&got);
    e.len = 1;
    e.user_data = 1;
    e.flags =
        static_cast<std::uint8_t>((linked ? IOSQE_IO_LINK : 0) | (fixed ? IOSQE_FIXED_FILE : 0));
    unsigned entries = 1;
    if (linked) {
      io_uring_sqe& t = r.next_entry();
      t.opcode = IORING_OP_LINK_TIMEOUT;
      t.fd = -1;
      t.addr = reinterpret_cast<std::uint64_t>(&hour);
      t.len = 1;
      t.user_data = 2;
      entries = 2;
    }
    if (r.enter(entries, 0, 0) < 0) fail("enter");
    if (::send(p.b, &byte, 1, 0) != 1) fail("send");
    unsigned ended = 0;
    while (ended < entries) {
      r.reap([&](std::uint64_t tag, int res, unsigned) {
        if (tag == 1 && res != 1) fail("receive");
        ++ended;
        return true;
      });
      if (ended < entries) r.enter(0, entries - ended, -1);
    }
  }
  return (cpu_us() - before) * 1e3 / n;
}

// --- A connection: accepted, a byte received, closed; as a descriptor, or as an entry of the ring's table.

double accepts(ring& r, bool direct, int n) {
  sockaddr_in at;
  const int l = listen_tcp(at);
  double sum = 0;
  for (int i = 0; i < n; ++i) {
    const int c = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(c, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) fail("connect");
    if (::send(c, "x", 1, 0) != 1) fail("send");
    const double before = cpu_us();
    int s = -1;
    const auto one = [&] {
      int answer = 0;
      if (r.enter(1, 1, -1) < 0) fail("enter");
      r.reap([&](std::uint64_t, int res, unsigned) { return answer = res, true; });
      if (answer < 0) fail("entry");
      return answer;
    };
    io_uring_sqe& a = r.next_entry();
    a.opcode = IORING_OP_ACCEPT;
    a.fd = l;
    a.accept_flags = direct ? 0 : SOCK_CLOEXEC | SOCK_NONBLOCK;
    a.file_index = direct ? IORING_FILE_INDEX_ALLOC : 0;
    s = one();
    char got;
    io_uring_sqe& e = r.next_entry();
    e.opcode = IORING_OP_RECV;
    e.fd = s;
    e.flags = direct ? IOSQE_FIXED_FILE : 0;
    e.addr = reinterpret_cast<std::uint64_t>(&got);
    e.len = 1;
    one();
    if (direct) {
      io_uring_sqe& x = r.next_entry();
      x.opcode = IORING_OP_CLOSE;
      x.file_index = static_cast<unsigned>(s) + 1;
      one();
    } else {
      ::close(s);
    }
    sum += cpu_us() - before;
    ::close(c);
  }
  ::close(l);
  return sum * 1e3 / n;
}

// --- A relay between two connections: by a buffer, or by a pipe

enum class way { copy, splice, ring_copy, ring_splice };

/// One entry, and its answer.
int one_entry(ring& r) {
  int answer = 0;
  if (r.enter(1, 1, -1) < 0) fail("enter");
  r.reap([&](std::uint64_t, int res, unsigned) { return answer = res, true; });
  return answer;
}
int ring_splice(ring& r, int in, int out, std::size_t n) {
  io_uring_sqe& e = r.next_entry();
  e.opcode = IORING_OP_SPLICE;
  e.fd = out;
  e.off = ~std::uint64_t{0};
  e.splice_fd_in = in;
  e.splice_off_in = ~std::uint64_t{0};
  e.len = static_cast<unsigned>(n);
  e.splice_flags = SPLICE_F_MOVE;
  return one_entry(r);
}
int ring_move(ring& r, bool send, int fd, char* bytes, std::size_t n) {
  io_uring_sqe& e = r.next_entry();
  e.opcode = send ? IORING_OP_SEND : IORING_OP_RECV;
  e.fd = fd;
  e.addr = reinterpret_cast<std::uint64_t>(bytes);
  e.len = static_cast<unsigned>(n);
  return one_entry(r);
}
/// Of the whole process, with what the kernel's own threads of the ring take.
double cpu_of_process_us() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

struct cost {
  double own, all;  // of the thread that relays; of the process, so with both ends
};
cost relays(ring& r, way how, std::size_t piece, std::size_t total) {
  const bool by_pipe = how == way::splice || how == way::ring_splice;
  const bool by_ring = how == way::ring_copy || how == way::ring_splice;
  const pair in = connect_tcp(), out = connect_tcp();
  std::thread writer([&] {
    std::vector<char> bytes(piece, 'x');
    for (std::size_t done = 0; done < total;) {
      const ssize_t n = ::send(in.a, bytes.data(), std::min(piece, total - done), MSG_NOSIGNAL);
      if (n <= 0) fail("writer");
      done += static_cast<std::size_t>(n);
    }
    ::shutdown(in.a, SHUT_WR);
  });
  std::thread reader([&] {
    std::vector<char> bytes(1 << 20);
    while (::recv(out.b, bytes.data(), bytes.size(), 0) > 0) {
    }
  });
  const double before_all = cpu_of_process_us(), before = cpu_us();
  if (by_pipe) {
    int p[2];
    if (::pipe2(p, O_CLOEXEC) != 0) fail("pipe");
    ::fcntl(p[1], F_SETPIPE_SZ, static_cast<int>(std::max<std::size_t>(piece, 65536)));
    for (;;) {
      ssize_t n = by_ring ? ring_splice(r, in.b, p[1], piece)
                          : ::splice(in.b, nullptr, p[1], nullptr, piece, SPLICE_F_MOVE);
      if (n < 0) fail("splice");
      if (n == 0) break;
      while (n > 0) {
        const ssize_t m = by_ring ? ring_splice(r, p[0], out.a, static_cast<std::size_t>(n))
                                  : ::splice(p[0], nullptr, out.a, nullptr,
                                             static_cast<std::size_t>(n), SPLICE_F_MOVE);
        if (m <= 0) fail("splice out");
        n -= m;
      }
    }
    ::close(p[0]);
    ::close(p[1]);
  } else {
    std::vector<char> bytes(piece);
    for (;;) {
      const ssize_t n = by_ring ? ring_move(r, false, in.b, bytes.data(), piece)
                                : ::recv(in.b, bytes.data(), piece, 0);
      if (n < 0) fail("recv");
      if (n == 0) break;
      for (ssize_t done = 0; done < n;) {
        const ssize_t m = by_ring ? ring_move(r, true, out.a, bytes.data() + done,
                                              static_cast<std::size_t>(n - done))
                                  : ::send(out.a, bytes.data() + done,
                                           static_cast<std::size_t>(n - done), MSG_NOSIGNAL);
        if (m <= 0) fail("send");
        done += m;
      }
    }
  }
  const double own = cpu_us() - before;
  ::shutdown(out.a, SHUT_WR);
  writer.join();
  reader.join();
  const double used = cpu_of_process_us() - before_all;
  for (const int f : {in.a, in.b, out.a, out.b}) ::close(f);
  const double mib = static_cast<double>(total) / (1 << 20);
  return {own / mib, used / mib};
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 9;
  ring r;
  weft::io::uring_refusal why;
  if (!r.open(256, why)) {
    std::printf("io_uring is refused here, errno %d\n", why.error);
    return 77;
  }
  const pair p = connect_tcp();
  std::vector<int> table(64, -1);
  table[0] = p.a;
  if (::syscall(SYS_io_uring_register, r.descriptor(), IORING_REGISTER_FILES, table.data(), 64) <
      0) {
    fail("register");
  }
  std::vector<double> plain, linked, fixed, normal, direct;
  for (int i = 0; i < rounds; ++i) {
    plain.push_back(receives(r, p, false, false, 20'000));
    linked.push_back(receives(r, p, true, false, 20'000));
    fixed.push_back(receives(r, p, false, true, 20'000));
    normal.push_back(accepts(r, false, 2'000));
    direct.push_back(accepts(r, true, 2'000));
  }
  std::printf(
      "a receive that waits, ns of CPU:  plain %.0f, linked time-out %.0f, registered file %.0f\n",
      median(plain), median(linked), median(fixed));
  std::printf("accept, a byte, close, ns of CPU: descriptor %.0f, direct %.0f\n", median(normal),
              median(direct));
  for (const std::size_t piece : {std::size_t{4} << 10, std::size_t{16} << 10,
                                  std::size_t{64} << 10, std::size_t{256} << 10}) {
    std::vector<double> own[4], all[4];
    for (int i = 0; i < rounds; ++i) {
      for (int w = 0; w < 4; ++w) {
        const cost c = relays(r, static_cast<way>(w), piece, std::size_t{128} << 20);
        own[w].push_back(c.own);
        all[w].push_back(c.all);
      }
    }
    std::printf("a relay, pieces of %3zu KiB, us of CPU a MiB (own thread, process):", piece >> 10);
    const char* const names[] = {"copied", "spliced", "ring copied", "ring spliced"};
    for (int w = 0; w < 4; ++w) {
      std::printf(" %s %.0f, %.0f;", names[w], median(own[w]), median(all[w]));
    }
    std::puts("");
  }
}
