// run_queue under all schedules: nothing lost, nothing had twice, no slot read while it is written.
#include "weft/queue/run_queue.hpp"

#include "weft/testing/model/linked_item.hpp"
#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

using model::linked_item;

/// The owner's overflow: here only a list to be counted at the end.
struct list_sink {
  linked_item* first = nullptr;
  linked_item* last = nullptr;
  unsigned batches = 0;
  void push_batch(linked_item* f, linked_item* l, unsigned) {
    l->next = nullptr;
    if (last) {
      last->next = f;
    } else {
      first = f;
    }
    last = l;
    ++batches;
  }
  void run_all() {
    for (linked_item* i = first; i; i = i->next) i->run();
  }
};

template <class Queue>
void drain(Queue& q) {
  while (linked_item* i = q.pop()) i->run();
}

template <class Queue>
void steal_and_run(Queue& from) {
  Queue mine;
  if (linked_item* i = from.steal_into(mine)) i->run();
  drain(mine);
}

template <unsigned N>
void check_all_run(model::world& model, linked_item (&items)[N], unsigned count = N) {
  for (unsigned i = 0; i < count; ++i) model.check(items[i].was_run(), "an item was lost");
}

template <class Queue>
void push(Queue& q, linked_item& item, list_sink& sink) {
  item.prepare();
  q.push_back(&item, sink);
}

WEFT_MODEL_TEST(run_queue, pop_against_two_thieves,
                model::kills("run_queue.push.tail_relaxed", "run_queue.steal.tail_relaxed",
                             "run_queue.steal.two_thieves")) {
  model.label("queue");
  run_queue<linked_item, 4> q;
  model.label("thief");
  list_sink sink;
  linked_item items[3];
  model.thread("owner", [&] {
    push(q, items[0], sink);
    push(q, items[1], sink);
    if (linked_item* i = q.pop()) i->run();
    push(q, items[2], sink);
    drain(q);
  });
  for (const char* name : {"thief 1", "thief 2"}) model.thread(name, [&] { steal_and_run(q); });
  model.run();
  check_all_run(model, items);
}

// A chain is published at once; what a thief holds on to leaves less room for it.
WEFT_MODEL_TEST(run_queue, chain_against_a_thief, model::kills("run_queue.chain.relaxed"),
                model::reaches("all of it", "a part of it")) {
  run_queue<linked_item, 4> q;
  list_sink sink;
  linked_item items[5];
  push(q, items[0], sink);
  model.thread("owner", [&] {
    for (unsigned i = 1; i < 5; ++i) {
      items[i].prepare();
      items[i].next = i < 4 ? &items[i + 1] : nullptr;
    }
    linked_item* rest = q.push_chain(&items[1]);
    model.outcome(rest == nullptr ? "all of it" : "a part of it");
    while (rest != nullptr) {
      linked_item* const after = rest->next;
      rest->run();
      rest = after;
    }
    drain(q);
  });
  model.thread("thief", [&] { steal_and_run(q); });
  model.run();
  check_all_run(model, items);
}

// The ring is small, so the owner comes back to the slots that the thief is copying.
WEFT_MODEL_TEST(run_queue, full_ring_against_a_thief,
                model::kills("run_queue.push.head_relaxed", "run_queue.steal.done_relaxed",
                             "run_queue.push.full_by_one"),
                model::reaches("overflow by half", "overflow of one", "no overflow")) {
  model.label("queue");
  run_queue<linked_item, 2> q;
  model.label("thief");
  list_sink sink;
  linked_item items[4];
  model.thread("owner", [&] {
    for (linked_item& i : items) push(q, i, sink);
    drain(q);
  });
  model.thread("thief", [&] {
    steal_and_run(q);
    steal_and_run(q);
  });
  model.run();
  if (!sink.first) {
    model.outcome("no overflow");
  } else {
    model.outcome(sink.first == sink.last ? "overflow of one" : "overflow by half");
  }
  sink.run_all();
  check_all_run(model, items);
}

