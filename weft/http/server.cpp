#include <weft/http/server.hpp>

#include <weft/http/connection_group.hpp>
#include <weft/http/counters.hpp>
#include <weft/net/serve.hpp>
#include <weft/runtime/runtime.hpp>
#include <weft/runtime/time.hpp>
#include <weft/task/shield_scope.hpp>
#include <weft/together/catch_stop.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <vector>

namespace weft::http {
namespace {

using detail::connection_group;

task<result<void>> accept_connections(net::tcp_listener& listener,
                                      std::shared_ptr<connection_group> group) {
  std::chrono::milliseconds pause = net::accept_pause_min;
  bool said = false;
  for (;;) {
    co_await group->room();
    while (auto failed = group->take_failed()) {
      const auto end = co_await failed.outcome();
      static_cast<void>(end);
    }
    auto accepted = co_await listener.accept();
    std::error_code error;
    if (accepted) {
      try {
        connection_group::start(group, std::move(*accepted));
        pause = net::accept_pause_min;
        continue;
      } catch (const std::bad_alloc&) {
        error = std::make_error_code(std::errc::not_enough_memory);
      }
    } else {
      error = accepted.error();
    }
    group->counters().accept_errors.add();
    if (!net::is_shortage(error)) co_return std::unexpected(error);
    if (!said) {
      std::fprintf(stderr, "weft: http: new connections have to wait (said once): %s\n",
                   error.message().c_str());
      said = true;
    }
    co_await sleep_for(pause);
    pause = std::min(pause * 2, net::accept_pause_max);
  }
}

task<> stop_later(std::chrono::milliseconds after, std::vector<join_handle<void>>& jobs) {
  co_await sleep_for(after);
  for (auto& job : jobs) job.stop();
}

/// At once, where there is no memory for the clock: nobody could do it later.
task<> stop_later_or_now(std::chrono::milliseconds after, std::vector<join_handle<void>>& jobs) {
  try {
    return stop_later(after, jobs);
  } catch (const std::bad_alloc&) {
    for (auto& job : jobs) job.stop();
    throw;
  }
}

/// False: there is no memory for that now.
bool close(connection_group& group, std::vector<join_handle<void>>& jobs) noexcept {
  try {
    jobs = group.close();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// It may not fail: the connections refer to what is destroyed after it. And without timeout(): its branch
// is a new job, which a runtime that is shutting down stops at once, and with it this wait.
task<> drain(connection_group& group) {
  std::vector<join_handle<void>> jobs;
  while (!close(group, jobs)) co_await sleep_for(net::accept_pause_min);
  if (jobs.empty()) co_return;
  join_handle<void> clock;
  try {
    clock = spawn(stop_later_or_now, group.options().drain, std::ref(jobs));
  } catch (const std::bad_alloc&) {
    for (auto& job : jobs) job.stop();
  }
  for (auto& job : jobs) {
    const auto end = co_await job.outcome();
    static_cast<void>(end);
  }
  if (!clock) co_return;
  clock.stop();
  const auto end = co_await clock.outcome();
  static_cast<void>(end);
}

}  // namespace

server::server(handler& answers, server_options options)
    : answers_(answers),
      options_(options),
      counters_(std::make_shared<detail::server_counters>()) {}

server::server(std::unique_ptr<handler> own, server_options options)
    : own_(std::move(own)),
      answers_(*own_),
      options_(options),
      counters_(std::make_shared<detail::server_counters>()) {}

server::~server() = default;

server_statistics server::statistics() const noexcept { return counters_->snapshot(); }

task<result<void>> server::serve(net::tcp_listener& listener) {
  const auto group = std::make_shared<connection_group>(answers_, options_, counters_);
  auto draining = drain(*group);  // its frame is there before the first connection is
  result<void> ended;
  std::exception_ptr thrown;
  try {
    const auto accepting = co_await catch_stop(accept_connections(listener, group));
    if (accepting) ended = *accepting;
  } catch (...) {
    thrown = std::current_exception();
  }
  {
    const shield_scope shield;
    co_await std::move(draining);
  }
  if (thrown) std::rethrow_exception(thrown);
  co_return ended;
}

}  // namespace weft::http
