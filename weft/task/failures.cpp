#include "weft/task/failures.hpp"

#include <mutex>

#include "weft/base/result.hpp"
#include "weft/task/current.hpp"

namespace weft {

namespace detail {

const task_local<std::shared_ptr<failure_list>> current_failure_list;

class failure_list {
 public:
  void note(const job& origin, const std::exception_ptr& error) noexcept {
    const std::lock_guard guard(mutex_);
    if (closed_) return;
    for (const failure& f : kept_) {
      if (f.error == error) return;  // it came through another boundary before
    }
    ++size_;
    if (kept_.size() == failure_log::failures_max) return;
    try {
      kept_.push_back({error, origin.id(), origin.name()});
    } catch (...) {  // no memory: it is counted
    }
  }
  std::vector<failure> all() const {
    const std::lock_guard guard(mutex_);
    return kept_;
  }
  std::size_t size() const noexcept {
    const std::lock_guard guard(mutex_);
    return size_;
  }
  /// The exceptions go with the log, not with the last job that might have failed.
  void close() noexcept {
    std::vector<failure> gone;
    const std::lock_guard guard(mutex_);
    closed_ = true;
    gone.swap(kept_);
  }

 private:
  mutable std::mutex mutex_;  // allocations are made under it
  std::vector<failure> kept_;
  std::size_t size_ = 0;
  bool closed_ = false;
};

void note_failure(const job& origin, const std::exception_ptr& error) noexcept {
  const auto* const list = current_failure_list.get();
  if (list != nullptr) (*list)->note(origin, error);
}

void note_failure(const std::exception_ptr& error) noexcept {
  if (const job* const running = current_job()) note_failure(*running, error);
}

void note_failure(std::error_code code, const char* what) noexcept {
  if (current_failure_list.get() == nullptr) return;
  note_failure(std::make_exception_ptr(error(code, what)));
}

}  // namespace detail

std::string failure::what() const {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

failure_log::failure_log() : list_(std::make_shared<detail::failure_list>()) {}
failure_log::~failure_log() { list_->close(); }
std::vector<failure> failure_log::all() const { return list_->all(); }
std::size_t failure_log::size() const noexcept { return list_->size(); }

}  // namespace weft