// The owner pops past a thief that still copies: the thief's slots must stay reserved.
WEFT_MODEL_TEST(run_queue, pop_past_a_thief, model::kills("run_queue.pop.frees_thief")) {
  model.label("queue");
  run_queue<linked_item, 2> q;
  model.label("thief");
  list_sink sink;
  linked_item items[4];
  model.thread("owner", [&] {
    push(q, items[0], sink);
    push(q, items[1], sink);
    if (linked_item* i = q.pop()) i->run();
    push(q, items[2], sink);
    push(q, items[3], sink);
    drain(q);
  });
  model.thread("thief", [&] { steal_and_run(q); });
  model.run();
  sink.run_all();
  check_all_run(model, items);
}

// A thief that reads a new head must not take it together with an old tail.
WEFT_MODEL_TEST(run_queue, thief_between_pop_and_push,
                model::kills("run_queue.pop.relaxed", "run_queue.steal.head_relaxed")) {
  model.label("queue");
  run_queue<linked_item, 4> q;
  model.label("thief");
  list_sink sink;
  linked_item items[4];
  model.thread("owner", [&] {
    for (int i = 0; i < 4; i += 2) {
      push(q, items[i], sink);
      push(q, items[i + 1], sink);
      drain(q);
    }
  });
  model.thread("thief", [&] { steal_and_run(q); });
  model.run();
  check_all_run(model, items);
}

WEFT_MODEL_TEST(run_queue, thief_during_an_overflow, model::kills("run_queue.overflow.relaxed")) {
  model.label("queue");
  run_queue<linked_item, 2> q;
  model.label("thief");
  list_sink sink;
  linked_item items[5];
  model.thread("owner", [&] {
    for (linked_item& i : items) push(q, i, sink);
    drain(q);
  });
  model.thread("thief", [&] { steal_and_run(q); });
  model.run();
  sink.run_all();
  check_all_run(model, items);
}

// The thief's own queue is stolen from, too: what it publishes there.
WEFT_MODEL_TEST(run_queue, stolen_twice, model::kills("run_queue.steal.publish_relaxed")) {
  model.label("first");
  run_queue<linked_item, 4> a;
  model.label("second");
  run_queue<linked_item, 4> b;
  model.label("third");
  list_sink sink;
  linked_item items[6];
  // The body's pushes happen before all threads.
  for (int i = 0; i < 4; ++i) push(a, items[i], sink);
  push(b, items[4], sink);
  push(b, items[5], sink);
  model.thread("middle", [&] {
    for (int i = 0; i < 2; ++i) {
      if (linked_item* s = a.steal_into(b)) s->run();
    }
    drain(b);
  });
  model.thread("last", [&] {
    steal_and_run(b);
    steal_and_run(b);
  });
  model.run();
  drain(a);
  drain(b);
  check_all_run(model, items);
}

// And where it writes: not over what another thief copies out of it.
WEFT_MODEL_TEST(run_queue, thief_writes_where_a_thief_reads,
                model::kills("run_queue.steal.own_head_relaxed")) {
  model.label("first");
  run_queue<linked_item, 2> a;
  model.label("second");
  run_queue<linked_item, 2> b;
  model.label("third");
  list_sink sink;
  linked_item items[4];
  for (int i = 0; i < 2; ++i) push(a, items[i], sink);
  for (int i = 2; i < 4; ++i) push(b, items[i], sink);
  model.thread("middle", [&] {
    if (linked_item* i = b.pop()) i->run();
    if (linked_item* i = a.steal_into(b)) i->run();
    drain(b);
  });
  model.thread("last", [&] { steal_and_run(b); });
  model.run();
  drain(a);
  drain(b);
  check_all_run(model, items);
}

// The whole index is pushed and popped through once while a thief sleeps between look and claim.
template <unsigned IndexBits>
void whole_turn_of_the_index(model::world& model) {
  model.label("queue");
  run_queue<linked_item, 2, std::uint8_t, IndexBits> q;
  model.label("thief");
  list_sink sink;
  linked_item items[8];
  model.thread("owner", [&] {
    for (linked_item& i : items) {
      push(q, i, sink);
      drain(q);
    }
  });
  model.thread("thief", [&] { steal_and_run(q); });
  model.run();
  sink.run_all();
  check_all_run(model, items);
}
WEFT_MODEL_TEST(run_queue, aba_is_found_with_3_bits, model::expects_bug("a thief saw more items")) {
  whole_turn_of_the_index<3>(model);
}
WEFT_MODEL_TEST(run_queue, no_aba_with_6_bits) { whole_turn_of_the_index<6>(model); }

}  // namespace
}  // namespace weft
