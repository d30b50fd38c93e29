// Receives that are lent a buffer: what is promised of every driver, and where the buffers come from.
#include <linux/net_tstamp.h>
#include <sys/resource.h>
#include <time.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "tests/support/quiet_poll.hpp"
#include "weft/io/each_driver_test_support.hpp"
#include "weft/io/lent_buffers.hpp"

namespace weft::io::test {
namespace {

/// One receive_lent. Also tells whose the buffer was.
class lent_request final : public awaitable_operation<lent_request, io_operation> {
 public:
  explicit lent_request(io_handle& h) noexcept {
    code = io_code::receive_lent;
    handle = &h;
  }
  ~lent_request() { static_cast<void>(take_lent()); }
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    auto& home = static_cast<loop&>(waiter.owner()->home());
    switch (home.io.submit(*this, waiter)) {
      case submitted::done:
        return ready_at_once(*this, waiter);
      case submitted::pending:
        return std::noop_coroutine();
      case submitted::stopped:
        return unwind(waiter);
    }
    std::abort();
  }
  void await_resume() const noexcept {}
};

struct answer_of {
  std::int64_t answer = unanswered;
  lent_bytes bytes;
  bool from_heap = false;
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

task<void> receive_lent(io_handle& h, answer_of& to) {
  lent_request r(h);
  co_await r;
  to.from_heap = r.lender == &heap_lender();
  to.answer = r.answer;
  to.bytes = r.take_lent();
}

class driver_lent_test : public driver_test {
 protected:
  bool kernel_chooses() const { return GetParam().buffers != 0; }
};
INSTANTIATE_TEST_SUITE_P(each, driver_lent_test, ::testing::ValuesIn(kinds),
                         [](const auto& p) { return std::string(p.param.name); });

TEST_P(driver_lent_test, gives_what_is_there_and_at_the_end_nothing) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  answer_of got;
  {
    START(receive_lent, std::ref(h), std::ref(got));
    put(p.theirs, "hello");
    jobs().run();
  }
  EXPECT_EQ(got.answer, 5);
  EXPECT_EQ(got.text(), "hello");
  EXPECT_EQ(got.from_heap, !kernel_chooses());
  put(p.theirs, "there already");
  answer_of second;
  auto again = jobs().spawn(receive_lent, std::ref(h), std::ref(second));
  jobs().run();
  EXPECT_EQ(second.text(), "there already");
  EXPECT_EQ(got.text(), "hello") << "a buffer was used again while it was lent";
  p.theirs.close();
  answer_of third;
  auto last = jobs().spawn(receive_lent, std::ref(h), std::ref(third));
  jobs().run();
  EXPECT_EQ(third.answer, 0);
  EXPECT_TRUE(third.bytes.empty());
  EXPECT_EQ(third.bytes.data(), nullptr);
}

TEST_P(driver_lent_test, while_it_waits_it_holds_no_buffer) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  std::byte* const top = borrow_from_heap();
  heap_lender().give_back(top);
  answer_of got;
  START(receive_lent, std::ref(h), std::ref(got));
  std::byte* const still = borrow_from_heap();  // the one that is taken first
  EXPECT_EQ(still, top);
  heap_lender().give_back(still);
  put(p.theirs, "x");
  jobs().run();
  EXPECT_EQ(got.text(), "x");
}

TEST_P(driver_lent_test, an_error_is_the_answer_and_lends_nothing) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  answer_of got;
  START(receive_lent, std::ref(h), std::ref(got));
  ASSERT_TRUE(os::set_reset_on_close(p.theirs.get(), true));
  p.theirs.close();
  jobs().run();
  EXPECT_EQ(got.answer, -ECONNRESET);
  EXPECT_EQ(got.bytes.data(), nullptr);
  io_handle moved = std::move(h);
  auto on_closed = jobs().spawn(receive_lent, std::ref(h), std::ref(got));
  jobs().run();
  EXPECT_EQ(got.answer, -EBADF);
}

