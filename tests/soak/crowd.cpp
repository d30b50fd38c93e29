#include "crowd.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <functional>

#include "peer.hpp"

namespace soak {
namespace {

constexpr std::int64_t patience_ns =
    60 * second_ns;  // for an answer; a server under a sanitizer is slow
constexpr std::size_t connects_at_once = 100;
constexpr std::size_t pause_ms_max = 300;
constexpr std::size_t stall_ms_max = 1500;
constexpr std::uint32_t sources = 200;  // 127.0.0.2 and on

}  // namespace

crowd::crowd(int port, protocol p, std::uint64_t seed, std::size_t connections)
    : port_(port), protocol_(p), random_(seed), all_(connections) {
  poll_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (poll_ < 0) failed("epoll_create1");
  for (std::size_t i = 0; i < all_.size(); ++i) {
    connect(i);
    if (i % connects_at_once == connects_at_once - 1) turn();
  }
  until_quiet();
}

double crowd::load(double seconds) {
  const std::uint64_t before = counts_.answered;
  const std::int64_t begin = now_ns();
  closed_loop_ = true;
  while (!idle_.empty()) ask(take_idle(), false);
  while (now_ns() < begin + static_cast<std::int64_t>(seconds * second_ns)) turn();
  closed_loop_ = false;
  const double took = static_cast<double>(now_ns() - begin) / second_ns;
  const double rate = static_cast<double>(counts_.answered - before) / took;
  until_quiet();
  return rate;
}

void crowd::storm(double rate, double seconds, double faults_a_second) {
  const std::int64_t begin = now_ns();
  const std::int64_t end = begin + static_cast<std::int64_t>(seconds * second_ns);
  const double faulty = std::min(0.2, faults_a_second / rate);
  std::uint64_t begun = 0;
  for (std::int64_t now = begin; now < end; now = now_ns()) {
    const auto due =
        static_cast<std::uint64_t>(static_cast<double>(now - begin) / second_ns * rate);
    for (; begun < due; ++begun) {
      if (idle_.empty()) {
        counts_.late += due - begun;
        begun = due;
        break;
      }
      const std::size_t i = take_idle();
      if (std::uniform_real_distribution<>(0, 1)(random_) < faulty) {
        misbehave(i);
      } else {
        ask(i, false);
      }
    }
    turn();
  }
  until_quiet();
}

// --- connections --------------------------------------------------------------------------------

void crowd::connect(std::size_t i) {
  connection& c = all_[i];
  const std::uint32_t generation = c.generation + 1;
  c = connection();
  c.generation = generation;
  c.asked_ns = now_ns();
  c.fd = connect_to(port_, 2 + static_cast<std::uint32_t>(below(random_, sources)), SOCK_NONBLOCK);
  if (c.fd < 0) {
    fail(i, std::string("connect: ") + std::strerror(errno));
    return;
  }
  ++counts_.connects;
  c.events = EPOLLOUT;
  epoll_event e{};
  e.events = c.events;
  e.data.u64 = std::uint64_t{generation} << 32 | i;
  if (::epoll_ctl(poll_, EPOLL_CTL_ADD, c.fd, &e) != 0) failed("epoll_ctl");
}

void crowd::hang_up(std::size_t i, bool hard) {
  if (hard) {
    const linger at_once{1, 0};
    ::setsockopt(all_[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  ::close(all_[i].fd);
  connect(i);
}

void crowd::fail(std::size_t i, const std::string& what) {
  connection& c = all_[i];
  if (counts_.unprovoked++ == 0) counts_.first = what;
  if (c.fd >= 0) ::close(c.fd);
  c.fd = -1;
  c.now = phase::connecting;
  c.asked_ns = now_ns();
  std::erase(idle_, i);
  wake_later(i, at_wake::connect, pause_ms_max);
}

std::size_t crowd::take_idle() {
  // Any of them: none shall be left alone for so long that the server has had enough of it.
  const std::size_t at = below(random_, idle_.size());
  const std::size_t i = idle_[at];
  idle_[at] = idle_.back();
  idle_.pop_back();
  return i;
}

// --- what they do -------------------------------------------------------------------------------

void crowd::ask(std::size_t i, bool large) {
  connection& c = all_[i];
  question q = make_question(protocol_, large, random_);
  c.due.expect(q.head, q.at, q.bytes);
  c.out = std::move(q.text);
  c.sent = 0;
  c.send_until = c.out.size();
  c.came = 0;
  c.reset_after = never;
  c.now = phase::busy;
  c.asked_ns = now_ns();
  ++counts_.asked;
  if (!large) send_more(i);  // the others: when it is known how they misbehave
}

void crowd::misbehave(std::size_t i) {
  connection& c = all_[i];
  const std::size_t kind = below(random_, 8);
  if (kind == 0) {
    ++counts_.leaves;
    hang_up(i, false);
    return;
  }
  if (kind == 1) {
    ++counts_.resets;
    hang_up(i, true);
    return;
  }
  ask(i, true);
  const std::size_t part = 1 + below(random_, c.out.size() - 1);
  switch (kind) {
    case 2:
      ++counts_.pauses;
      c.send_until = part;
      wake_later(i, at_wake::send_rest, pause_ms_max);
      break;
    case 3:
      ++counts_.stalls;
      c.reading = false;
      wake_later(i, below(random_, 4) == 0 ? at_wake::reset : at_wake::read_on, stall_ms_max);
      break;
    case 4:
      ++counts_.half_closes;
      c.then = when_sent::end;
      c.end_due = true;
      break;
    case 5:
      ++counts_.cuts;
      c.out.resize(part);
      c.send_until = part;
      c.then = when_sent::end;
      c.end_due = true;
      if (protocol_ == protocol::echo) {
        c.due.cut_to(part);
      } else {
        c.due.expect(false, 0, 0);
      }
      break;
    case 6:
      ++counts_.resets;
      c.out.resize(part);
      c.send_until = part;
      c.then = when_sent::reset;
      break;
    default:
      ++counts_.resets;
      c.reset_after = 1 + below(random_, 128 << 10);
      break;
  }
  send_more(i);
}

void crowd::send_more(std::size_t i) {
  connection& c = all_[i];
  c.blocked = false;
  while (c.sent < c.send_until) {
    const ssize_t n = ::send(c.fd, c.out.data() + c.sent, c.send_until - c.sent, MSG_NOSIGNAL);
    if (n >= 0) {
      c.sent += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN) {
      c.blocked = true;
      break;
    } else if (errno != EINTR) {
      fail(i, std::string("send: ") + std::strerror(errno));
      return;
    }
  }
  if (c.sent == c.out.size()) {
    if (c.then == when_sent::reset) {
      hang_up(i, true);
      return;
    }
    if (c.then == when_sent::end && ::shutdown(c.fd, SHUT_WR) != 0) {
      fail(i, std::string("shutdown: ") + std::strerror(errno));
      return;
    }
    c.then = when_sent::nothing;
  }
  watch(i);
}

void crowd::read_more(std::size_t i) {
  connection& c = all_[i];
  static std::array<char, 64 << 10> bytes;
  for (;;) {
    const ssize_t n = ::recv(c.fd, bytes.data(), bytes.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) {
      fail(i, std::string("recv: ") + std::strerror(errno));
      return;
    }
    if (n == 0) {
      if (c.now == phase::busy && c.end_due && c.due.whole() && c.sent == c.out.size()) {
        ++counts_.answered;
        hang_up(i, false);
      } else {
        fail(i, c.now == phase::idle ? "an end of a quiet connection" : "an end in the middle");
      }
      return;
    }
    if (c.now != phase::busy) {
      fail(i, "bytes that nobody asked for");
      return;
    }
    c.came += static_cast<std::size_t>(n);
    if (c.came >= c.reset_after) {
      hang_up(i, true);
      return;
    }
    if (!c.due.feed({bytes.data(), static_cast<std::size_t>(n)})) {
      fail(i, c.due.wrong());
      return;
    }
    if (c.due.whole() && !c.end_due && c.sent == c.out.size()) {
      finish(i);
      if (all_[i].now != phase::idle) return;  // it asks again
    }
  }
  watch(i);
}

void crowd::finish(std::size_t i) {
  connection& c = all_[i];
  ++counts_.answered;
  if (c.reset_after != never) {  // the answer was shorter than that
    hang_up(i, true);
    return;
  }
  c.now = phase::idle;
  if (closed_loop_) {
    ask(i, false);
  } else {
    idle_.push_back(i);
  }
}

// --- time and events ----------------------------------------------------------------------------

void crowd::wake_later(std::size_t i, at_wake next, std::size_t ms_max) {
  connection& c = all_[i];
  c.next = next;
  c.wake_ns = now_ns() + static_cast<std::int64_t>(1 + below(random_, ms_max)) * 1'000'000;
  wakes_.emplace(c.wake_ns, i);
}

void crowd::wake(std::size_t i) {
  connection& c = all_[i];
  c.wake_ns = 0;
  switch (std::exchange(c.next, at_wake::nothing)) {
    case at_wake::send_rest:
      c.send_until = c.out.size();
      send_more(i);
      break;
    case at_wake::read_on:
      c.reading = true;
      watch(i);
      break;
    case at_wake::reset:
      ++counts_.resets;
      hang_up(i, true);
      break;
    case at_wake::connect:
      connect(i);
      break;
    case at_wake::nothing:
      break;
  }
}

void crowd::watch(std::size_t i) {
  connection& c = all_[i];
  const std::uint32_t events = (c.reading ? EPOLLIN : 0u) | (c.blocked ? EPOLLOUT : 0u);
  if (events == c.events) return;
  c.events = events;
  epoll_event e{};
  e.events = events;
  e.data.u64 = std::uint64_t{c.generation} << 32 | i;
  if (::epoll_ctl(poll_, EPOLL_CTL_MOD, c.fd, &e) != 0) failed("epoll_ctl");
}

void crowd::happened(std::size_t i, std::uint32_t events) {
  connection& c = all_[i];
  if (c.now == phase::connecting) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(c.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      fail(i, std::string("connect: ") + std::strerror(error));
      return;
    }
    c.now = phase::idle;
    idle_.push_back(i);
    watch(i);
    return;
  }
  const std::uint32_t generation = c.generation;
  if ((events & EPOLLOUT) != 0) send_more(i);
  if (c.generation != generation || c.fd < 0) return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_more(i);
}

void crowd::turn() {
  std::array<epoll_event, 256> ready;
  const int n = ::epoll_wait(poll_, ready.data(), ready.size(), 1);
  for (int k = 0; k < n; ++k) {
    const std::uint64_t tag = ready[static_cast<std::size_t>(k)].data.u64;
    const std::size_t i = tag & 0xffffffffu;
    if (all_[i].generation == tag >> 32 && all_[i].fd >= 0) {
      happened(i, ready[static_cast<std::size_t>(k)].events);
    }
  }
  const std::int64_t now = now_ns();
  while (!wakes_.empty() && wakes_.top().first <= now) {
    const auto [at, i] = wakes_.top();
    wakes_.pop();
    if (all_[i].wake_ns == at) wake(i);
  }
  if (now - looked_ns_ > second_ns) {
    looked_ns_ = now;
    look_for_silence();
  }
}

void crowd::look_for_silence() {
  const std::int64_t since = now_ns() - patience_ns;
  for (std::size_t i = 0; i < all_.size(); ++i) {
    if (all_[i].now != phase::idle && all_[i].fd >= 0 && all_[i].asked_ns < since) {
      fail(i, all_[i].now == phase::busy ? "no answer" : "no connection");
    }
  }
}

void crowd::until_quiet() {
  const std::int64_t give_up = now_ns() + 2 * patience_ns;
  while (idle_.size() < all_.size() && now_ns() < give_up) turn();
  if (idle_.size() < all_.size() && counts_.unprovoked++ == 0)
    counts_.first = "it never gets quiet";
}

}  // namespace soak
