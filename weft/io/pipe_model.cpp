// model-sources: weft/io/pipe.cpp weft/channel/line.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// A pipe under all schedules: reads, writes, stops, ends that go. A lost wake is a deadlock here; a byte that
// is lost or doubled shows in the sums at the end. (What waits in line, and a stop: mpmc_model.cpp, too.)
#include "weft/io/pipe.hpp"

#include <array>
#include <memory>
#include <optional>

#include "weft/task/task_model_support.hpp"

namespace weft::io {
namespace {

using model::job_thread;
using after_start = job_thread::after_start;

/// Bytes that were moved; none: an error; nullopt: stopped.
using outcome = std::optional<std::size_t>;

class traffic {
 public:
  traffic(model::world& w, std::size_t capacity)
      : model_(w), ends_(std::in_place, io::pipe(capacity)) {}

  /// The bytes are numbers of places that only the writer writes, before, and the reader, after.
  outcome write(job_thread& me, int first, std::size_t n) {
    std::array<std::byte, 4> from{};
    for (std::size_t i = 0; i < n; ++i) {
      const auto number = static_cast<std::size_t>(first) + i;
      contents_[number].set(1);
      from[i] = static_cast<std::byte>(number);
    }
    auto op = ends_->writer.write_some(std::span(from).first(n));
    return waited(me, op);
  }
  outcome read(job_thread& me, std::size_t most) {
    std::array<std::byte, 4> to{};
    auto op = ends_->reader.read_some(std::span(to).first(most));
    const outcome n = waited(me, op);
    for (std::size_t i = 0; n && i < *n; ++i) {
      model_.check(std::to_integer<int>(to[i]) == next_, "a byte that is not the next one");
      model_.check(contents_[static_cast<std::size_t>(next_)].get() == 1,
                   "a byte without what was before it");
      ++next_;
    }
    return n;
  }
  int received() const { return next_; }
  std::size_t left() { return ends_->reader.size(); }
  pipe_ends& ends() { return *ends_; }

 private:
  template <class Operation>
  outcome waited(job_thread& me, Operation& op) {
    me.refill_budget(1);
    const after_start next = me.read(op.start(me.who()));
    if (next == after_start::unwinds) {
      model_.outcome("stopped before");
      return std::nullopt;
    }
    if (next == after_start::waits) model_.check(me.sleep() == &op, "woken from another operation");
    if (op.was_stopped()) {
      model_.outcome("stopped");
      return std::nullopt;
    }
    model_.outcome(next == after_start::waits ? "waited" : "at once");
    const result<std::size_t> n = op.await_resume();
    if (!n) model_.outcome("error");
    return n ? *n : std::size_t{0};
  }

  model::world& model_;
  std::optional<pipe_ends> ends_;
  std::array<plain<int>, 4> contents_;
  int next_ = 0;
};

constexpr auto no_spurious = [](model::test& t) {
  model::spurious_max(0, "the sleep is not what is looked at")(t);
};

WEFT_MODEL_TEST(pipe, bytes_go_to_who_waits, model::kills("pipe.write.sees_no_reader"),
                model::reaches("waited", "at once"), no_spurious) {
  job_thread a, b;
  traffic t(model, 1);
  model.thread("writer", [&] {
    const outcome n = t.write(a, 0, 2);
    model.check(n && *n >= 1 && *n <= 2, "written");
  });
  model.thread("reader", [&] {
    const outcome n = t.read(b, 1);
    model.check(n && *n == 1, "read");
  });
  model.run();
}

WEFT_MODEL_TEST(pipe, room_goes_to_who_waits_for_it, model::kills("pipe.read.lets_nobody_in"),
                model::reaches("waited", "at once"), no_spurious) {
  job_thread a, b;
  traffic t(model, 1);
  model.check(t.write(a, 0, 1) == 1u, "there is room");
  model.thread("writer", [&] { model.check(t.write(a, 1, 1) == 1u, "written"); });
  model.thread("reader", [&] {
    model.check(t.read(b, 1) == 1u, "read");
    model.check(t.read(b, 1) == 1u, "and the second, in order");
  });
  model.run();
  model.check(t.left() == 0 && t.received() == 2, "all were read");
}

WEFT_MODEL_TEST(pipe, end_comes_behind_the_bytes, model::kills("pipe.read.sees_no_end"),
                model::reaches("waited", "at once"), no_spurious) {
  job_thread a, b;
  traffic t(model, 2);
  model.thread("writer", [&] {
    model.check(t.write(a, 0, 1) == 1u, "written");
    t.ends().writer = pipe_writer();
  });
  model.thread("reader", [&] {
    model.check(t.read(b, 2) == 1u, "the byte first");
    model.check(t.read(b, 2) == 0u, "then the end");
  });
  model.run();
}

WEFT_MODEL_TEST(pipe, reader_that_goes_ends_a_write_that_waits, model::reaches("waited", "error"),
                no_spurious) {
  job_thread a;
  traffic t(model, 1);
  model.check(t.write(a, 0, 1) == 1u, "there is room");
  model.thread("writer", [&] { model.check(t.write(a, 1, 1) == 0u, "refused"); });
  model.thread("reader", [&] { t.ends().reader = pipe_reader(); });
  model.run();
}

void conserves(model::world& model, bool stops_writer) {
  job_thread a, b;
  traffic t(model, 1);
  model.check(t.write(a, 0, 1) == 1u, "there is room");
  outcome written, read;
  model.thread("writer", [&] { written = t.write(a, 1, 1); });
  model.thread("reader", [&] { read = t.read(b, 1); });
  model.thread("stopper", [&] { (stops_writer ? a : b).stop(); });
  if (model.run_until_idle() != 0) {
    model.check(!stops_writer && !read, "only the one whose partner was stopped is left waiting");
    a.stop();
  }
  model.run();
  model.check(1 + written.value_or(0) == read.value_or(0) + t.left(),
              "a byte is with its writer, under way, or read, once");
}
WEFT_MODEL_TEST(pipe, stopped_writer_has_left_nothing, model::kills("line.taken.stopped_too"),
                model::reaches("stopped", "stopped before"), no_spurious) {
  conserves(model, true);
}
WEFT_MODEL_TEST(pipe, stopped_reader_has_taken_nothing, model::reaches("stopped before"),
                no_spurious) {
  conserves(model, false);
}

WEFT_MODEL_TEST(pipe, stop_of_a_reader_that_waits_meets_the_bytes,
                model::kills("line.taken.stopped_too"), model::reaches("stopped", "waited"),
                no_spurious) {
  job_thread a, b;
  traffic t(model, 1);
  outcome read;
  model.thread("reader", [&] { read = t.read(b, 1); });
  model.thread("writer", [&] { model.check(t.write(a, 0, 1) == 1u, "written"); });
  model.thread("stopper", [&] { b.stop(); });
  model.run();
  model.check(read.value_or(0) + t.left() == 1, "the byte is read, or under way");
}

WEFT_MODEL_TEST(pipe, last_end_frees_it, model::kills("pipe.leave.relaxed"), no_spurious) {
  auto ends = std::make_unique<pipe_ends>(io::pipe(1));
  model.thread("writer", [&] { const pipe_writer gone = std::move(ends->writer); });
  model.thread("reader", [&] { const pipe_reader gone = std::move(ends->reader); });
  model.run();
}

}  // namespace
}  // namespace weft::io