// More than the driver has of its own: the rest gets other ones, and all stay lent meanwhile.
TEST_P(driver_lent_test, who_finds_all_buffers_lent_waits_for_bytes_only) {
  constexpr std::size_t pairs = 100;
  struct end {
    io_handle h;
    os::fd theirs;
    answer_of got;
  };
  std::vector<end> ends(pairs);
  std::vector<join_handle<void>> handles;
  for (end& e : ends) {
    socket_pair p = connected_pair();
    e.h = attach(p.ours);
    e.theirs = std::move(p.theirs);
    handles.push_back(jobs().spawn(receive_lent, std::ref(e.h), std::ref(e.got)));
  }
  jobs().settle();
  for (std::size_t i = 0; i < pairs; ++i) put(ends[i].theirs, "number " + std::to_string(i));
  jobs().run();
  std::size_t of_heap = 0;
  for (std::size_t i = 0; i < pairs; ++i) {
    EXPECT_EQ(ends[i].got.text(), "number " + std::to_string(i));
    of_heap += ends[i].got.from_heap;
  }
  EXPECT_EQ(of_heap, pairs - GetParam().buffers);
  // All back: the driver's own are lent again, to who starts now and to who waited all the time.
  answer_of waits;
  auto waiting = jobs().spawn(receive_lent, std::ref(ends[0].h), std::ref(waits));
  jobs().settle();
  for (end& e : ends) e.got.bytes.release();
  put(ends[0].theirs, "x");
  jobs().run();
  EXPECT_EQ(waits.text(), "x");
  waits.bytes.release();
  answer_of after;
  put(ends[1].theirs, "y");
  auto started = jobs().spawn(receive_lent, std::ref(ends[1].h), std::ref(after));
  jobs().run();
  EXPECT_EQ(after.text(), "y");
  EXPECT_EQ(after.from_heap, !kernel_chooses());
}

TEST_P(driver_lent_test, can_be_stopped_while_it_waits_and_leaves_the_bytes) {
  for (const bool all_lent : {false, true}) {
    std::vector<answer_of> held(GetParam().buffers);
    socket_pair p = connected_pair();
    const int fd = p.ours.get();
    io_handle h = attach(p.ours);
    for (std::size_t i = 0; all_lent && i < held.size(); ++i) {
      put(p.theirs, "z");
      auto handle = jobs().spawn(receive_lent, std::ref(h), std::ref(held[i]));
      jobs().run();
      ASSERT_EQ(held[i].answer, 1);
    }
    answer_of got;
    START(receive_lent, std::ref(h), std::ref(got));
    handle.stop();
    jobs().run();
    EXPECT_EQ(got.answer, unanswered);
    EXPECT_TRUE(io().idle() || GetParam().what == driver_kind::epoll ||
                GetParam().what == driver_kind::automatic);
    put(p.theirs, "abc");
    pollfd ready{fd, POLLIN, 0};
    ASSERT_EQ(test_support::quiet_poll(&ready, 1, 5000), 1);
    auto again = jobs().spawn(receive_lent, std::ref(h), std::ref(got));
    jobs().run();
    EXPECT_EQ(got.text(), "abc");
  }
}

TEST_P(driver_lent_test, a_stop_that_races_with_bytes_loses_neither_them_nor_a_buffer) {
  constexpr int rounds =
      400;  // each takes three threads, one after the other where there is one CPU
  socket_pair p = connected_pair();
  const int fd = p.ours.get();
  io_handle h = attach(p.ours);
  join_handle<void> handle;
  {
    racers both(
        rounds, [&](int) { put(p.theirs, "x"); },
        [&](int i) {
          for (int spin = 0; spin < (i % 64) * 20; ++spin) cpu_pause();
          handle.stop();
        });
    for (int i = 0; i < rounds; ++i) {
      answer_of got;
      handle = jobs().spawn(receive_lent, std::ref(h), std::ref(got));
      if (i % 2 == 0) jobs().settle();  // odd rounds: the stop may come while it is being started
      both.round([&] { jobs().run(); });
      char c;
      if (got.answer == unanswered) {
        pollfd ready{fd, POLLIN, 0};
        EXPECT_EQ(test_support::quiet_poll(&ready, 1, 5000), 1)
            << "round " << i << ": the byte is nowhere";
        EXPECT_EQ(::recv(fd, &c, 1, MSG_DONTWAIT), 1);
      } else {
        EXPECT_EQ(got.answer, 1);
        EXPECT_EQ(got.text(), "x");
      }
      EXPECT_EQ(::recv(fd, &c, 1, MSG_DONTWAIT), -1) << "round " << i << ": a byte came twice";
      handle = {};
    }
  }
  // As many as it had at first.
  std::vector<answer_of> all(GetParam().buffers);
  for (answer_of& one : all) {
    put(p.theirs, "y");
    auto last = jobs().spawn(receive_lent, std::ref(h), std::ref(one));
    jobs().run();
    EXPECT_EQ(one.text(), "y");
    EXPECT_FALSE(one.from_heap) << "a buffer of the driver was lost";
  }
}

