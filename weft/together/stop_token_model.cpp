// model-sources: weft/together/stop_token.cpp weft/task/root.cpp weft/task/join.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp weft/task/live_home.cpp weft/task/panic.cpp weft/base/result.cpp
//
// A stop that is asked for by hand, under all schedules: callbacks that come, go and are called at the
// same time; who is asked whether there may be a request; the state's last share; with_stop between the
// end of what it awaits, the request, and a stop of its job.
#include "weft/together/stop_token.hpp"

#include <functional>
#include <optional>
#include <utility>

#include "weft/together/together_model_support.hpp"

namespace weft {
namespace {

using detail::stop_share;
using detail::stop_state;
using detail::with_stop_operation;
using model::toy_bed;
using model::toy_branch;
using model::toy_wait;

#define STOP_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

WEFT_MODEL_TEST(stop_token, a_callback_is_called_once_whenever_it_comes,
                model::kills("stop_token.add.unasked"), model::reaches("first", "second")) {
  stop_source source;
  int calls = 0, requests = 0;
  std::optional<stop_callback<std::function<void()>>> callback;
  model.thread("comes", [&] { callback.emplace(source.get_token(), [&] { ++calls; }); });
  model.thread("requests", [&] { requests += source.request_stop(); });
  model.thread("requests, too", [&] {
    const bool first = source.request_stop();
    model.outcome(first ? "second" : "first");
    requests += first;
  });
  model.run();
  model.check(calls == 1, "the callback was called not once");
  model.check(requests == 1, "not one request was the first");
}

// After the destructor it is not called and has been left: what it used is its owner's again.
WEFT_MODEL_TEST(stop_token, who_takes_a_callback_back_waits_for_its_end,
                model::kills("stop_token.called.relaxed", "stop_token.wait.not_at_all"),
                model::reaches("called", "taken back")) {
  stop_source source;
  plain<int> used(0);
  std::optional<stop_callback<std::function<void()>>> callback;
  callback.emplace(source.get_token(), [&] { used.set(1); });
  model.thread("takes back", [&] {
    callback.reset();
    model.outcome(used.get() == 1 ? "called" : "taken back");
    used.set(2);
  });
  model.thread("requests", [&] { source.request_stop(); });
  model.run();
  model.check(used.get() == 2, "called after it had been taken back");
}

// The one that is called is not the one that goes: nobody waits for a neighbour for ever, and no
// neighbour is forgotten.
WEFT_MODEL_TEST(stop_token, two_callbacks_and_one_goes,
                model::kills("stop_token.called.relaxed", "stop_token.next.relaxed",
                             "stop_token.wait.not_at_all"),
                model::reaches("called", "taken back")) {
  stop_source source;
  plain<int> used(0);
  int stayed = 0;
  using callback = stop_callback<std::function<void()>>;
  std::optional<callback> first, second;
  first.emplace(source.get_token(), [&] { used.set(1); });
  second.emplace(source.get_token(), [&] { ++stayed; });
  model.thread("takes back", [&] {
    first.reset();
    model.outcome(used.get() == 1 ? "called" : "taken back");
    used.set(2);
  });
  model.thread("requests", [&] { source.request_stop(); });
  model.run();
  model.check(stayed == 1, "the other callback was called not once");
}

WEFT_MODEL_TEST(stop_token, a_callback_takes_itself_back,
                model::kills("stop_token.wait.for_itself"),
                model::reaches("by itself", "by the other")) {
  stop_source source;
  std::optional<stop_callback<std::function<void()>>> callback;
  atomic<bool> goes{false};
  const auto take_back = [&](const char* who) {
    if (goes.exchange(true, order::acq_rel)) return;
    callback.reset();
    model.outcome(who);
  };
  callback.emplace(source.get_token(), [&] { take_back("by itself"); });
  model.thread("requests", [&] { source.request_stop(); });
  model.thread("takes back", [&] { take_back("by the other"); });
  model.run();
  model.check(!callback, "it is still there");
}

WEFT_MODEL_TEST(stop_token, who_sees_the_request_sees_what_was_done_before,
                model::kills("stop_token.request.relaxed"), model::reaches("seen", "not yet")) {
  stop_source source;
  const stop_token token = source.get_token();
  plain<int> before(0);
  model.thread("requests", [&] {
    before.set(1);
    source.request_stop();
  });
  model.thread("looks", [&] {
    const bool seen = token.stop_requested();
    if (seen) model.check(before.get() == 1, "it sees the request, and not what was before");
    model.outcome(seen ? "seen" : "not yet");
  });
  model.run();
}

// "No" means that nobody has asked for a stop, and nobody will. A source may do so and go at once.
WEFT_MODEL_TEST(stop_token, a_stop_that_is_not_possible_never_comes,
                model::kills("stop_token.possible.asked_first", "stop_token.source.relaxed"),
                model::reaches("possible", "not possible")) {
  std::optional<stop_source> with_request(std::in_place), without(*with_request);
  const stop_token token = with_request->get_token();
  bool denied = false;
  model.thread("requests and goes", [&] {
    with_request->request_stop();
    with_request.reset();
  });
  model.thread("goes", [&] { without.reset(); });
  model.thread("looks", [&] { denied = !token.stop_possible(); });
  model.run();
  model.check(!denied, "a stop that had been asked for was called impossible");
  model.check(token.stop_requested() && token.stop_possible(), "the request is forgotten");
  stop_source last;
  const stop_token abandoned = last.get_token();
  model.outcome(abandoned.stop_possible() ? "possible" : "nobody has one");
  const stop_source gone = std::move(last);
  {
    const stop_source to_nothing = stop_source(gone);
  }
  model.check(abandoned.stop_possible(), "there is a source left");
  model.outcome(stop_token().stop_possible() ? "possible" : "not possible");
}

/// Its content is overwritten by whoever lets the last share go.
class toy_state final : public stop_state {
 public:
  explicit toy_state(plain<int>& content) noexcept : content_(content) {}
  int look_at() const noexcept { return content_.get(); }

