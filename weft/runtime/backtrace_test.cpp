// this_task::backtrace(): who awaits whom, through whatever is awaited.
#include "weft/runtime/backtrace.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "weft/runtime/await.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/task_local.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/join_set.hpp"
#include "weft/together/race.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/select.hpp"
#include "weft/together/shield.hpp"
#include "weft/together/stop_token.hpp"
#include "weft/together/stream.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace trace_test {

using namespace std::chrono_literals;

task<backtrace> innermost() {
  backtrace here = co_await this_task::backtrace();
  co_return here;
}
task<backtrace> middle() {
  backtrace here = co_await innermost();
  co_return here;
}
task<backtrace> outermost() {
  backtrace here = co_await middle();
  co_return here;
}
task<backtrace> other() {
  backtrace none;
  co_return none;
}

/// Which of the functions here it came through, in order, and the names of the jobs.
std::string outline(const backtrace& b) {
  static constexpr const char* known[] = {
      "innermost",  "middle",   "outermost", "by_timeout", "by_catch",       "by_shield",
      "by_all",     "by_race",  "by_select", "by_scope",   "in_scope",       "by_fork",
      "by_stream",  "elements", "by_local",  "by_token",   "woken",          "fiber_main",
      "fiber_call", "by_fiber", "by_set",    "deeper",     "make_job_in_job"};
  std::string text;
  for (const backtrace::frame& f : b) {
    if (f.what == backtrace::kind::job) {
      text.append("[").append(f.job_name).append("] ");
      continue;
    }
    const std::string name = f.symbol();
    for (const char* const k : known) {
      const std::string qualified = std::string("trace_test::") + k + "(";
      // Not what is only named as an argument of a template.
      const auto at = name.find(qualified);
      if (at == std::string::npos || name.find('<') < at) continue;
      text.append(k).append(" ");
      break;
    }
  }
  return text;
}

std::size_t count(const backtrace& b, backtrace::kind of) {
  std::size_t n = 0;
  for (const backtrace::frame& f : b) n += f.what == of ? 1 : 0;
  return n;
}

template <class F>
backtrace in_job(F f) {
  runtime rt({.workers = 1});
  auto handle = rt.spawn(spawn_options{.name = "it"}, f);
  return rt.block_on(handle);
}

TEST(backtrace, a_chain_of_tasks_ends_in_its_job) {
  const backtrace b = in_job(outermost);
  EXPECT_EQ(outline(b), "innermost middle outermost [it] ");
  EXPECT_EQ(count(b, backtrace::kind::coroutine), 3u);
  ASSERT_EQ(b.size(), 4u);
  EXPECT_NE(b[3].job_id, 0u);
  EXPECT_FALSE(b.truncated());
}

TEST(backtrace, none_is_empty) {
  const backtrace none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(to_string(none), "");
}

TEST(backtrace, text_has_names_and_what_addr2line_takes) {
  const std::string text = to_string(in_job(outermost));
  const auto inner = text.find("#0 co_await weft::trace_test::innermost() (");
  EXPECT_EQ(inner, 0u) << text;
  EXPECT_NE(text.find("#2 co_await weft::trace_test::outermost() ("), std::string::npos) << text;
  EXPECT_NE(text.find("weft_runtime_test+0x"), std::string::npos) << text;
  EXPECT_NE(text.find("\nin job "), std::string::npos) << text;
}

task<backtrace> woken() {
  co_await sleep_for(1ms);
  backtrace here = co_await middle();
  co_return here;
}
TEST(backtrace, is_the_same_after_an_await) {
  EXPECT_EQ(outline(in_job(woken)), "innermost middle woken [it] ");
}

task<backtrace> by_timeout() {
  auto here = co_await timeout(1h, middle());
  co_return std::move(*here);
}
TEST(backtrace, goes_on_behind_a_timeout) {
  EXPECT_EQ(outline(in_job(by_timeout)), "innermost middle [timeout] by_timeout [it] ");
}

task<backtrace> by_token() {
  const stop_source source;
  auto here = co_await with_stop(source.get_token(), middle());
  co_return std::move(*here);
}
TEST(backtrace, goes_on_behind_with_stop) {
  EXPECT_EQ(outline(in_job(by_token)), "innermost middle [with_stop] by_token [it] ");
}

task_local<int> local;
task<backtrace> by_local() {
  backtrace here = co_await local.with(1, middle());
  co_return here;
}
// What is inside has the name of who binds.
TEST(backtrace, goes_on_behind_a_task_local) {
  EXPECT_EQ(outline(in_job(by_local)), "innermost middle [it] by_local [it] ");
}

task<backtrace> by_catch() {
  auto here = co_await catch_stop(middle());
  co_return std::move(*here);
}
TEST(backtrace, passes_catch_stop_without_a_frame) {
  const backtrace b = in_job(by_catch);
  EXPECT_EQ(outline(b), "innermost middle by_catch [it] ");
  EXPECT_EQ(b.size(), 4u);
}

task<backtrace> by_shield() {
  backtrace here = co_await shield(middle());
  co_return here;
}
TEST(backtrace, passes_a_shield_without_a_frame) {
  const backtrace b = in_job(by_shield);
  EXPECT_EQ(outline(b), "innermost middle by_shield [it] ");
  EXPECT_EQ(b.size(), 4u);
}

