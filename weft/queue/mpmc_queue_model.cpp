// mpmc_queue under all schedules: each value comes out once, whole, and no slot is filled before it
// is empty.
#include "weft/queue/mpmc_queue.hpp"

#include <utility>

#include "weft/testing/model/model.hpp"
#include "weft/testing/model/value.hpp"

namespace weft {
namespace {

using model::value;

struct tally {
  explicit tally(model::world& w) : world(w) {}
  model::world& world;
  atomic<std::uint32_t> had{0};  // a bit for each number
  void take(value& v) {
    const std::uint32_t bit = 1u << v.number();
    world.check(!(had.fetch_or(bit, order::relaxed) & bit), "a value was had twice");
  }
};

template <class Queue>
void drain(Queue& q, tally& t) {
  value v;
  while (q.try_pop(v)) t.take(v);
}

WEFT_MODEL_TEST(mpmc_queue, two_push_two_pop,
                model::kills("mpmc_queue.push.publish_relaxed", "mpmc_queue.pop.look_relaxed"),
                model::spurious_max(0, "a claim that fails for nothing only tries again")) {
  model.label("queue");
  mpmc_queue<value, std::uint8_t> q(2);
  tally all(model);
  bool pushed[2];
  for (int i = 0; i < 2; ++i) {
    model.thread("pusher", [&, i] { pushed[i] = q.try_push(value(i)); });
  }
  for (int i = 0; i < 2; ++i) {
    model.thread("popper", [&] {
      value v;
      if (q.try_pop(v)) all.take(v);
    });
  }
  model.run();
  model.check(pushed[0] && pushed[1], "no room in an empty ring");
  drain(q, all);
  model.check(all.had.load(order::relaxed) == 3, "a value was lost");
}

// The ring is full, and pushers come back to the slots that are being emptied.
WEFT_MODEL_TEST(mpmc_queue, slots_are_used_again,
                model::kills("mpmc_queue.pop.free_relaxed", "mpmc_queue.push.look_relaxed",
                             "mpmc_queue.pop.frees_for_the_same_turn"),
                model::reaches("no room", "room")) {
  model.label("queue");
  mpmc_queue<value, std::uint8_t> q(2);
  tally all(model);
  for (int i = 0; i < 2; ++i) model.check(q.try_push(value(i)), "no room in an empty ring");
  std::uint32_t pushed = 3;
  model.thread("pusher", [&] {
    for (int i = 2; i < 4; ++i) {
      value v(i);
      const bool room = q.try_push(std::move(v));
      model.outcome(room ? "room" : "no room");
      if (room) pushed |= 1u << i;
      if (!room) model.check(v.number() == i, "a value was taken though there was no room");
    }
  });
  for (int i = 0; i < 2; ++i) {
    model.thread("popper", [&] {
      value v;
      if (q.try_pop(v)) all.take(v);
    });
  }
  model.run();
  drain(q, all);
  model.check(all.had.load(order::relaxed) == pushed, "a value was lost");
  for (int i = 0; i < 2; ++i) model.check(q.try_push(value(i)), "no room in an emptied ring");
}

// One popper, so that the order can be seen: each pusher's values come as they went in.
WEFT_MODEL_TEST(mpmc_queue, keeps_each_pushers_order,
                model::stale_max(1, "the orders are two_push_two_pop's matter"),
                model::spurious_max(0, "a claim that fails for nothing only tries again")) {
  model.label("queue");
  mpmc_queue<value, std::uint8_t> q(4);
  for (int i = 0; i < 2; ++i) {
    model.thread("pusher", [&, i] {
      for (int k = 0; k < 2; ++k) model.check(q.try_push(value(2 * i + k)), "no room");
    });
  }
  int last[2] = {-1, -1};
  const auto take = [&](value& v) {
    model.check(v.number() > last[v.number() / 2], "two values changed places");
    last[v.number() / 2] = v.number();
  };
  model.thread("popper", [&] {
    value v;
    for (int k = 0; k < 2; ++k) {
      if (q.try_pop(v)) take(v);
    }
  });
  model.run();
  value v;
  while (q.try_pop(v)) take(v);
  model.check(last[0] == 1 && last[1] == 3, "a value was lost");
}

// The other half is a sleeper's word, as in the injector's model.
WEFT_MODEL_TEST(mpmc_queue, pusher_or_sleeper_sees_the_other,
                model::kills("mpmc_queue_model.pusher_fence", "mpmc_queue_model.sleeper_fence")) {
  mpmc_queue<value, std::uint8_t> q(2);
  atomic<bool> asleep(false);
  bool pusher_saw = false, sleeper_saw = false;
  model.thread("pusher", [&] {
    model.check(q.try_push(value(0)), "no room");
    if (!model.mutant("mpmc_queue_model.pusher_fence")) fence(order::seq_cst);
    pusher_saw = asleep.load(order::relaxed);
  });
  model.thread("sleeper", [&] {
    asleep.store(true, order::relaxed);
    if (!model.mutant("mpmc_queue_model.sleeper_fence")) fence(order::seq_cst);
    value v;
    sleeper_saw = q.try_pop(v);
  });
  model.run();
  model.check(pusher_saw || sleeper_saw, "a value lies there and its taker sleeps");
}

// A whole turn of the index while a pusher sleeps between its look and its claim.
template <unsigned IndexBits>
void whole_turn_of_the_index(model::world& model) {
  model.label("queue");
  mpmc_queue<value, std::uint8_t, IndexBits> q(2);
  tally all(model);
  std::uint32_t pushed = 0;
  const auto push = [&](int number) {
    if (q.try_push(value(number))) pushed |= 1u << number;
  };
  model.thread("owner", [&] {
    value v;
    for (int i = 0; i < 8; ++i) {
      if (i >= 2 && q.try_pop(v)) all.take(v);
      push(i);
    }
  });
  model.thread("sleepy", [&] { push(8); });
  model.run();
  drain(q, all);
  model.check(all.had.load(order::relaxed) == pushed, "a value was lost");
}
WEFT_MODEL_TEST(mpmc_queue, aba_is_found_with_3_bits, model::expects_bug("data race")) {
  whole_turn_of_the_index<3>(model);
}
WEFT_MODEL_TEST(mpmc_queue, no_aba_with_8_bits,
                model::stale_max(0, "what counts here is who moves when"),
                model::spurious_max(0, "a claim that fails for nothing only tries again")) {
  whole_turn_of_the_index<8>(model);
}

}  // namespace
}  // namespace weft
