// signals: one task tells another, or many, that something is so: oneshot, a channel of one, notify, latch.
// README.md says what each measures.
#include <weft/weft.hpp>

#include <optional>

#include "measure.hpp"

namespace {

using weft::oneshot;

/// One task makes it, sends and receives.
weft::task<> answer(std::size_t n) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n; i++) {
    auto [to, from] = oneshot<std::uint64_t>();
    if (!to.send(i)) bench::wrong("a refused value");
    const auto got = co_await from.recv();
    sum += *got;
  }
  if (sum != n * (n - 1) / 2) bench::wrong("the values add up to %lu", sum);
}

/// Goes to and fro with what it is sent back by: each pass makes a oneshot.
struct ball {
  std::uint64_t passes;
  std::optional<weft::oneshot_sender<ball>> back;
};

/// Result: how often it was sent.
weft::task<std::uint64_t> play(weft::oneshot_receiver<ball> from, std::uint64_t n) {
  std::uint64_t sent = 0;
  while (true) {
    auto got = co_await from.recv();
    if (!got) co_return sent;  // the other one is done
    if (got->passes == n) co_return sent;
    auto next = oneshot<ball>();
    if (!got->back->send(ball{got->passes + 1, std::move(next.sender)}))
      bench::wrong("a lost ball");
    sent++;
    from = std::move(next.receiver);
  }
}

weft::task<> oneshot_pingpong(std::size_t n) {
  auto to_a = oneshot<ball>(), to_b = oneshot<ball>();
  if (!to_a.sender.send(ball{0, std::move(to_b.sender)})) bench::wrong("a refused value");
  auto a = weft::spawn(play, std::move(to_a.receiver), n);
  auto b = weft::spawn(play, std::move(to_b.receiver), n);
  const auto of_a = co_await a;
  const auto of_b = co_await b;
  if (of_a + of_b != n) bench::wrong("%lu passes", of_a + of_b);
}

weft::task<std::uint64_t> relay(weft::receiver<std::uint64_t> from,
                                weft::sender<std::uint64_t> to) {
  std::uint64_t sum = 0;
  while (true) {
    const auto got = co_await from.recv();
    if (!got) co_return sum;
    sum += *got;
    const auto sent = co_await to.send(*got);
    if (!sent) co_return sum;
  }
}

/// There and back are two passes.
weft::task<> pingpong(std::size_t n) {
  auto [to, from_us] = weft::channel<std::uint64_t>(1);
  auto [to_us, from] = weft::channel<std::uint64_t>(1);
  auto other = weft::spawn(relay, std::move(from_us), std::move(to_us));
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n / 2; i++) {
    const auto sent = co_await to.send(i);
    const auto got = co_await from.recv();
    if (!sent || !got) bench::wrong("it was closed");
    sum += *got;
  }
  to.close();
  const auto theirs = co_await other;
  if (sum != theirs || sum != (n / 2) * (n / 2 - 1) / 2)
    bench::wrong("the messages add up to %lu", sum);
}

struct two {
  weft::notify ping, pong;
  std::uint64_t turns = 0;  // whose turn it is has it alone
};

weft::task<> pong(two& t, std::size_t n) {
  for (std::size_t i = 0; i < n; i++) {
    co_await t.ping.wait();
    t.turns++;
    t.pong.notify_one();
  }
}

weft::task<> notify(std::size_t n) {
  two t;
  auto other = weft::spawn(pong, std::ref(t), n / 2);
  for (std::size_t i = 0; i < n / 2; i++) {
    t.turns++;
    t.ping.notify_one();
    co_await t.pong.wait();
  }
  co_await other;
  if (t.turns != n / 2 * 2) bench::wrong("%lu turns", t.turns);
}

/// For one worker: who waits next time comes to it before who notifies runs.
struct crowd {
  weft::notify all, here;
  std::size_t tasks, arrived = 0;
};

weft::task<> member(crowd& c, std::size_t rounds) {
  for (std::size_t i = 0; i < rounds; i++) {
    if (++c.arrived % c.tasks == 0) c.here.notify_one();
    co_await c.all.wait();
  }
}

weft::task<> notify_all(std::size_t n, std::size_t tasks) {
  crowd c{.tasks = tasks};
  std::vector<weft::join_handle<>> members;
  for (std::size_t t = 0; t < tasks; t++)
    members.push_back(weft::spawn(member, std::ref(c), n / tasks));
  for (std::size_t i = 0; i < n / tasks; i++) {
    co_await c.here.wait();
    c.all.notify_all();
  }
  for (auto& one : members) co_await one;
  if (c.arrived != n / tasks * tasks) bench::wrong("%zu arrived", c.arrived);
}

weft::task<> latch(std::size_t n, std::size_t tasks) {
  for (std::size_t i = 0; i < n / tasks; i++) {
    weft::latch done(tasks);
    for (std::size_t t = 0; t < tasks; t++) done.count_down();
    co_await done.wait();
  }
}

weft::task<> once(const bench::options& o) {
  if (o.what == "oneshot") {
    co_await answer(o.n);
  } else if (o.what == "oneshot-pingpong") {
    co_await oneshot_pingpong(o.n);
  } else if (o.what == "pingpong") {
    co_await pingpong(o.n);
  } else if (o.what == "notify") {
    co_await notify(o.n);
  } else if (o.what == "notify-all") {
    co_await notify_all(o.n, o.tasks);
  } else {
    co_await latch(o.n, o.tasks);
  }
}

weft::task<bench::figures> measure(bench::options o) {
  bench::figures figures;
  for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
    const auto begin = bench::now_ns();
    co_await once(o);
    if (i != 0) figures.add_ns_each(begin, o.n);
  }
  co_return figures;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(
      argc, argv, {"oneshot", "oneshot-pingpong", "pingpong", "notify", "notify-all", "latch"});
  weft::runtime rt({.workers = o.workers});
  rt.block_on(rt.spawn(measure, o)).print();
}
