// soak_client: holds connections to an echo server, and asks on them when it is told to.
//
//   soak_client PORT SOURCE      connects from 127.0.0.SOURCE, 127.0.1.SOURCE, ...
//
// Lines of its input, each answered by one:
//   open N                 N more, in batches that the server has answered before the next one begins:
//                          {"open": N, "seconds": S}; fewer if the server or a limit would not have more
//   check                  all say something: {"answered": N}
//   measure RATE SECONDS   each in turn asks at RATE a second, whether or not the ones before were answered:
//                          {"asked": N, "answered": N, "p50_us": F, "p99_us": F, "max_us": F}
//   close N                of those opened last: {"open": N}
// The end of the input ends it.
#include <sys/epoll.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "peer.hpp"

namespace {

using soak::now_ns;
using soak::second_ns;

// The kernel drops what is in flight on the loopback beyond net.core.netdev_max_backlog, 1 000 packets.
constexpr std::size_t batch_max = 200;
// Of an address that has few ports left, connect() looks for one for milliseconds.
constexpr std::size_t connections_each_source = 4000;
constexpr std::size_t first_words_bytes =
    2000;  // on each connection, so that its buffers were used
constexpr std::size_t question_bytes = 64;
constexpr int patience_s = 60;  // for an answer; a server under a sanitizer is slow

using question = std::array<char, question_bytes>;

struct connection {
  int fd = -1;
  std::size_t came = 0;  // of the answer under way
  question answer{};
};

class client {
 public:
  client(int port, std::uint32_t source) : port_(port), source_(source) {}

  void open(std::size_t more) {
    const std::int64_t begin = now_ns();
    const std::size_t wanted = all_.size() + more;
    while (all_.size() < wanted) {
      const std::size_t first = all_.size();
      while (all_.size() < std::min(wanted, first + batch_max)) {
        const auto more_ports = static_cast<std::uint32_t>(all_.size() / connections_each_source);
        const int fd = soak::connect_to(port_, source_ + (more_ports << 8), 0);
        if (fd < 0) {
          std::perror("soak_client: connect");
          break;
        }
        const timeval limit{patience_s, 0};
        ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        all_.push_back({.fd = fd});
      }
      const std::size_t wish = std::min(wanted, first + batch_max);
      const bool all_there = all_.size() == wish;
      if (talk(first, all_.size(), first_words_bytes) != all_.size() - first || !all_there) break;
    }
    std::printf("{\"open\": %zu, \"seconds\": %.3f}\n", all_.size(),
                static_cast<double>(now_ns() - begin) / second_ns);
  }

  void check() {
    std::size_t answered = 0;
    for (std::size_t i = 0; i < all_.size(); i += batch_max) {
      answered += talk(i, std::min(all_.size(), i + batch_max), question_bytes);
    }
    std::printf("{\"answered\": %zu}\n", answered);
  }

  void close(std::size_t fewer) {
    for (; fewer > 0 && !all_.empty(); --fewer) {
      ::close(all_.back().fd);
      all_.pop_back();
    }
    std::printf("{\"open\": %zu}\n", all_.size());
  }

