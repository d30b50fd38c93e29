// Internal: the connections of one serve(), as jobs that it can stop and has to wait for.
//
// A connection's entry holds the handle of its job. Exactly one of three takes it out, under the
// lock: the connection, as its last act, to detach it; close(), to join it; or nobody yet, because
// the job ended before start() had the handle, which then drops it (state `ended`).
//
// A job for whose frame there was no memory ends by an exception, before its first line. Detached it would
// end the process; so its handle stays in its entry (`failed`) until take_failed() or close() takes it to
// be joined.
//
//   I1  A connection counts as open from start() until its job has closed the socket: until the
//       membership that the job owns is gone.
//   I2  A request is never begun after close(): the connection sets busy, then reads draining;
//       close() sets draining, then reads busy (all seq_cst). At least one sees the other: the
//       connection gives up, or it is seen as busy and is given its time. (Both may happen.)
//
// Threads: start(), room and close() by the job of serve(); the rest by the connections.
#pragma once

#include <weft/base/atomic.hpp>
#include <weft/base/spin_lock.hpp>
#include <weft/http/counters.hpp>
#include <weft/http/scratch.hpp>
#include <weft/http/server.hpp>
#include <weft/task/join_handle.hpp>
#include <weft/task/wait_queue.hpp>

#include <cstddef>
#include <memory>
#include <vector>

namespace weft::http::detail {

class connection_group {
 public:
  struct entry {
    enum class phase : unsigned char { free, starting, running, ended, never_ran, failed, joined };
    phase now = phase::free;  // this and the handle: under the lock
    join_handle<void> handle;
    atomic<bool> busy{false};
    entry* next_failed = nullptr;  // under the lock
  };

  /// What a connection's job owns from spawn() on. Its end, which comes after the socket was closed,
  /// is the connection's, also if the job was stopped before its first line ran.
  class membership {
   public:
    membership(std::shared_ptr<connection_group> group, entry& of) noexcept
        : group_(std::move(group)), of_(&of) {}
    membership(membership&& other) noexcept = default;
    membership& operator=(membership&&) = delete;
    ~membership() {
      if (group_ != nullptr) group_->ended(*of_, ran_);
    }
    /// The job's first line runs.
    void runs() noexcept { ran_ = true; }
    connection_group& group() const noexcept { return *group_; }
    entry& of() const noexcept { return *of_; }

   private:
    std::shared_ptr<connection_group> group_;
    entry* of_;
    bool ran_ = false;
  };

  connection_group(handler& answers, const server_options& options,
                   std::shared_ptr<server_counters> counters)
      : answers_(answers),
        options_(options),
        counters_(std::move(counters)),
        scratches_(options.limits) {}

  [[nodiscard]] handler& answers() const noexcept { return answers_; }
  [[nodiscard]] const server_options& options() const noexcept { return options_; }
  [[nodiscard]] server_counters& counters() const noexcept { return *counters_; }
  [[nodiscard]] scratch_pool& scratches() noexcept { return scratches_; }

  /// Runs a connection as a job. `self` is this group, which the job keeps alive. Throws
  /// std::bad_alloc, with nothing changed.
  static void start(const std::shared_ptr<connection_group>& self, net::tcp_stream stream);

  /// Ends when one more connection may be started.
  class room_operation;
  [[nodiscard("co_await it")]] room_operation room() noexcept;

  /// One that could not run, for its exception to be taken by outcome(); or none.
  [[nodiscard]] join_handle<void> take_failed() noexcept;

  /// The connection has a request to answer. Result: false when it has to end instead.
  [[nodiscard]] bool begin_work(entry& e) noexcept;
  void end_work(entry& e) noexcept;
  [[nodiscard]] bool draining() const noexcept { return draining_.load(order::seq_cst); }

  /// No request is begun any more, and idle connections are stopped. Result: the jobs to wait for.
  [[nodiscard]] std::vector<join_handle<void>> close();

  /// True once, for what is said on stderr only the first time.
  [[nodiscard]] bool first_handler_error() noexcept {
    return !said_handler_error_.exchange(true, order::relaxed);
  }

 private:
  void ended(entry& e, bool ran) noexcept;
  void add_failed(entry& e) noexcept;  // under lock_
  [[nodiscard]] bool full() const noexcept {
    return open_.load(order::seq_cst) >= options_.connections_max;
  }
  entry& take_entry();

  handler& answers_;
  const server_options options_;
  const std::shared_ptr<server_counters> counters_;
  scratch_pool scratches_;
  atomic<std::size_t> open_{0};
  atomic<bool> draining_{false};
  atomic<bool> said_handler_error_{false};
  wait_queue room_;
  spin_lock lock_;
  std::vector<std::unique_ptr<entry>> entries_;  // by the job of serve() only
  entry* failed_ = nullptr;                      // under lock_
  std::vector<entry*> free_;                     // under lock_; has room for all entries
};

class connection_group::room_operation final
    : public awaitable_operation<room_operation, wait_queue::waiter> {
 public:
  explicit room_operation(connection_group& group) noexcept : group_(group) {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  const char* what() const noexcept override { return "room for a connection"; }
  void await_resume() const noexcept {}

 private:
  connection_group& group_;
};

inline connection_group::room_operation connection_group::room() noexcept {
  return room_operation(*this);
}

}  // namespace weft::http::detail
