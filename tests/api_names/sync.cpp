// Synchronisation and channels.
#include <atomic>
#include <vector>

#include "api_names.hpp"

using namespace std::chrono_literals;

namespace {

weft::task<int> load(int n) { co_return n; }

}  // namespace

weft::task<> synchronisation() {
  weft::mutex m;
  {
    const auto held = co_await m.lock();
    CHECK(!m.try_lock());
  }
  weft::shared_mutex shared;
  {
    const auto reading = co_await shared.lock_shared();
    CHECK(shared.try_lock_shared());
    CHECK(!shared.try_lock());
  }
  {
    const auto writing = co_await shared.lock();
  }

  weft::semaphore slots(3);
  co_await slots.acquire(2);
  CHECK(slots.try_acquire());
  slots.release(3);
  co_await slots.acquire();
  slots.release();

  weft::condition_variable changed;
  int items = 0;
  auto consumer = weft::spawn([&]() -> weft::task<int> {
    auto held = co_await m.lock();
    co_await changed.wait(held, [&] { return items != 0; });
    co_return items;
  });
  {
    const auto held = co_await m.lock();
    items = 1;
  }
  changed.notify_one();
  changed.notify_all();
  const int seen = co_await consumer;
  CHECK(seen == 1);

  weft::barrier step(1);
  const bool last = co_await step.arrive_and_wait();
  CHECK(last);
  weft::latch done(1);
  done.count_down();
  co_await done.wait();

  weft::once first;
  int calls = 0;
  for (int i = 0; i < 2; ++i) co_await first.call([&] { ++calls; });
  CHECK(calls == 1 && first.done());
  weft::once_cell<int> cell;
  CHECK(cell.get() == nullptr);
  const int& made = co_await cell.get_or_init(load, 5);
  CHECK(made == 5);

  weft::event ready(weft::event::manual_reset);
  ready.set();
  co_await ready.wait();
  ready.reset();
  weft::event turn(weft::event::auto_reset);
  turn.set();
  co_await turn.wait();
  CHECK(!turn.try_wait());

  weft::notify news;
  news.notify_one();
  co_await news.wait();
  news.notify_all();
#if HAS_RATE_LIMITER
  weft::rate_limiter limiter(1000, 2);
  co_await limiter.acquire(2);
  CHECK(!limiter.try_acquire(2));
#endif
#if HAS_FUTEX
  std::atomic<std::uint32_t> word = 0;
  co_await weft::futex_wait(word, 1);
  weft::futex_wake(word, 1);
#endif
}

weft::task<> channels() {
  auto [tx, rx] = weft::channel<int>(2);
  const auto sent = co_await tx.send(1);
  CHECK(sent);
  CHECK(tx.try_send(2));
  auto full = tx.try_send(3);
  CHECK(!full && full.refused() == 3);
  const std::optional<int> got = co_await rx.recv();
  CHECK(got == 1);
  CHECK(rx.try_recv() == 2);
  for (int i = 0; i < 2; ++i) CHECK(tx.try_send(i));
  std::vector<int> out;
  const std::size_t n = co_await rx.recv_many(out, 10);
  CHECK(n == 2 && out.size() == 2);
  tx.close();
  auto closed = co_await tx.send(4);
  CHECK(!closed && closed.refused() == 4);

  auto [meets, met] = weft::channel<int>(0);
  auto sending = weft::spawn(
      [](weft::sender<int> to) -> weft::task<bool> {
        const auto taken = co_await to.send(7);
        co_return taken.has_value();
      },
      meets);
  const std::optional<int> handed = co_await met.recv();
  const bool taken = co_await sending;
  CHECK(handed == 7 && taken);

  auto [many, from] = weft::unbounded<int>();
  for (int i = 0; i < 100; ++i) CHECK(many.try_send(i));
  CHECK(from.size() == 100);

  auto [answer, answered] = weft::oneshot<int>();
  CHECK(answer.send(42));
  const std::optional<int> one = co_await answered.recv();
  CHECK(one == 42);
#if HAS_BROADCAST
  auto [teller, listener] = weft::broadcast<int>(4);
  auto second = teller.subscribe();
  CHECK(teller.send(5) == 2);
  const auto heard = co_await listener.recv();
  const auto heard_too = co_await second.recv();
  CHECK(heard == 5 && heard_too == 5);
#endif
#if HAS_WATCH
  auto [setter, watcher] = weft::watch<int>(1);
  setter.send(2);
  const bool newer = co_await watcher.changed();
  CHECK(newer && *watcher.borrow() == 2);
#endif
#if HAS_MESSAGE_QUEUE
  weft::message_queue<int> queue(1, weft::overflow::drop_oldest);
  for (int i = 0; i < 2; ++i) {
    const auto queued = co_await queue.send(i);
    CHECK(queued);
  }
  const std::optional<int> newest = co_await queue.recv();
  CHECK(newest == 1 && queue.stats().dropped == 1 && queue.stats().high_water == 1);
#endif
#if HAS_SHARED_MEMORY
  alignas(64) static std::byte memory[2][65536];
  auto shared = weft::value(weft::shared_queue<int>::create_at(memory[0], 4));
  const auto shared_sent = co_await shared.send(3);
  const auto shared_got = co_await shared.recv();
  CHECK(shared_sent && shared_got == 3);
  auto permits = weft::value(weft::shared_semaphore::create_at(memory[1], 2));
  co_await permits.acquire(2);
  permits.release(2);
#endif
}
