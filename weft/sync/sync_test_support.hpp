// sync_test_support: what the tests of several primitives share.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/task/task_test_support.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/together/catch_stop.hpp"

namespace weft::test_support {

template <class Make>
task<> wait_and_add(Make make, std::string& trace, char name) {
  auto waiting = make();
  co_await waiting;
  trace += name;
}
/// A job on `executor` that awaits what make() gives, and then adds `name` to the trace.
template <class Make>
auto waits(test_executor& executor, std::string& trace, char name, Make make) {
  return start(executor, wait_and_add<Make>, std::move(make), std::ref(trace), name);
}

/// Tests that run on one worker and on two.
class on_workers : public ::testing::TestWithParam<unsigned> {
 protected:
  runtime rt{{.workers = GetParam()}};
};
#define WEFT_ON_WORKERS(fixture) \
  INSTANTIATE_TEST_SUITE_P(workers, fixture, ::testing::Values(1u, 2u, 4u))

}  // namespace weft::test_support