 private:
  ~toy_state() override { content_.set(content_.get() - 1); }
  plain<int>& content_;
};

WEFT_MODEL_TEST(stop_token, the_last_share_frees_the_state,
                model::kills("stop_token.drop.relaxed")) {
  plain<int> content(1);
  auto* const state = new toy_state(content);
  std::optional<stop_share> a(std::in_place, state), b(*a), c(*a);
  model.thread("one", [&] {
    static_cast<void>(state->look_at());
    a.reset();
  });
  model.thread("two", [&] {
    std::optional<stop_share> copy(*b);
    b.reset();
    static_cast<void>(state->look_at());
    copy.reset();
  });
  model.thread("three", [&] { c.reset(); });
  model.run();
  model.check(content.get() == 0, "the state was freed not once");
}

WEFT_MODEL_TEST(stop_token, a_callback_lets_the_last_share_go,
                model::kills("stop_token.request.unkept")) {
  plain<int> content(1);
  auto* const state = new toy_state(content);
  std::optional<stop_share> mine(std::in_place, state), other(*mine);
  struct link final : detail::stop_link {
    explicit link(std::optional<stop_share>& s) noexcept
        : stop_link([](stop_link& self) noexcept { static_cast<link&>(self).share.reset(); }),
          share(s) {}
    std::optional<stop_share>& share;
  };
  link last(mine);
  model.check(state->add(last), "nobody has asked for a stop");
  model.thread("requests", [&] { state->request(); });
  model.thread("goes", [&] { other.reset(); });
  model.run();
  model.check(content.get() == 0, "the state was freed not once");
}

class toy_with_stop final : public with_stop_operation {
 public:
  toy_with_stop(toy_branch& branch, const stop_token& token) noexcept
      : with_stop_operation(branch, token), branch_(branch) {}
  ~toy_with_stop() {
    if (launched()) {
      branch_.claimed = true;
      branch_.drop();
    } else {
      branch_.discard();
    }
  }
  using with_stop_operation::cut_off;
  using with_stop_operation::launched;
  using with_stop_operation::start_branch;
  toy_branch& branch() const noexcept { return branch_; }