task<backtrace> by_all() {
  auto [a, b] = co_await when_all(middle(), other());
  co_return std::move(a);
}
TEST(backtrace, goes_on_behind_when_all) {
  EXPECT_EQ(outline(in_job(by_all)), "innermost middle [] by_all [it] ");
}

task<backtrace> by_race() {
  auto first = co_await race(middle(), woken());
  co_return std::get<0>(std::move(first));
}
TEST(backtrace, goes_on_behind_a_race) {
  EXPECT_EQ(outline(in_job(by_race)), "innermost middle [] by_race [it] ");
}

task<backtrace> by_select() {
  auto first = co_await select(middle(), sleep_for(1h));
  co_return std::get<0>(std::move(first));
}
TEST(backtrace, goes_on_behind_a_select) {
  EXPECT_EQ(outline(in_job(by_select)), "innermost middle [select] by_select [it] ");
}

task<> in_scope(backtrace& to) { to = co_await middle(); }
task<backtrace> by_scope() {
  backtrace of_child;
  co_await scope([&](scope_ref s) -> task<> {
    s.spawn(spawn_options{.name = "child"}, in_scope, std::ref(of_child));
    co_return;
  });
  co_return of_child;
}
TEST(backtrace, of_a_child_goes_on_to_who_awaits_the_scope) {
  EXPECT_EQ(outline(in_job(by_scope)), "innermost middle in_scope [child] by_scope [it] ");
}

task<> deeper(backtrace& to) {
  co_await scope([&](scope_ref) -> task<> { to = co_await middle(); });
}
task<backtrace> by_set() {
  backtrace of_body;
  co_await deeper(of_body);
  co_return of_body;
}
TEST(backtrace, of_a_scopes_body_goes_on_to_who_awaits_it) {
  EXPECT_EQ(outline(in_job(by_set)), "innermost middle deeper [scope] deeper by_set [it] ");
}

task<backtrace> by_fork() {
  auto [a, b] = co_await fork_join([] { return middle(); }, [] { return 1; });
  co_return std::move(a);
}
TEST(backtrace, a_branch_in_place_is_a_call) {
  EXPECT_EQ(outline(in_job(by_fork)), "innermost middle by_fork [it] ");
}

stream<backtrace> elements() {
  backtrace here = co_await middle();
  co_yield std::move(here);
}
task<backtrace> by_stream() {
  auto all = elements();
  auto first = co_await all.next();
  co_return std::move(*first);
}
TEST(backtrace, a_stream_is_awaited_by_its_consumer) {
  EXPECT_EQ(outline(in_job(by_stream)), "innermost middle elements by_stream [it] ");
}

task<backtrace> make_job_in_job() {
  auto handle = spawn(spawn_options{.name = "inner"}, middle);
  backtrace here = co_await handle;
  co_return here;
}
TEST(backtrace, ends_at_a_spawned_job) {
  EXPECT_EQ(outline(in_job(make_job_in_job)), "innermost middle [inner] ");
}

[[gnu::noinline]] backtrace fiber_call() {
  backtrace here = await(this_task::backtrace());
  asm volatile("" : : "r"(&here) : "memory");  // no call in the place of a return
  return here;
}
[[gnu::noinline]] backtrace fiber_main() {
  backtrace here = fiber_call();
  asm volatile("" : : "r"(&here) : "memory");
  return here;
}
template <class F>
backtrace in_fiber(F f) {
  runtime rt({.workers = 1});
  auto handle = rt.go(spawn_options{.name = "fiber"}, f);
  return rt.block_on(handle);
}
TEST(backtrace, in_a_fiber_is_of_its_functions) {
  const backtrace b = in_fiber(&fiber_main);
  EXPECT_EQ(outline(b), "fiber_call fiber_main [fiber] ");
  EXPECT_EQ(count(b, backtrace::kind::coroutine), 0u);
}

[[gnu::noinline]] backtrace by_fiber() {
  backtrace here = await(woken());
  asm volatile("" : : "r"(&here) : "memory");
  return here;
}
TEST(backtrace, of_a_coroutine_in_a_fiber_goes_on_along_its_stack) {
  const backtrace b = in_fiber(&by_fiber);
  EXPECT_EQ(outline(b), "innermost middle woken by_fiber [fiber] ");
  EXPECT_EQ(count(b, backtrace::kind::coroutine), 3u);
}

TEST(backtrace, of_block_on_ends_there) {
  EXPECT_EQ(outline(block_on(middle())), "innermost middle [block_on] ");
}

task<backtrace> recursion(unsigned depth) {
  if (depth == 0) {
    backtrace here = co_await this_task::backtrace();
    co_return here;
  }
  backtrace here = co_await recursion(depth - 1);
  co_return here;
}
TEST(backtrace, has_a_bound_and_still_names_the_job) {
  const backtrace b = in_job([] { return recursion(1000); });
  EXPECT_TRUE(b.truncated());
  EXPECT_EQ(count(b, backtrace::kind::coroutine), backtrace::frames_max);
  ASSERT_EQ(b.size(), backtrace::frames_max + 1);
  EXPECT_EQ(b[b.size() - 1].job_name, "it");
  const backtrace exact = in_job([] { return recursion(backtrace::frames_max - 1); });
  EXPECT_FALSE(exact.truncated());
  EXPECT_EQ(count(exact, backtrace::kind::coroutine), backtrace::frames_max);
}

}  // namespace trace_test
}  // namespace weft