  void measure(double rate, double seconds) {
    const int poll = ::epoll_create1(EPOLL_CLOEXEC);
    if (poll < 0) soak::failed("epoll_create1");
    for (std::size_t i = 0; i < all_.size(); ++i) {
      epoll_event e{};
      e.events = EPOLLIN;
      e.data.u64 = i;
      if (::epoll_ctl(poll, EPOLL_CTL_ADD, all_[i].fd, &e) != 0) soak::failed("epoll_ctl");
      all_[i].came = 0;
    }
    std::vector<std::int64_t> took;
    took.reserve(static_cast<std::size_t>(rate * seconds) + 1);
    std::size_t asked = 0;
    const std::int64_t begin = now_ns();
    const std::int64_t end = begin + static_cast<std::int64_t>(seconds * second_ns);
    const std::int64_t give_up = end + patience_s * second_ns;
    const auto due = [&] {
      return begin + static_cast<std::int64_t>(static_cast<double>(asked) / rate * second_ns);
    };
    bool lost = false;
    while (!lost) {
      std::int64_t now = now_ns();
      for (; due() <= now && due() < end; ++asked) {
        const connection& c = all_[asked % all_.size()];
        question q{};
        const std::int64_t sent = now_ns();  // the answer brings it back
        std::memcpy(q.data(), &sent, sizeof sent);
        if (::send(c.fd, q.data(), q.size(), MSG_DONTWAIT | MSG_NOSIGNAL) !=
            static_cast<ssize_t>(q.size())) {
          std::perror("soak_client: send");
          lost = true;
          break;
        }
      }
      if ((due() >= end && took.size() == asked) || now > give_up) break;
      const std::int64_t until = due() < end ? due() : now + second_ns / 10;
      const std::int64_t wait = std::max<std::int64_t>(0, until - now_ns());
      const timespec limit{wait / second_ns, wait % second_ns};
      std::array<epoll_event, 64> ready;
      const int n = ::epoll_pwait2(poll, ready.data(), ready.size(), &limit, nullptr);
      for (int i = 0; i < n; ++i) {
        lost = !hear(all_[ready[static_cast<std::size_t>(i)].data.u64], took) || lost;
      }
    }
    ::close(poll);
    std::sort(took.begin(), took.end());
    const auto at = [&](double part) {
      if (took.empty()) return 0.0;
      const auto i = static_cast<std::size_t>(part * static_cast<double>(took.size() - 1));
      return static_cast<double>(took[i]) / 1000;
    };
    std::printf(
        "{\"asked\": %zu, \"answered\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": "
        "%.1f}\n",
        asked, took.size(), at(0.5), at(0.99), at(1));
  }

 private:
  /// Those of [first, last) that said `bytes` and heard them.
  std::size_t talk(std::size_t first, std::size_t last, std::size_t bytes) {
    std::string words(bytes, '\0');
    std::string heard(bytes, '\0');
    for (std::size_t i = first; i < last; ++i) {
      std::memcpy(words.data(), &i, sizeof i);
      static_cast<void>(::send(all_[i].fd, words.data(), bytes, MSG_NOSIGNAL));
    }
    std::size_t answered = 0;
    for (std::size_t i = first; i < last; ++i) {
      std::memcpy(words.data(), &i, sizeof i);
      const ssize_t n = ::recv(all_[i].fd, heard.data(), bytes, MSG_WAITALL);
      if (n == static_cast<ssize_t>(bytes) && heard == words) ++answered;
    }
    return answered;
  }

  static bool hear(connection& c, std::vector<std::int64_t>& took) {
    for (;;) {
      const ssize_t n =
          ::recv(c.fd, c.answer.data() + c.came, c.answer.size() - c.came, MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
      if (n <= 0) {
        std::fprintf(stderr, "soak_client: %s\n", n == 0 ? "an end" : std::strerror(errno));
        return false;
      }
      c.came += static_cast<std::size_t>(n);
      if (c.came < c.answer.size()) continue;
      std::int64_t sent = 0;
      std::memcpy(&sent, c.answer.data(), sizeof sent);
      took.push_back(now_ns() - sent);
      c.came = 0;
    }
  }

  int port_;
  std::uint32_t source_;
  std::vector<connection> all_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: soak_client PORT SOURCE\n", stderr);
    return 2;
  }
  client all(std::atoi(argv[1]), static_cast<std::uint32_t>(std::atoi(argv[2])));
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string what;
    double first = 0;
    double second = 0;
    words >> what >> first >> second;
    if (what == "open") {
      all.open(static_cast<std::size_t>(first));
    } else if (what == "check") {
      all.check();
    } else if (what == "measure") {
      all.measure(first, second);
    } else if (what == "close") {
      all.close(static_cast<std::size_t>(first));
    } else {
      std::fprintf(stderr, "soak_client: what is '%s'?\n", line.c_str());
      return 2;
    }
    std::fflush(stdout);
  }
}
