// Accounts of frames, switched on before the first frame: what is booked to whom, to the byte.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <vector>
#include <weft/weft.hpp>

namespace weft {
namespace {

using namespace std::chrono_literals;

[[maybe_unused]] const bool switched_on = [] {
  switch_frame_accounts_on();
  switch_frame_accounts_on();  // does nothing
  return true;
}();

constexpr std::size_t as_block(std::size_t bytes) {
  return bytes <= detail::pooled_frame_bytes_max
             ? detail::frame_class_bytes(detail::frame_class_of(bytes))
             : (bytes + 63) / 64 * 64;
}
/// Of the job that runs f(args...).
template <class F, class... A>
constexpr std::size_t job_bytes(F, A...) {
  return as_block(sizeof(
      detail::root_of<detail::spawned_value_t<F, A...>, detail::call_body<std::decay_t<F>, A...>>));
}

/// Runs f(args...) in a job that has `account`, and joins it.
template <class F, class... A>
task<> in_account(frame_account* account, F f, A... args) {
  auto job = spawn(spawn_options{.account = account}, f, args...);
  co_await job;
}
template <class F, class... A>
void run_in(frame_account& account, unsigned workers, F f, A... args) {
  runtime rt({.workers = workers});
  rt.block_on(in_account(&account, f, args...));
}
void expect_all_back(const frame_account& account) {
  EXPECT_EQ(account.bytes(), 0u);
  EXPECT_EQ(account.blocks(), 0u);
}

task<> nothing() { co_return; }
task<> yields() { co_await yield_now(); }
void plain() {}

TEST(frame_account, counts_frames_of_all_sizes_as_their_blocks) {
  EXPECT_TRUE(frame_accounts_on());
  frame_account account;
  run_in(
      account, 1,
      [](frame_account* a) -> task<> {
        for (const std::size_t bytes :
             {1uz, 64uz, 65uz, 1984uz, 1985uz, 2048uz, 2049uz, 100'000uz}) {
          const std::size_t own = a->bytes();
          void* const frame = allocate_frame(bytes);
          const std::size_t as_asked = std::min<std::size_t>(bytes & -bytes, 64);
          EXPECT_EQ(reinterpret_cast<std::uintptr_t>(frame) % as_asked, 0u) << bytes;
          std::memset(frame, 0x5a, bytes);
          EXPECT_EQ(a->bytes() - own, as_block(bytes));
          free_frame(frame, bytes);
          EXPECT_EQ(a->bytes(), own);
        }
        co_return;
      },
      &account);
  EXPECT_GE(account.most_bytes(), 100'000u);
  expect_all_back(account);
}

TEST(frame_account, is_found_in_the_running_job_and_nowhere_else) {
  frame_account account;
  EXPECT_FALSE(account.is_current());
  run_in(
      account, 2,
      [](frame_account* mine) -> task<> {
        EXPECT_TRUE(mine->is_current());
        co_await yield_now();
        EXPECT_TRUE(mine->is_current());
      },
      &account);
  runtime rt({.workers = 1});
  rt.block_on([](frame_account* none) -> task<> {
    EXPECT_FALSE(none->is_current());
    co_return;
  }(&account));
  rt.block_on(rt.spawn({.account = &account}, [&account] { EXPECT_TRUE(account.is_current()); }));
  expect_all_back(account);
}

TEST(frame_account, most_is_exact_for_a_known_program) {
  frame_account account;
  const std::size_t one = job_bytes(&plain);
  run_in(
      account, 1,
      [](frame_account* a, std::size_t each) -> task<> {
        const std::size_t own = a->bytes();
        const std::size_t own_blocks = a->blocks();
        EXPECT_EQ(own_blocks, 2u);  // the job and its frame
        {
          std::vector<join_handle<>> jobs;
          for (int i = 0; i < 10; ++i) jobs.push_back(spawn(&plain));
          EXPECT_EQ(a->bytes(), own + 10 * each);
          EXPECT_EQ(a->blocks(), own_blocks + 10);
          for (auto& j : jobs) co_await j;
        }
        EXPECT_EQ(a->bytes(), own);
        EXPECT_EQ(a->most_bytes(), own + 10 * each);
        a->forget_most();
        EXPECT_EQ(a->most_bytes(), own);
        for (int i = 0; i < 10; ++i) {  // one after the other
          auto j = spawn(&plain);
          co_await j;
        }
        EXPECT_EQ(a->most_bytes(), own + each);
      },
      &account, one);
  expect_all_back(account);
}

TEST(frame_account, is_inherited_through_generations_of_spawn) {
  frame_account account;
  struct tree {
    static task<> grow(frame_account* mine, int depth) {
      EXPECT_TRUE(mine->is_current());
      if (depth == 0) co_return;
      auto a = spawn(grow, mine, depth - 1);
      auto b = spawn(grow, mine, depth - 1);
      co_await a;
      co_await b;
    }
  };
  run_in(account, 2, &tree::grow, &account, 8);
  // A chain of nine is alive at some moment, each with a frame.
  EXPECT_GT(account.most_bytes(), 9 * 2 * 64u);
  expect_all_back(account);
}

TEST(frame_account, is_inherited_by_when_all_and_timeout) {
  frame_account account;
  struct each {
    static task<int> look(frame_account* mine) {
      EXPECT_TRUE(mine->is_current());
      co_await yield_now();
      EXPECT_TRUE(mine->is_current());
      co_return 1;
    }
  };
  run_in(
      account, 2,
      [](frame_account* mine) -> task<> {
        auto [a, b, c] = co_await when_all(each::look(mine), each::look(mine), each::look(mine));
        EXPECT_EQ(a + b + c, 3);
        const std::vector<int> some(20);
        const auto all = co_await when_all(some, [mine](int) { return each::look(mine); });
        EXPECT_EQ(all.size(), 20u);
        const auto timed = co_await timeout(1h, each::look(mine));
        EXPECT_EQ(timed.value_or(0), 1);
        const auto late = co_await timeout(1ns, [](frame_account* m) -> task<> {
          co_await sleep_for(1h);
          EXPECT_TRUE(m->is_current());
        }(mine));
        EXPECT_FALSE(late.has_value());
        EXPECT_TRUE(mine->is_current());
      },
      &account);
  expect_all_back(account);
}

/// Parts that are there until both run: so one of them was stolen.
struct meeting {
  std::atomic<int> here{0};
  frame_account* account = nullptr;
  std::thread::id threads[2];
  task<> part(int i) {
    EXPECT_TRUE(account->is_current());
    threads[i] = std::this_thread::get_id();
    ++here;
    while (here != 2) std::this_thread::yield();
    co_await nothing();
    EXPECT_TRUE(account->is_current());
  }
};

TEST(frame_account, is_inherited_by_a_scope_its_body_and_its_children) {
  frame_account account;
  struct tree {
    static task<> child(frame_account* mine) {
      EXPECT_TRUE(mine->is_current());
      co_await yield_now();
      EXPECT_TRUE(mine->is_current());
    }
    static task<> run(frame_account* mine) {
      const auto body = [mine](scope_ref s) -> task<> {
        EXPECT_TRUE(mine->is_current());
        s.spawn(child, mine);
        s.spawn(child, mine);
        co_await child(mine);
      };
      co_await scope(body);
    }
  };
  run_in(account, 2, &tree::run, &account);
  expect_all_back(account);
}

const task_local<int> request_number;
task<int> number_in_a_child() {
  int seen = 0;
  co_await scope([&](scope_ref s) -> task<> {
    s.spawn([&seen]() -> task<> {
      seen = request_number.value_or(0);
      co_return;
    });
    co_return;
  });
  const auto chosen = co_await select(yields(), never());
  EXPECT_EQ(chosen.index(), 0u);
  co_return seen;
}
task<> with_a_number() {
  const int seen = co_await request_number.with(7, number_in_a_child());
  EXPECT_EQ(seen, 7);
}
// The body of a scope is a job in the scope's own frame, and inherits before it is complete.
TEST(frame_account, of_jobs_that_inherit_a_task_local_comes_back_to_nothing) {
  frame_account account;
  for (const unsigned workers : {1u, 2u}) run_in(account, workers, with_a_number);
  EXPECT_EQ(account.bytes(), 0u);
}

TEST(frame_account, of_a_stolen_branch_is_that_of_who_forked) {
  frame_account account;
  meeting m;
  m.account = &account;
  run_in(
      account, 2,
      [](meeting* at) -> task<> {
        const std::size_t own = at->account->blocks();
        co_await fork_join([at] { return at->part(0); }, [at] { return at->part(1); });
        EXPECT_EQ(at->account->blocks(), own);
      },
      &m);
  EXPECT_NE(m.threads[0], m.threads[1]);
  expect_all_back(account);
}

task<std::uint64_t> fib(unsigned n, frame_account* mine) {
  if (!mine->is_current()) ADD_FAILURE();
  if (n < 2) co_return n;
  auto [a, b] =
      co_await fork_join([=] { return fib(n - 1, mine); }, [=] { return fib(n - 2, mine); });
  co_return a + b;
}
TEST(frame_account, of_many_stolen_branches_comes_back_to_nothing) {
  frame_account root;
  frame_account left({.parent = &root}), right({.parent = &root});
  runtime rt({.workers = 4});
  for (int round = 0; round < 5; ++round) {
    auto a = rt.spawn({.account = &left}, fib, 15u, &left);
    auto b = rt.spawn({.account = &right}, fib, 14u, &right);
    EXPECT_EQ(rt.block_on(a), 610u);
    EXPECT_EQ(rt.block_on(b), 377u);
  }
  EXPECT_GE(root.most_bytes(), left.most_bytes());
  EXPECT_GE(root.most_bytes(), right.most_bytes());
  // Beside those that are in one of them, the root has what a thread books in or out just now.
  constexpr std::size_t threads = 5;
  EXPECT_LE(root.most_bytes(),
            left.most_bytes() + right.most_bytes() + threads * detail::pooled_frame_bytes_max);
  for (auto* account : {&root, &left, &right}) expect_all_back(*account);
}

TEST(frame_account, of_a_parallel_loop_is_that_of_its_job) {
  frame_account account;
  run_in(
      account, 3,
      [](frame_account* mine) -> task<> {
        std::vector<int> numbers(10'000, 1);
        co_await parallel_for(numbers, [mine](int& n) {
          if (mine->is_current()) ++n;
        });
        for (const int n : numbers) EXPECT_EQ(n, 2);
      },
      &account);
  expect_all_back(account);
}

TEST(frame_account, frame_freed_on_another_thread_is_booked_out_of_where_it_was_taken) {
  frame_account mine, theirs;
  void* frame = nullptr;
  runtime rt({.workers = 2});
  rt.block_on(rt.spawn({.account = &mine}, [&] { frame = allocate_frame(300); }));
  EXPECT_EQ(mine.bytes(), as_block(300));
  EXPECT_EQ(mine.blocks(), 1u);
  rt.block_on(rt.spawn({.account = &theirs}, [&] { free_frame(frame, 300); }));
  expect_all_back(mine);
  rt.block_on(rt.spawn({.account = &mine}, [&] { frame = allocate_frame(300); }));
  std::thread([&] { free_frame(frame, 300); }).join();
  expect_all_back(mine);
  expect_all_back(theirs);
  EXPECT_EQ(theirs.most_bytes(), mine.most_bytes() - as_block(300));
}

TEST(frame_account, rolls_up_into_its_parents) {
  frame_account server;
  frame_account connection({.parent = &server});
  frame_account request({.parent = &connection});
  run_in(
      connection, 1,
      [](frame_account* c, frame_account* r) -> task<> {
        const std::size_t own = c->bytes();
        auto job = spawn(spawn_options{.account = r}, &plain);
        EXPECT_EQ(r->bytes(), job_bytes(&plain));
        EXPECT_EQ(c->bytes(), own + r->bytes());
        co_await job;
      },
      &connection, &request);
  EXPECT_EQ(request.most_bytes(), job_bytes(&plain));
  EXPECT_EQ(server.most_bytes(), connection.most_bytes());
  for (auto* account : {&server, &connection, &request}) expect_all_back(*account);
}

struct alignas(256) wide {
  unsigned char bytes[256] = {};
};
TEST(frame_account, job_with_an_over_aligned_argument_is_counted_and_inherits) {
  frame_account account;
  run_in(
      account, 1,
      [](frame_account* mine) -> task<> {
        const std::size_t own = mine->bytes();
        auto job = spawn(
            [mine](const wide& w) {
              EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&w) % 256, 0u);
              EXPECT_TRUE(mine->is_current());
            },
            wide());
        EXPECT_GE(mine->bytes(), own + 512);
        co_await job;
        job = {};
        EXPECT_EQ(mine->bytes(), own);
      },
      &account);
  expect_all_back(account);
}

TEST(frame_account, stopped_tree_comes_back_to_nothing) {
  frame_account account;
  runtime rt({.workers = 2});
  struct sleepers {
    static task<> sleep() { co_await sleep_for(1h); }
    static task<> many() {
      std::vector<join_handle<>> jobs;
      for (int i = 0; i < 100; ++i) jobs.push_back(spawn(sleep));
      co_await when_all(sleep(), timeout(1h, sleep()));
    }
  };
  auto tree = rt.spawn({.account = &account}, &sleepers::many);
  while (account.blocks() < 200) std::this_thread::yield();
  tree.stop();
  EXPECT_THROW(rt.block_on(tree), error);
  tree = {};
  EXPECT_TRUE(rt.shutdown(10s).has_value());
  while (account.blocks() != 0) std::this_thread::yield();  // of jobs that nobody joined
  expect_all_back(account);
}

task<int> takes_a_frame(int depth) {
  if (depth == 0) co_return 0;
  const int below = co_await takes_a_frame(depth - 1);
  co_return below + 1;
}

TEST(frame_account, limit_is_refused_where_the_coroutine_is_called_and_the_job_goes_on) {
  frame_account account({.bytes_limit = 4096});
  run_in(
      account, 1,
      [](frame_account* mine) -> task<> {
        const std::size_t own = mine->bytes();
        bool refused = false;
        try {
          static_cast<void>(co_await takes_a_frame(1000));
        } catch (const frame_limit_error& e) {
          refused = std::string_view(e.what()).contains("bytes_limit");
        }
        EXPECT_TRUE(refused);
        EXPECT_EQ(mine->bytes(), own);  // the frames below are gone
        EXPECT_LE(mine->most_bytes(), 4096u);
        EXPECT_GT(mine->most_bytes(), 4096u - 512);
        const int few = co_await takes_a_frame(3);
        EXPECT_EQ(few, 3);
        std::vector<join_handle<>> jobs;
        EXPECT_THROW(for (int i = 0; i < 1000; ++i) jobs.push_back(spawn(yields)), std::bad_alloc);
        for (auto& j : jobs) {
          const auto how = co_await j.outcome();  // those that had no room for their frame say so
          EXPECT_FALSE(how.stopped());
        }
      },
      &account);
  expect_all_back(account);
}

task<int> doubled_in_time() {
  co_return co_await then(timeout(1h, yields()), [](const result<void>&) { return 2; });
}
// A combinator around one that needs memory hands the refusal on, wherever it comes.
TEST(frame_account, limit_is_refused_through_a_combinator_and_the_program_goes_on) {
  runtime rt({.workers = 1});
  int given = 0;
  int refused = 0;
  for (std::size_t limit = 64; limit <= 2048; limit += 64) {
    frame_account account({.bytes_limit = limit});
    const auto attempt = [&]() -> task<> {
      try {
        auto job = spawn(spawn_options{.account = &account}, doubled_in_time);
        const int two = co_await job;
        given += two == 2;
      } catch (const std::bad_alloc&) {
        ++refused;
      }
    };
    rt.block_on(attempt());
    EXPECT_EQ(account.bytes(), 0u) << limit;
  }
  EXPECT_GT(given, 0);
  EXPECT_GT(refused, 1);  // where the job is made, and later
}

TEST(frame_account, limit_is_met_to_the_byte) {
  runtime rt({.workers = 1});
  std::size_t size = 0;
  auto try_it = [&size] {
    void* const frame = allocate_frame(size);
    free_frame(frame, size);
  };
  frame_account exact({.bytes_limit = job_bytes(try_it) + 1024});
  size = 1024;
  rt.block_on(rt.spawn({.account = &exact}, try_it));
  EXPECT_EQ(exact.most_bytes(), job_bytes(try_it) + 1024);
  size = 1025;
  EXPECT_THROW(rt.block_on(rt.spawn({.account = &exact}, try_it)), frame_limit_error);
  expect_all_back(exact);
}

TEST(frame_account, limit_of_a_parent_refuses_and_leaves_the_child_as_it_was) {
  frame_account parent({.bytes_limit = 2048});
  frame_account child({.parent = &parent});
  run_in(
      child, 1,
      [](frame_account* mine) -> task<> {
        const std::size_t own = mine->bytes();
        EXPECT_THROW(static_cast<void>(allocate_frame(2048)), frame_limit_error);
        EXPECT_EQ(mine->bytes(), own);
        EXPECT_EQ(mine->most_bytes(), own);
        co_return;
      },
      &child);
  expect_all_back(child);
  expect_all_back(parent);
}

// What awaits several things at once does not end the program at the limit, but says so.
TEST(frame_account, forks_at_the_limit_run_or_throw) {
  for (std::size_t limit = 512; limit < 8192; limit += 64) {
    frame_account account({.bytes_limit = limit});
    runtime rt({.workers = 2});
    auto job = rt.spawn(
        {.account = nullptr},
        [](frame_account* mine) -> task<> {
          auto tree = spawn(spawn_options{.account = mine}, []() -> task<> {
            auto [a, b] = co_await fork_join([] { return takes_a_frame(5); },
                                             [] { return takes_a_frame(5); });
            auto [c, d] = co_await when_all(takes_a_frame(4), takes_a_frame(4));
            const auto e = co_await timeout(1h, takes_a_frame(3));
            EXPECT_EQ(a + b + c + d + e.value_or(0), 21);
            std::vector<int> numbers(64);
            co_await parallel_for(numbers, [](int& n) { n = 1; }, 4);
          });
          const auto how = co_await tree.outcome();
          EXPECT_FALSE(how.stopped());
        },
        &account);
    rt.block_on(job);
    expect_all_back(account);
  }
}

struct notices {
  std::atomic<int> times{0};
  static void count(void* self) noexcept { static_cast<notices*>(self)->times.fetch_add(1); }
};

TEST(frame_account, notice_comes_once_however_many_threads_pass_the_bound) {
  notices told;
  frame_account account({.notice_bytes = 20'000, .notice = &notices::count, .context = &told});
  runtime rt({.workers = 4});
  std::vector<join_handle<>> jobs;
  for (int i = 0; i < 50; ++i) jobs.push_back(rt.spawn({.account = &account}, &plain));
  for (auto& j : jobs) rt.block_on(j);
  jobs.clear();
  EXPECT_EQ(told.times, 0);
  EXPECT_LE(account.most_bytes(), 20'000u);
  for (int round = 1; round <= 2; ++round) {
    account.forget_most();
    for (int i = 0; i < 2000; ++i) jobs.push_back(rt.spawn({.account = &account}, yields));
    for (auto& j : jobs) rt.block_on(j);
    jobs.clear();
    EXPECT_EQ(told.times, round);
  }
  expect_all_back(account);
}

TEST(frame_account, notice_may_stop_the_tree) {
  struct greedy {
    static task<> eat() {
      std::vector<join_handle<>> jobs;
      for (;;) {
        jobs.push_back(spawn([]() -> task<> { co_await sleep_for(1h); }));
        co_await yield_now();
      }
    }
    static void stop(void* tree) noexcept { static_cast<join_handle<>*>(tree)->stop(); }
  };
  join_handle<> tree;
  frame_account account({.notice_bytes = 100'000, .notice = &greedy::stop, .context = &tree});
  runtime rt({.workers = 1, .mode = scheduling::current_thread});
  tree = rt.spawn({.account = &account}, &greedy::eat);
  EXPECT_THROW(rt.block_on(tree), error);
  tree = {};
  EXPECT_TRUE(rt.shutdown(10s).has_value());
  EXPECT_LT(account.most_bytes(), 102'000u);
  expect_all_back(account);
}

TEST(frame_account, made_in_a_job_is_part_of_its_account) {
  frame_account tree;
  run_in(
      tree, 1,
      [](frame_account* outer) -> task<> {
        const std::size_t own = outer->bytes();
        frame_account inner;
        auto job = spawn(spawn_options{.account = &inner}, &plain);
        EXPECT_EQ(inner.bytes(), job_bytes(&plain));
        EXPECT_EQ(outer->bytes(), own + job_bytes(&plain));
        co_await job;
      },
      &tree);
  expect_all_back(tree);
}

TEST(frame_account, may_go_before_its_tree_which_its_parents_still_count) {
  void* frame = nullptr;
  frame_account grandparent;
  {
    runtime rt({.workers = 1});
    auto parent = std::make_unique<frame_account>(frame_account_options{.parent = &grandparent});
    auto account = std::make_unique<frame_account>(frame_account_options{.parent = parent.get()});
    parent.reset();
    rt.block_on(rt.spawn({.account = account.get()}, [&frame] { frame = allocate_frame(64); }));
    EXPECT_EQ(grandparent.bytes(), 64u);
    auto job = rt.spawn({.account = account.get()}, yields);
    account.reset();
    rt.block_on(job);
  }
  EXPECT_EQ(grandparent.bytes(), 64u);
  EXPECT_EQ(grandparent.blocks(), 1u);
  free_frame(frame, 64);
  expect_all_back(grandparent);
}

TEST(frame_account, that_is_gone_gives_no_notice) {
  runtime rt({.workers = 2});
  for (int round = 0; round < 200; ++round) {
    auto told = std::make_unique<notices>();
    auto account = std::make_unique<frame_account>(frame_account_options{
        .notice_bytes = 500, .notice = &notices::count, .context = told.get()});
    auto job = rt.spawn({.account = account.get()}, takes_a_frame, 20);
    if (round % 2 == 0) std::this_thread::yield();
    account.reset();
    told.reset();  // ASan sees a notice that comes later
    EXPECT_EQ(rt.block_on(job), 20);
  }
}

TEST(frame_account, plain_block_on_has_none_and_what_it_spawns_may_have_one) {
  frame_account account;
  block_on([](frame_account* a) -> task<> {
    EXPECT_FALSE(a->is_current());
    auto job = spawn(spawn_options{.account = a}, [a] { EXPECT_TRUE(a->is_current()); });
    co_await job;
  }(&account));
  EXPECT_NE(account.most_bytes(), 0u);
  expect_all_back(account);
}

}  // namespace
}  // namespace weft