 private:
  toy_branch& branch_;
};

/// What a model of with_stop is made of.
struct stage {
  model::job_thread job;
  toy_bed bed;
  toy_wait op;
  int freed = 0;
  stop_source source;
  std::optional<toy_with_stop> waits;

  stage() { waits.emplace(toy_branch::make(bed, op, freed), source.get_token()); }
  bool start() {
    return job.read(waits->start_branch(job.who())) == model::job_thread::after_start::waits;
  }
  void add_branch(model::world& model) {
    model.thread("branch", [this] { toy_branch::run(bed, waits->branch()); });
  }
  /// Waits for the end, says what it was, and leaves nothing behind.
  void end(model::world& model) {
    model.check(job.sleep() == &*waits, "woken from another operation");
    if (waits->was_stopped()) {
      model.check(job.stop_requested(), "reported as stopped, but nobody stopped it");
      model.check(waits->branch().gave.get() == 0, "stopped, although it had completed");
      model.outcome("stopped");
    } else if (waits->cut_off()) {
      model.check(source.stop_requested(), "cut off, and nobody asked for it");
      model.check(waits->branch().gave.get() == 0, "cut off, although it had completed");
      model.outcome("cut off");
    } else {
      model.check(waits->branch().gave.get() == 1, "over, but there is no result");
      model.outcome("completed");
    }
    waits.reset();
  }
  void check_end(model::world& model) {
    model.check(freed == 1, "the branch was freed not once");
    model.check(!job.scheduled(), "the job was woken twice");
  }
};

WEFT_MODEL_TEST(with_stop, the_end_and_the_request_end_it_once,
                model::kills("with_stop.leave.relaxed", "with_stop.removed.counts"),
                model::reaches("completed", "cut off"), model::never("stopped"),
                STOP_MODEL_LIMITS) {
  stage s;
  model.check(s.start(), "over before anybody came");
  s.add_branch(model);
  model.thread("job", [&] { s.end(model); });
  model.thread("requests", [&] { s.source.request_stop(); });
  model.thread("completer", [&] { s.op.complete(); });
  model.run();
  s.check_end(model);
}

WEFT_MODEL_TEST(with_stop, a_request_comes_while_it_begins,
                model::kills("with_stop.called.stops_nobody", "with_stop.end.unasked"),
                model::reaches("cut off"), model::never("completed", "stopped"),
                STOP_MODEL_LIMITS) {
  stage s;
  s.add_branch(model);
  model.thread("job", [&] {
    model.check(s.start(), "nobody stops it");
    s.end(model);
  });
  model.thread("requests", [&] { s.source.request_stop(); });
  model.run();
  s.check_end(model);
}

WEFT_MODEL_TEST(with_stop, a_stop_comes_while_it_begins,
                model::kills("with_stop.withdraw.stops_nobody"),
                model::reaches("stopped before", "stopped"), model::never("completed", "cut off"),
                STOP_MODEL_LIMITS) {
  stage s;
  s.add_branch(model);
  model.thread("job", [&] {
    if (s.start()) return s.end(model);
    model.outcome("stopped before");
    s.waits.reset();
    s.bed.has_work.set(false);
    s.bed.schedule(s.job, wake_kind::woken);
  });
  model.thread("stopper", [&] { s.job.stop(); });
  model.run();
  s.check_end(model);
}

WEFT_MODEL_TEST(with_stop, a_request_and_a_stop, model::reaches("cut off", "stopped"),
                model::never("completed"), STOP_MODEL_LIMITS) {
  stage s;
  model.check(s.start(), "over before anybody came");
  s.add_branch(model);
  model.thread("job", [&] { s.end(model); });
  model.thread("requests", [&] { s.source.request_stop(); });
  model.thread("stopper", [&] { s.job.stop(); });
  model.run();
  s.check_end(model);
}

}  // namespace
}  // namespace weft
