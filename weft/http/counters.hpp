// Internal: what a server counts, on behalf of all its connections.
//
// What each request counts is counted apart by thread: one word for all would go from core to core with
// each request, and be locked even where there is one worker. A thread with a small number has a cell of
// its own and only stores to it; those with greater numbers share the last one.
//
// Orderings: relaxed, figures for people, which order nothing; but
//   P1  a request that has ended (release) -> the sum of those (acquire), read before the sum of those that
//       have begun: of each that is seen to have ended it is seen that it began, so what is under way is
//       never less than nothing.
#pragma once

#include <weft/base/atomic.hpp>
#include <weft/base/cache_line.hpp>
#include <weft/http/server.hpp>
#include <weft/http/status.hpp>
#include <weft/http/thread_number.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace weft::http::detail {

class counter {
 public:
  void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, order::relaxed); }
  void subtract(std::uint64_t n = 1) noexcept { value_.fetch_sub(n, order::relaxed); }
  [[nodiscard]] std::uint64_t get() const noexcept { return value_.load(order::relaxed); }

 private:
  atomic<std::uint64_t> value_{0};
};

class server_counters {
 public:
  counter open, accepted, refused, timed_out, bodies_too_slow, handler_errors, accept_errors;

  void work_begins() noexcept { add(begun); }
  void work_ends() noexcept { add(ended, 1, order::release); }  // P1
  void asked() noexcept { add(requests); }
  void sent_body(std::uint64_t bytes) noexcept {
    if (bytes != 0) add(body_bytes, bytes);
  }
  void responded(status s) noexcept {
    const unsigned kind = code(s) / 100;
    if (kind >= 1 && kind <= 5) add(first_of_responses + kind - 1);
  }

  [[nodiscard]] server_statistics snapshot() const noexcept {
    server_statistics s;
    const std::uint64_t busy_no_more = sum(ended, order::acquire);  // P1
    s.connections_busy = sum(begun) - busy_no_more;
    s.connections_open = open.get();
    s.connections_accepted = accepted.get();
    s.requests = sum(requests);
    for (std::size_t i = 0; i < s.responses.size(); ++i) {
      s.responses[i] = sum(first_of_responses + i);
    }
    s.body_bytes_sent = sum(body_bytes);
    s.refused = refused.get();
    s.timed_out = timed_out.get();
    s.bodies_too_slow = bodies_too_slow.get();
    s.handler_errors = handler_errors.get();
    s.accept_errors = accept_errors.get();
    return s;
  }

 private:
  enum : std::size_t {
    begun,
    ended,
    requests,
    body_bytes,
    first_of_responses,
    figures = first_of_responses + 5,
  };
  static constexpr std::size_t cells = 16;
  static constexpr std::size_t shared = cells - 1;
  struct alignas(cache_line) cell {
    std::array<atomic<std::uint64_t>, figures> values{};
  };

  void add(std::size_t figure, std::uint64_t n = 1, order o = order::relaxed) noexcept {
    const std::size_t number = number_of_thread();
    if (number >= shared) {
      cells_[shared].values[figure].fetch_add(n, o);
      return;
    }
    atomic<std::uint64_t>& own = cells_[number].values[figure];  // nobody else writes to it
    own.store(own.load(order::relaxed) + n, o);
  }
  [[nodiscard]] std::uint64_t sum(std::size_t figure, order o = order::relaxed) const noexcept {
    std::uint64_t all = 0;
    for (const cell& c : cells_) all += c.values[figure].load(o);
    return all;
  }

  std::array<cell, cells> cells_;
};

}  // namespace weft::http::detail
