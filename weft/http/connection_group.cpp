#include <weft/http/connection_group.hpp>

#include <weft/http/connection.hpp>
#include <weft/runtime/runtime.hpp>

#include <utility>

namespace weft::http::detail {

connection_group::entry& connection_group::take_entry() {
  {
    const spin_guard guard(lock_);
    if (!free_.empty()) {
      entry& e = *free_.back();
      free_.pop_back();
      e.now = entry::phase::starting;
      return e;
    }
  }
  entries_.push_back(std::make_unique<entry>());
  entry& e = *entries_.back();
  e.now = entry::phase::starting;
  std::vector<entry*> larger;
  larger.reserve(entries_.capacity());  // so that ended() never allocates
  const spin_guard guard(lock_);
  larger.assign(free_.begin(), free_.end());
  if (larger.capacity() > free_.capacity()) free_.swap(larger);
  return e;
}

void connection_group::start(const std::shared_ptr<connection_group>& self,
                             net::tcp_stream stream) {
  entry& e = self->take_entry();
  self->open_.fetch_add(1, order::seq_cst);
  self->counters_->open.add();
  self->counters_->accepted.add();
  constexpr spawn_options named{.name = "http connection"};
  join_handle<void> handle;
  try {
    handle = spawn(named, run_connection, std::move(stream), membership(self, e));
  } catch (...) {  // no memory: as if it had not been accepted
    const spin_guard guard(self->lock_);
    e.now = entry::phase::free;
    self->free_.push_back(&e);
    throw;
  }
  {
    const spin_guard guard(self->lock_);
    if (e.now == entry::phase::starting) {
      e.now = entry::phase::running;
      e.handle = std::move(handle);
      return;
    }
    if (e.now == entry::phase::never_ran) {
      e.handle = std::move(handle);
      self->add_failed(e);
      return;
    }
    e.now = entry::phase::free;
    self->free_.push_back(&e);
  }
  handle.detach();
}

bool connection_group::begin_work(entry& e) noexcept {
  e.busy.store(true, order::seq_cst);  // I2
  if (draining_.load(order::seq_cst)) {
    e.busy.store(false, order::relaxed);
    return false;
  }
  counters_->work_begins();
  return true;
}

void connection_group::end_work(entry& e) noexcept {
  e.busy.store(false, order::seq_cst);
  counters_->work_ends();
}

void connection_group::add_failed(entry& e) noexcept {
  e.now = entry::phase::failed;
  e.next_failed = std::exchange(failed_, &e);
}

join_handle<void> connection_group::take_failed() noexcept {
  const spin_guard guard(lock_);
  if (failed_ == nullptr) return {};
  entry& e = *std::exchange(failed_, failed_->next_failed);
  e.now = entry::phase::free;
  free_.push_back(&e);
  return std::move(e.handle);
}

void connection_group::ended(entry& e, bool ran) noexcept {
  if (e.busy.load(order::relaxed)) end_work(e);
  join_handle<void> handle;
  {
    const spin_guard guard(lock_);
    if (e.now == entry::phase::starting) {
      e.now = ran ? entry::phase::ended : entry::phase::never_ran;
    } else if (e.now == entry::phase::running && !ran) {
      add_failed(e);
    } else if (e.now == entry::phase::running) {
      handle = std::move(e.handle);
      e.now = entry::phase::free;
      free_.push_back(&e);
    }
  }
  if (handle) handle.detach();
  counters_->open.subtract();
  open_.fetch_sub(1, order::seq_cst);
  room_.wake_one();
}

std::vector<join_handle<void>> connection_group::close() {
  draining_.store(true, order::seq_cst);  // I2
  std::vector<join_handle<void>> jobs;
  std::vector<const entry*> of;
  jobs.reserve(entries_.size());
  of.reserve(entries_.size());
  {
    const spin_guard guard(lock_);
    for (const auto& e : entries_) {
      if (e->now != entry::phase::running && e->now != entry::phase::failed) continue;
      e->now = entry::phase::joined;
      jobs.push_back(std::move(e->handle));
      of.push_back(e.get());
    }
    failed_ = nullptr;  // they are among those
  }
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!of[i]->busy.load(order::seq_cst)) jobs[i].stop();
  }
  return jobs;
}

std::coroutine_handle<> connection_group::room_operation::start(promise_base& waiter) noexcept {
  switch (group_.room_.add_if(*this, waiter, [this] { return group_.full(); })) {
    case wait_queue::add_result::waiting:
      return std::noop_coroutine();  // touch nothing more
    case wait_queue::add_result::granted:
      return waiter.handle();
    case wait_queue::add_result::not_needed:
      return ready_at_once(*this, waiter);
    case wait_queue::add_result::stopped:
      break;
  }
  return unwind(waiter);
}

}  // namespace weft::http::detail