/// Puts the time of a byte's departure into the queue of errors, where no receive sees it: POLLERR stays.
bool fill_queue_of_errors(int fd) {
  const int stamp = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
  if (::setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamp, sizeof stamp) != 0) return false;
  if (::send(fd, "x", 1, MSG_NOSIGNAL) != 1) return false;
  pollfd told{fd, 0, 0};
  return test_support::quiet_poll(&told, 1, 5000) == 1 && told.revents == POLLERR;
}
std::int64_t cpu_of_thread_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

TEST_P(driver_lent_test, what_is_in_the_queue_of_errors_is_no_bytes_and_costs_no_core) {
  for (const bool all_lent : {false, true}) {
    std::vector<answer_of> held(GetParam().buffers);
    socket_pair p = connected_pair();
    const int fd = p.ours.get();
    io_handle h = attach(p.ours);
    for (std::size_t i = 0; all_lent && i < held.size(); ++i) {
      put(p.theirs, "z");
      auto one = jobs().spawn(receive_lent, std::ref(h), std::ref(held[i]));
      jobs().run();
    }
    ASSERT_TRUE(fill_queue_of_errors(fd));
    {
      answer_of got;
      START(receive_lent, std::ref(h), std::ref(got));
      constexpr std::int64_t pause = 100'000'000;
      const std::int64_t before = cpu_of_thread_ns();
      EXPECT_EQ(io().wait(os::monotonic_ns() + pause), 0u);
      EXPECT_LT(cpu_of_thread_ns() - before, pause / 4) << "it asked again and again";
      put(p.theirs, "bytes");
      jobs().run();
      EXPECT_EQ(got.text(), "bytes");
    }
    // In the ring such a stop may find the request nowhere: bug_classes.md, "What is weak".
    if (GetParam().what != driver_kind::io_uring) {
      answer_of got;
      START(receive_lent, std::ref(h), std::ref(got));
      handle.stop();
      jobs().run();
      EXPECT_EQ(got.answer, unanswered);
    }
    answer_of got;
    START(receive_lent, std::ref(h), std::ref(got));
    p.theirs.close();  // the end, or a reset, as it has unread bytes: told in any case
    jobs().run();
    EXPECT_LE(got.answer, 0);
    EXPECT_NE(got.answer, unanswered);
    char room[256];
    msghdr m{};
    m.msg_control = room;
    m.msg_controllen = sizeof room;
    EXPECT_GE(::recvmsg(h.fd(), &m, MSG_ERRQUEUE | MSG_DONTWAIT), 0) << "it is the user's to read";
  }
}

/// Buffers on their way to a thread that looks at them and lets them go.
struct hand_over {
  std::mutex lock;
  std::vector<lent_bytes> pieces;
};

task<void> pass_on(io_handle& h, hand_over& to, std::size_t total) {
  for (std::size_t got = 0; got < total;) {
    lent_request r(h);
    co_await r;
    EXPECT_GT(r.answer, 0);
    if (r.answer <= 0) co_return;
    got += static_cast<std::size_t>(r.answer);
    lent_bytes piece = r.take_lent();
    const std::lock_guard held(to.lock);
    to.pieces.push_back(std::move(piece));
  }
}

