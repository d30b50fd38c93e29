// A client of plain blocking sockets, in a thread of its own: a server must not be tested with its
// own parser, and a client that misbehaves is easier to write by hand.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "weft/http/server.hpp"
#include "weft/net/manual_time_test_support.hpp"
#include "weft/runtime/runtime.hpp"

namespace weft::http::test {

class raw_client {
 public:
  explicit raw_client(std::uint16_t port);
  ~raw_client();
  raw_client(const raw_client&) = delete;
  raw_client& operator=(const raw_client&) = delete;

  /// False when the peer has closed.
  bool send(std::string_view bytes);
  /// Up to `marker`, included; what there was at the end, or when patience was.
  std::string read_until(std::string_view marker);
  /// All there is until the peer closes.
  std::string read_all();
  /// Reads and drops. Result: so many, or fewer where there was an end.
  std::size_t drop(std::size_t bytes);
  /// A response: its head and as much body as Content-Length says.
  std::string read_response(bool head_only = false);
  std::string ask(std::string_view request) {
    send(request);
    return read_response();
  }
  /// Reads what there is. True: what ended it was a reset.
  bool ends_by_reset();
  void shrink_receive_buffer(int bytes = 4096);
  /// Without an orderly end: the peer gets a reset.
  void reset();
  void end_writing();
  /// Nothing to be read now, neither bytes nor an end.
  bool hears_nothing();

 private:
  bool fill();
  int fd_ = -1;
  std::string pending_;
};

/// What handlers and clients count, for a test that waits for them.
class event_counter {
 public:
  event_counter& operator++();
  long value() const;
  /// Waits until it is at least `n`. Result: whether it is; false only when patience has ended.
  bool reaches(long n) const;

 private:
  mutable std::mutex lock_;
  mutable std::condition_variable grown_;
  long value_ = 0;
};

enum class clock_kind : unsigned char {
  machine,  // two workers
  manual,   // one worker, and time passes in advance() only
};

/// A server on a free port of the loopback, in a runtime of its own.
class test_server {
 public:
  explicit test_server(handler& answers, server_options options = {},
                       clock_kind clock = clock_kind::machine, driver io = driver::automatic,
                       net::listen_options listening = {});
  ~test_server();

  std::uint16_t port() const { return port_; }
  server_statistics statistics() const { return server_.statistics(); }
  runtime& rt() { return manual_ ? manual_->get() : *rt_; }
  /// What can happen without time passing has happened; or time passes. clock_kind::manual only.
  void settle() { manual_->settle(); }
  void advance(std::chrono::nanoseconds by) { manual_->advance(by); }
  /// `from` sends, and a job that waited for it has its turn: it has read this before time passes again.
  /// clock_kind::manual only. Result: whether there was such a turn.
  bool read_from(raw_client& from, std::string_view bytes) {
    settle();
    const auto turns = rt().metrics().turns;
    from.send(bytes);
    return net::test::eventually([&] { return rt().metrics().turns > turns; });
  }
  void stop_later() { job_.stop(); }
  /// Stops it and waits for its end.
  void stop();
  /// Waits until what is asked for is true. Result: whether it is.
  template <class F>
  bool eventually(F true_now) {
    return net::test::eventually([&] { return true_now(statistics()); });
  }

 private:
  static task<result<void>> listen(test_server& self);
  server server_;
  const net::listen_options how_;
  std::promise<void> listening_;
  std::unique_ptr<runtime> rt_;  // one of the two
  std::unique_ptr<net::test::manual_runtime> manual_;
  std::uint16_t port_ = 0;
  join_handle<result<void>> job_;
};

int status_of(std::string_view response);
std::string_view body_of(std::string_view response);
/// "" where there is none.
std::string field_of(std::string_view response, std::string_view name);

}  // namespace weft::http::test
