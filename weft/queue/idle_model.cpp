// idle, injector, run queue and parker together: no work lies in a queue while a worker sleeps.
// Workers here do what the rules R1-R4 of idle.hpp ask, in the smallest form.
#include "weft/queue/idle.hpp"

#include "weft/queue/injector.hpp"
#include "weft/queue/parker.hpp"
#include "weft/queue/run_queue.hpp"
#include "weft/testing/model/linked_item.hpp"
#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

using model::linked_item;

constexpr unsigned workers_max = 3;

struct toy_pool {
  explicit toy_pool(model::world& w, unsigned workers, bool asymmetric = false)
      : world(w), sleepers(workers, asymmetric) {}

  model::world& world;
  injector<linked_item> queue;
  idle sleepers;
  parker parkers[workers_max];
  atomic<bool> over{false};

  void notify(idle::pusher who = idle::pusher::outsider) {
    if (const auto worker = sleepers.worker_to_notify(who))
      static_cast<void>(parkers[*worker].unpark());
  }
  void submit(linked_item& item) {
    item.prepare();
    queue.push(&item);
    if (!world.mutant("idle_model.submit_without_notify")) notify();  // R1
  }

  /// One worker until the pool is over. `find` looks for an item, `left` whether there may be one,
  /// `run` is what a job does.
  template <class Find, class Left, class Run>
  void work(unsigned me, Find find, Left left, Run run) {
    bool searching = false;
    for (;;) {
      linked_item* item = find();
      if (!item && !searching && (searching = sleepers.try_start_searching())) item = find();
      if (item) {
        if (searching && sleepers.stop_searching() && !world.mutant("idle_model.no_chain")) {
          notify(idle::pusher::worker);  // R2
        }
        searching = false;
        run(*item);
        continue;
      }
      if (over.load(order::acquire)) return;
      const bool look_again = sleepers.sleep(me, searching);
      searching = false;
      if (look_again && left() && !world.mutant("idle_model.no_second_look")) {  // R3
        if (sleepers.wake_self(me)) {
          if (!world.mutant("idle_model.second_look_without_search")) {
            searching = sleepers.try_start_searching();
          }
        } else {
          parkers[me].park();  // the call is on its way
          searching = true;
        }
        continue;
      }
      parkers[me].park();
      // Woken by worker_to_notify, or by the end of the pool, which did not take it off the list.
      // A completion of the worker's own ends a park in the same way (R4).
      searching = !world.mutant("idle_model.no_wake_self") && !sleepers.wake_self(me);
    }
  }
  template <class Run>
  void work(unsigned me, Run run) {
    work(me, [this] { return queue.pop(); }, [this] { return !queue.empty(); }, run);
  }

  void end() {
    over.store(true, order::release);
    for (parker& p : parkers) static_cast<void>(p.unpark());
  }
};

/// Lets all come to rest, looks that nothing was left lying, and ends the pool.
void come_to_rest(model::world& model, toy_pool& pool, unsigned asleep_expected) {
  const int asleep = model.run_until_idle();
  model.check(pool.queue.empty(), "work lies in the queue while a worker sleeps");
  model.check(asleep == static_cast<int>(asleep_expected),
              "a worker does not sleep, though there is no work");
  model.check(pool.sleepers.searching_hint() == 0,
              "all is at rest, and somebody still counts as searching");
  pool.end();
  model.wind_down();
}

template <unsigned N>
void check_all_run(model::world& model, linked_item (&items)[N]) {
  for (linked_item& i : items) model.check(i.was_run(), "an item was not run");
}

WEFT_MODEL_TEST(idle, one_worker_one_item,
                model::kills("idle.notify.no_fence", "idle.sleep.no_fence",
                             "idle_model.no_second_look", "idle_model.submit_without_notify")) {
  toy_pool pool(model, 1);
  linked_item items[1];
  model.thread("worker", [&] { pool.work(0, [](linked_item& i) { i.run(); }); });
  model.thread("submitter", [&] { pool.submit(items[0]); });
  come_to_rest(model, pool, 1);
  check_all_run(model, items);
}

// Where membarrier works, the last one awake does not call it: outsiders have their own fence.
WEFT_MODEL_TEST(idle, one_worker_one_item_asymmetric,
                model::kills("idle.notify.no_fence", "idle.sleep.no_fence")) {
  toy_pool pool(model, 1, true);
  linked_item items[1];
  model.thread("worker", [&] { pool.work(0, [](linked_item& i) { i.run(); }); });
  model.thread("submitter", [&] { pool.submit(items[0]); });
  come_to_rest(model, pool, 1);
  check_all_run(model, items);
}