TEST_P(driver_lent_test, a_stream_arrives_whole_while_other_threads_give_the_buffers_back) {
  const std::string out = pattern(4 << 20);
  socket_pair p = connected_pair(65536);
  io_handle h = attach(p.ours);
  hand_over pieces;
  std::string in;
  std::thread writer([&] { put(p.theirs, out); });
  std::thread reader([&] {
    while (in.size() < out.size()) {
      std::vector<lent_bytes> taken;
      {
        const std::lock_guard held(pieces.lock);
        taken.swap(pieces.pieces);
      }
      for (const lent_bytes& piece : taken) {
        in.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      }
      if (taken.empty()) std::this_thread::yield();
    }
  });
  auto handle = jobs().spawn(pass_on, std::ref(h), std::ref(pieces), out.size());
  jobs().run();
  writer.join();
  reader.join();
  EXPECT_TRUE(in == out);
}

TEST_P(driver_lent_test, what_is_lent_outlives_the_driver) {
  for (const bool two : {false, true}) {
    socket_pair p = connected_pair();
    answer_of first;
    answer_of second;
    {
      io_handle h = attach(p.ours);
      put(p.theirs, "kept");
      auto one = jobs().spawn(receive_lent, std::ref(h), std::ref(first));
      jobs().run();
      if (two) {
        put(p.theirs, "too");
        auto other = jobs().spawn(receive_lent, std::ref(h), std::ref(second));
        jobs().run();
      }
    }
    end_driver();
    EXPECT_EQ(first.text(), "kept");
    EXPECT_EQ(second.text(), two ? "too" : "");
    std::thread([&] { first.bytes.release(); }).join();
    EXPECT_EQ(second.text(), two ? "too" : "");
    SetUp();
  }
}

// --- Buffers of the heap

TEST(lent_buffers_test, what_comes_back_is_lent_again) {
  std::byte* const one = borrow_from_heap();
  std::byte* const two = borrow_from_heap();
  ASSERT_NE(one, two);
  heap_lender().give_back(one);
  EXPECT_EQ(borrow_from_heap(), one);
  heap_lender().give_back(one);
  heap_lender().give_back(two);
}

/// Until this thread keeps none, and there is none for all.
std::vector<lent_bytes> take_all_free() {
  std::vector<lent_bytes> taken;
  for (unsigned i = 0; i < lent_buffers_of_thread_max + lent_buffers_shared_max; ++i) {
    taken.emplace_back(heap_lender(), borrow_from_heap(), 1);
  }
  return taken;
}

TEST(lent_buffers_test, what_a_thread_kept_is_for_all_when_it_has_ended) {
  const std::vector<lent_bytes> mine = take_all_free();
  std::byte* theirs = nullptr;
  std::thread([&theirs] {
    theirs = borrow_from_heap();
    heap_lender().give_back(theirs);
  }).join();
  const lent_bytes next(heap_lender(), borrow_from_heap(), 1);
  EXPECT_EQ(next.data(), theirs);
}

TEST(lent_buffers_test, a_buffer_may_die_with_its_thread) {
  std::vector<lent_bytes> mine = take_all_free();
  std::byte* late = nullptr;
  std::thread([&late] {
    // Made before the thread keeps its first one, so destroyed after what it kept was handed over.
    thread_local std::optional<lent_bytes> last;
    last.emplace();
    late = borrow_from_heap();
    heap_lender().give_back(borrow_from_heap());
    *last = lent_bytes(heap_lender(), late, 1);
  }).join();
  const lent_bytes next(heap_lender(), borrow_from_heap(), 1);
  EXPECT_EQ(next.data(), late);
}

TEST(lent_buffers_test, a_moved_one_goes_back_once) {
  lent_bytes one(heap_lender(), borrow_from_heap(), 3);
  std::byte* const where = one.data();
  lent_bytes two = std::move(one);
  EXPECT_TRUE(one.empty());
  EXPECT_EQ(two.size(), 3u);
  lent_bytes three(heap_lender(), borrow_from_heap(), 4);
  std::byte* const other = three.data();
  three = std::move(two);
  EXPECT_EQ(three.data(), where);
  EXPECT_EQ(borrow_from_heap(), other);
  heap_lender().give_back(other);
  three.release();
  three.release();
  EXPECT_EQ(borrow_from_heap(), where);
  heap_lender().give_back(where);
}

}  // namespace
}  // namespace weft::io::test
