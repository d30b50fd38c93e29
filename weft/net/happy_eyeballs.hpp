// happy_eyeballs: connects to the first of several endpoints that answers (RFC 8305), by whatever makes
// a connection: an attempt after the other, a little apart, without waiting for one that is silent.
//
//   Order   the families in turn, beginning with that of the first endpoint; within one, as given
//   Pace    the next attempt begins `delay` after the last one did, or at once when one has failed
//   End     the first success; the attempts that still run are stopped, and have ended when this does.
//           What they had made after all is destroyed
#pragma once

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "weft/net/address.hpp"
#include "weft/task/task.hpp"
#include "weft/together/join_set.hpp"
#include "weft/together/timeout.hpp"

namespace weft::net {

struct failed_attempt {
  endpoint to;
  std::error_code error;
};
/// What came of each attempt that failed, in the order of the failures; begun: how many attempts.
struct connect_report {
  std::vector<failed_attempt> failures;
  unsigned begun = 0;
};

/// RFC 8305 allows no less.
inline constexpr std::chrono::milliseconds attempt_delay_min{10};

/// In the order in which they are tried.
std::vector<endpoint> interleave_families(std::vector<endpoint> endpoints);
/// The error that tells most of several: the last, but before one that only says that this machine has
/// no way there (no such family, no route) one that does not. `failures` is not empty.
std::error_code most_telling(const std::vector<failed_attempt>& failures) noexcept;

namespace internal {

template <class S>
struct attempt_end {
  endpoint to;
  result<S> got;
};

template <class S, class Connect>
task<attempt_end<S>> attempt_to_connect(Connect connect, endpoint to) {
  auto got = co_await connect(to);
  co_return attempt_end<S>{to, std::move(got)};
}

}  // namespace internal

/// `connect(endpoint)` gives task<result<S>>, and is copied into each attempt. `report` may be nullptr.
///
/// Errors  most_telling() of all; invalid_argument: there is no endpoint
/// Cancel  stops all attempts, whose ends are awaited
template <class S, class Connect>
task<result<S>> connect_to_first(std::vector<endpoint> endpoints, std::chrono::nanoseconds delay,
                                 Connect connect, connect_report* report = nullptr) {
  const std::vector<endpoint> order = interleave_families(std::move(endpoints));
  delay = std::max<std::chrono::nanoseconds>(delay, attempt_delay_min);
  connect_report own;
  connect_report& seen = report != nullptr ? *report : own;
  seen = {};
  if (order.empty()) {
    co_return std::unexpected(std::make_error_code(std::errc::invalid_argument));
  }
  using ended = internal::attempt_end<S>;
  auto body = [&](join_set<ended>& attempts) -> task<result<S>> {
    for (;;) {
      if (seen.begun < order.size()) {
        attempts.spawn(&internal::attempt_to_connect<S, Connect>, connect, order[seen.begun]);
        ++seen.begun;
      }
      std::optional<outcome<ended>> next;
      if (seen.begun < order.size()) {
        auto waited = co_await timeout(delay, attempts.next());
        if (!waited) continue;  // silent: the next one, beside it
        if (*waited) next.emplace(std::move(**waited));
      } else {
        auto last = co_await attempts.next();
        if (last) next.emplace(std::move(*last));
      }
      if (!next) co_return std::unexpected(most_telling(seen.failures));
      if (next->exception()) std::rethrow_exception(next->exception());
      if (!next->has_value()) {  // it has stopped itself
        seen.failures.push_back({{}, std::make_error_code(std::errc::operation_canceled)});
        continue;
      }
      ended& end = next->value();
      if (end.got) co_return std::move(end.got);
      seen.failures.push_back({end.to, end.got.error()});
    }
  };
  auto got = co_await with_join_set<ended>(body);
  co_return std::move(got);
}

}  // namespace weft::net
