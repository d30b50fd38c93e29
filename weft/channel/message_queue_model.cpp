// model-sources: weft/channel/news.cpp weft/channel/line.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// The message queue under all schedules: each policy, stops, closing, looks. A lost wake is a deadlock
// here, and the books are checked against what the threads did.
#include "weft/channel/message_queue.hpp"

#include "weft/task/task_model_support.hpp"

namespace weft {
namespace {

using after_start = model::job_thread::after_start;
using model::job_thread;

enum class end { ok, full, closed, stopped };

template <class Operation>
bool waited(model::world& w, job_thread& me, Operation& op) {
  me.refill_budget(1);
  const after_start next = me.read(op.start(me.who()));
  if (next == after_start::waits) w.check(me.sleep() == &op, "woken from another operation");
  if (next == after_start::unwinds || op.was_stopped()) {
    w.outcome("stopped");
    return false;
  }
  w.outcome(next == after_start::waits ? "waited" : "at once");
  return true;
}
end send(model::world& w, job_thread& me, message_queue<int>& q, int value) {
  auto op = q.send_from(value);
  if (!waited(w, me, op)) return end::stopped;
  const send_status s = op.await_resume();
  return s == send_status::sent ? end::ok : s == send_status::full ? end::full : end::closed;
}
end recv(model::world& w, job_thread& me, message_queue<int>& q) {
  auto op = q.recv();
  if (!waited(w, me, op)) return end::stopped;
  return op.await_resume() ? end::ok : end::closed;
}
void balanced(model::world& w, message_queue<int>& q, std::uint64_t in, std::uint64_t out) {
  const auto books = q.stats();
  w.check(books.enqueued == in && books.dequeued == out, "the books tell what was done");
  w.check(books.enqueued == books.dequeued + books.dropped + books.size, "the books balance");
}

constexpr auto no_spurious = [](model::test& t) {
  model::spurious_max(0, "the sleep is not what is looked at")(t);
};

WEFT_MODEL_TEST(message_queue, message_goes_to_who_waits,
                model::kills("message_queue.put.sees_no_reader"),
                model::reaches("waited", "at once"), no_spurious) {
  job_thread a, b;
  message_queue<int> q(1);
  model.thread("writer", [&] { model.check(send(model, a, q, 1) == end::ok, "sent"); });
  model.thread("reader", [&] { model.check(recv(model, b, q) == end::ok, "received"); });
  model.run();
  balanced(model, q, 1, 1);
}

WEFT_MODEL_TEST(message_queue, place_that_is_freed_goes_to_who_waits_for_it,
                model::kills("message_queue.take.lets_nobody_in"),
                model::reaches("waited", "at once"), no_spurious) {
  job_thread a, b;
  message_queue<int> q(1);
  model.check(q.try_send(0).has_value(), "there is room");
  model.thread("writer", [&] { model.check(send(model, a, q, 1) == end::ok, "sent"); });
  model.thread("reader", [&] { model.check(recv(model, b, q) == end::ok, "received"); });
  model.run();
  balanced(model, q, 2, 1);
}

WEFT_MODEL_TEST(message_queue, dropping_balances, no_spurious) {
  job_thread a, b;
  message_queue<int> q(1, overflow::drop_oldest);
  std::uint64_t received = 0;
  model.thread("writer", [&] {
    for (int i = 0; i < 3; ++i) model.check(send(model, a, q, i) == end::ok, "never waits");
  });
  model.thread("reader", [&] { received += recv(model, b, q) == end::ok; });
  model.run();
  balanced(model, q, 3, received);
}

WEFT_MODEL_TEST(message_queue, who_looks_is_woken, model::kills("message_queue.put.sees_no_looker"),
                model::reaches("waited", "at once"), no_spurious) {
  job_thread a, b;
  message_queue<int> q(1);
  model.thread("writer", [&] { model.check(send(model, a, q, 1) == end::ok, "sent"); });
  model.thread("looker", [&] {
    auto op = q.readable();
    model.check(waited(model, b, op) && op.await_resume(), "readable");
    model.check(q.try_recv().has_value(), "and nobody else has taken it");
  });
  model.run();
  balanced(model, q, 1, 1);
}

WEFT_MODEL_TEST(message_queue, closing_ends_all_waits,
                model::kills("message_queue.put.sees_no_closing"), no_spurious) {
  job_thread a, b;
  message_queue<int> q(1);
  model.check(q.try_send(0).has_value(), "there is room");
  std::uint64_t in = 1;
  model.thread("writer", [&] {
    const end e = send(model, a, q, 1);
    model.check(e == end::closed, "full, so given back");
  });
  model.thread("closer", [&] { q.close(); });
  model.thread("looker", [&] {
    auto op = q.readable();
    model.check(waited(model, b, op) && op.await_resume(), "readable");
  });
  model.run();
  balanced(model, q, in, 0);
}

WEFT_MODEL_TEST(message_queue, stops_lose_nothing, model::kills("line.taken.stopped_too"),
                model::reaches("stopped"), no_spurious) {
  job_thread a, b;
  message_queue<int> q(1);
  model.check(q.try_send(0).has_value(), "there is room");
  end sent = end::full, received = end::full;
  model.thread("writer", [&] { sent = send(model, a, q, 1); });
  model.thread("reader", [&] { received = recv(model, b, q); });
  model.thread("stopper", [&] { a.stop(), b.stop(); });
  if (model.run_until_idle() != 0) model.check(false, "a stopped job waits");
  model.run();
  balanced(model, q, 1 + (sent == end::ok), received == end::ok);
}

}  // namespace
}  // namespace weft
