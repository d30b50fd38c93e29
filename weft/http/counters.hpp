// Internal: what a server counts, on behalf of all its connections.
#pragma once

#include <weft/base/atomic.hpp>
#include <weft/http/server.hpp>
#include <weft/http/status.hpp>

#include <cstdint>

namespace weft::http::detail {

// Relaxed: figures for people, which order nothing.
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
  counter open, busy, accepted, requests, body_bytes, refused, timed_out, handler_errors,
      accept_errors;

  void responded(status s) noexcept {
    const unsigned kind = code(s) / 100;
    if (kind >= 1 && kind <= 5) responses_[kind - 1].add();
  }

  [[nodiscard]] server_statistics snapshot() const noexcept {
    server_statistics s;
    s.connections_open = open.get();
    s.connections_busy = busy.get();
    s.connections_accepted = accepted.get();
    s.requests = requests.get();
    for (std::size_t i = 0; i < s.responses.size(); ++i) s.responses[i] = responses_[i].get();
    s.body_bytes_sent = body_bytes.get();
    s.refused = refused.get();
    s.timed_out = timed_out.get();
    s.handler_errors = handler_errors.get();
    s.accept_errors = accept_errors.get();
    return s;
  }

 private:
  counter responses_[5];
};

}  // namespace weft::http::detail
