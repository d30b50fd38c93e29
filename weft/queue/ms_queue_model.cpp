// ms_queue under all schedules: each value comes out once, whole and in order, though nodes are
// used again at once.
#include "weft/queue/ms_queue.hpp"

#include <algorithm>
#include <vector>

#include "weft/testing/model/model.hpp"
#include "weft/testing/model/value.hpp"

namespace weft {
namespace {

using model::value;

struct tally {
  explicit tally(model::world& w) : world(w) {}
  model::world& world;
  std::uint32_t had = 0;  // a bit for each number; threads of a model are fibers
  void take(value& v) {
    world.check(v.number() >= 0, "an empty value came out");
    const std::uint32_t bit = 1u << v.number();
    world.check(!(had & bit), "a value was had twice");
    had |= bit;
  }
};

template <class Queue>
void drain(Queue& q, tally& t) {
  value v;
  while (q.try_pop(v)) t.take(v);
}

WEFT_MODEL_TEST(ms_queue, two_push_one_pops,
                model::kills("ms_queue.push.link_relaxed", "ms_queue.pop.next_relaxed"),
                model::stale_max(1, "the pool's words are stable_pool's model")) {
  model.label("queue");
  ms_queue<value, 32, 1> q;
  tally all(model);
  for (int i = 0; i < 2; ++i) model.thread("pusher", [&, i] { q.push(value(i)); });
  model.thread("popper", [&] {
    value v;
    if (q.try_pop(v)) all.take(v);
  });
  model.run();
  drain(q, all);
  model.check(all.had == 3, "a value was lost");
}

WEFT_MODEL_TEST(ms_queue, keeps_order,
                model::stale_max(1, "the orders are the other models' matter")) {
  model.label("queue");
  ms_queue<value, 32, 2> q;
  int last = -1;
  model.thread("pusher", [&] {
    for (int i = 0; i < 3; ++i) q.push(value(i));
  });
  model.thread("popper", [&] {
    value v;
    for (int i = 0; i < 3; ++i) {
      if (!q.try_pop(v)) continue;
      model.check(v.number() == last + 1, "two values changed places, or one was lost");
      last = v.number();
    }
  });
  model.run();
  value v;
  while (q.try_pop(v)) {
    model.check(v.number() == last + 1, "two values changed places, or one was lost");
    last = v.number();
  }
  model.check(last == 2, "a value was lost");
}

// Two poppers on a queue whose nodes come back at once.
WEFT_MODEL_TEST(ms_queue, two_pop_while_nodes_come_back, model::kills("ms_queue.pop.box_late"),
                model::stale_max(1, "the orders are the other models' matter")) {
  model.label("queue");
  ms_queue<value, 32, 2> q;
  tally all(model);
  q.push(value(0));
  model.thread("first", [&] {
    value v;
    if (q.try_pop(v)) all.take(v);
  });
  model.thread("second", [&] {
    q.push(value(1));
    value v;
    for (int i = 0; i < 2; ++i) {
      if (q.try_pop(v)) all.take(v);
    }
    q.push(value(2));
  });
  model.run();
  drain(q, all);
  model.check(all.had == 7, "a value was lost");
}

// There is always something in the queue, so nobody may be told that it is empty.
WEFT_MODEL_TEST(ms_queue, is_not_empty_while_there_is_something,
                model::kills("ms_queue.pop.looks_once", "ms_queue.pop.tail_late",
                             "ms_queue.push.prepare_relaxed"),
                model::stale_max(1, "the orders are the other models' matter")) {
  model.label("queue");
  ms_queue<value, 32, 2> q;
  tally all(model);
  for (int i = 0; i < 2; ++i) q.push(value(i));
  model.thread("popper", [&] {
    value v;
    const bool some = q.try_pop(v);
    model.check(some, "told that it is empty, and it never was");
    all.take(v);
  });
  model.thread("owner", [&] {
    value v;
    if (q.try_pop(v)) all.take(v);
    q.push(value(2));
    if (q.try_pop(v)) all.take(v);
    q.push(value(3));
  });
  model.run();
  drain(q, all);
  model.check(all.had == 15, "a value was lost");
}

// A push whose look at the last node is old: it has gone, and somebody else prepares it anew.
WEFT_MODEL_TEST(ms_queue, push_behind_a_node_that_is_gone, model::kills("ms_queue.push.looks_once"),
                model::stale_max(1, "the orders are the other models' matter")) {
  model.label("queue");
  ms_queue<value, 32, 2> q;
  std::vector<int> came;
  value v;
  model.thread("pusher", [&] {
    q.push(value(0));
    q.push(value(1));
  });
  model.thread("owner", [&] {
    q.push(value(2));
    if (q.try_pop(v)) came.push_back(v.number());
    q.push(value(3));
  });
  model.run();
  while (q.try_pop(v)) came.push_back(v.number());
  const auto place = [&](int number) { return std::find(came.begin(), came.end(), number); };
  model.check(came.size() == 4, "a value was lost");
  model.check(place(0) < place(1) && place(2) < place(3), "two values changed places");
}

// A pop meets a push that has linked its node and not yet moved the tail.
WEFT_MODEL_TEST(ms_queue, pop_behind_a_slow_push, model::kills("ms_queue.pop.passes_tail"),
                model::stale_max(1, "the orders are the other models' matter")) {
  model.label("queue");
  ms_queue<value, 32, 2> q;
  tally all(model);
  model.thread("slow", [&] { q.push(value(0)); });
  model.thread("owner", [&] {
    value v;
    if (q.try_pop(v)) all.take(v);
    q.push(value(1));
    if (q.try_pop(v)) all.take(v);
  });
  model.run();
  drain(q, all);
  model.check(all.had == 3, "a value was lost");
}

// The last node lies in a chunk of the pool that this pusher has never heard of.
WEFT_MODEL_TEST(ms_queue, push_behind_a_node_of_a_new_chunk,
                model::kills("ms_queue.push.tail_relaxed", "ms_queue.help.relaxed")) {
  model.label("queue");
  ms_queue<value, 32, 1> q;
  tally all(model);
  value v;
  q.push(value(0));
  if (q.try_pop(v)) all.take(v);
  model.thread("knows little", [&] { q.push(value(1)); });
  model.thread("grows", [&] {
    q.push(value(2));
    q.push(value(3));
  });
  model.run();
  drain(q, all);
  model.check(all.had == 15, "a value was lost");
}
WEFT_MODEL_TEST(ms_queue, pop_behind_a_node_of_a_new_chunk,
                model::kills("ms_queue.pop.head_relaxed", "ms_queue.pop.advance_relaxed")) {
  model.label("queue");
  ms_queue<value, 32, 1> q;
  tally all(model);
  model.thread("knows nothing", [&] {
    value v;
    if (q.try_pop(v)) all.take(v);
  });
  model.thread("grows", [&] {
    value v;
    q.push(value(0));
    if (q.try_pop(v)) all.take(v);
    q.push(value(1));
  });
  model.run();
  drain(q, all);
  model.check(all.had == 3, "a value was lost");
}

WEFT_MODEL_TEST(ms_queue, pusher_or_sleeper_sees_the_other,
                model::kills("ms_queue_model.pusher_fence", "ms_queue_model.sleeper_fence")) {
  model.label("queue");
  ms_queue<value, 32, 2> q;
  atomic<bool> asleep(false);
  bool pusher_saw = false, sleeper_saw = false;
  model.thread("pusher", [&] {
    q.push(value(0));
    if (!model.mutant("ms_queue_model.pusher_fence")) fence(order::seq_cst);
    pusher_saw = asleep.load(order::relaxed);
  });
  model.thread("sleeper", [&] {
    asleep.store(true, order::relaxed);
    if (!model.mutant("ms_queue_model.sleeper_fence")) fence(order::seq_cst);
    sleeper_saw = !q.empty();
  });
  model.run();
  model.check(pusher_saw || sleeper_saw, "a value lies there and its taker sleeps");
}

// A popper sleeps while the dummy that it saw goes round and is the dummy again, before another
// node.
template <unsigned TagBits>
void dummy_comes_back(model::world& model) {
  model.label("queue");
  ms_queue<value, TagBits, 2> q;
  tally all(model);
  q.push(value(0));
  model.thread("sleepy", [&] {
    value v;
    if (q.try_pop(v)) all.take(v);
  });
  model.thread("owner", [&] {
    value v;
    if (q.try_pop(v)) all.take(v);
    q.push(value(1));
    q.push(value(2));
    if (q.try_pop(v)) all.take(v);
  });
  model.run();
  drain(q, all);
  model.check(all.had == 7, "a value was lost");
}
WEFT_MODEL_TEST(ms_queue, aba_is_found_with_1_bit, model::expects_bug("data race"),
                model::stale_max(0, "what counts here is who moves when")) {
  dummy_comes_back<1>(model);
}
WEFT_MODEL_TEST(ms_queue, no_aba_with_8_bits,
                model::stale_max(0, "what counts here is who moves when")) {
  dummy_comes_back<8>(model);
}

}  // namespace
}  // namespace weft