WEFT_MODEL_TEST(idle, two_workers_one_item,
                model::kills("idle.notify.no_fence", "idle.sleep.no_fence",
                             "idle_model.no_second_look", "idle_model.submit_without_notify"),
                model::stale_max(1, "as above"),
                model::spurious_max(0, "sleeps that end for nothing are the parker's model")) {
  toy_pool pool(model, 2);
  linked_item items[1];
  for (unsigned w = 0; w < 2; ++w) {
    model.thread("worker", [&, w] { pool.work(w, [](linked_item& i) { i.run(); }); });
  }
  model.thread("submitter", [&] { pool.submit(items[0]); });
  come_to_rest(model, pool, 2);
  check_all_run(model, items);
}

// A job that never ends must not keep work from a worker that sleeps: here each job waits until all
// are running, so work that is left to a busy worker is a deadlock.
WEFT_MODEL_TEST(idle, busy_worker_keeps_no_work,
                model::kills("idle_model.no_chain", "idle.stop.never_last",
                             "idle.sleep.only_if_searching", "idle_model.no_second_look",
                             "idle.notify.not_searching", "idle.notify.trusts_the_awake",
                             "idle_model.second_look_without_search"),
                model::stale_max(1, "as above"),
                model::spurious_max(0, "sleeps that end for nothing are the parker's model")) {
  toy_pool pool(model, 2);
  linked_item items[2];
  atomic<std::uint32_t> running(0);
  const auto job = [&](linked_item& i) {
    i.run();
    const std::uint32_t n = running.fetch_add(1, order::acq_rel) + 1;
    if (n == 2) os::futex_wake(running, 2);
    while (running.load(order::acquire) < 2)
      static_cast<void>(os::futex_wait(running, 1, never_ns));
  };
  for (unsigned w = 0; w < 2; ++w) model.thread("worker", [&, w] { pool.work(w, job); });
  model.thread("submitter", [&] {
    pool.submit(items[0]);
    pool.submit(items[1]);
  });
  come_to_rest(model, pool, 2);
  check_all_run(model, items);
}

// The same handshake on a run queue: a worker pushes to its own and is then busy until a thief has
// run the item.
void busy_worker_and_thief(model::world& model, bool asymmetric) {
  toy_pool pool(model, 2, asymmetric);
  run_queue<linked_item, 2> busy, mine;
  linked_item items[1];
  atomic<std::uint32_t> ran(0);
  model.thread("busy", [&] {
    items[0].prepare();
    busy.push_back(&items[0], pool.queue);
    pool.notify(idle::pusher::worker);
    while (!ran.load(order::acquire)) static_cast<void>(os::futex_wait(ran, 0, never_ns));
  });
  model.thread("thief", [&] {
    pool.work(
        1, [&] { return busy.steal_into(mine); }, [&] { return !busy.empty_hint(); },
        [&](linked_item& i) {
          i.run();
          ran.store(1, order::release);
          os::futex_wake(ran, 1);
        });
  });
  const int asleep = model.run_until_idle();
  model.check(busy.empty_hint(), "work lies in a run queue while a worker sleeps");
  model.check(asleep == 1, "a worker does not sleep, though there is no work");
  pool.end();
  model.wind_down();
  check_all_run(model, items);
}

WEFT_MODEL_TEST(idle, work_of_a_busy_worker_is_stolen,
                model::kills("idle.notify.no_fence", "idle.sleep.no_fence",
                             "idle_model.no_second_look"),
                model::spurious_max(0, "sleeps that end for nothing are the parker's model")) {
  busy_worker_and_thief(model, false);
}

// The pusher has no fence of its own: the sleeper's is membarrier.
WEFT_MODEL_TEST(idle, work_of_a_busy_worker_is_stolen_by_one_who_pays_for_the_fence,
                model::kills("idle.sleep.no_fence", "idle_model.no_second_look"),
                model::spurious_max(0, "sleeps that end for nothing are the parker's model")) {
  busy_worker_and_thief(model, true);
}

// A worker woken by a completion of its own, while a pusher names it: it must know which of the two
// it was, or the counts go wrong.
WEFT_MODEL_TEST(idle, woken_by_its_own_completion, model::kills("idle_model.no_wake_self"),
                model::stale_max(1, "the fences are the other models' matter"),
                model::spurious_max(0, "sleeps that end for nothing are the parker's model")) {
  toy_pool pool(model, 1);
  linked_item items[1];
  model.thread("worker", [&] { pool.work(0, [](linked_item& i) { i.run(); }); });
  model.thread("submitter", [&] { pool.submit(items[0]); });
  model.thread("device", [&] { static_cast<void>(pool.parkers[0].unpark()); });
  come_to_rest(model, pool, 1);
  check_all_run(model, items);
}

}  // namespace
}  // namespace weft
