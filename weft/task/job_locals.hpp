// job_locals: the bindings of task_local that a job has: the innermost one, which knows the others. One
// pointer, set before the job is launched and the same for life, so that whoever makes a job for it (a
// thief that takes a branch, too) may read it.
//
//   Threads  made by one; read by any, while the job lives
//   Cost     a job without bindings: a load and a test when it is made, a test at its end
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/config.hpp"

namespace weft::detail {

/// One value of one task_local; shared by the jobs that see it, and by the bindings inside it.
class local_binding {
 public:
  local_binding(const local_binding&) = delete;
  local_binding& operator=(const local_binding&) = delete;

  void use() const noexcept { users_.fetch_add(1, order::relaxed); }  // the caller uses it already
  /// P1  drop (release)  ->  the last drop (acquire): everybody has read the value.
  static void drop(const local_binding* unused) noexcept {
    while (unused != nullptr &&
           unused->users_.fetch_sub(
               1, WEFT_MUTATE("locals.drop.relaxed", order::acq_rel, order::relaxed)) == 1) {
      const local_binding* const outer = unused->outer_;
      unused->free_(*unused);
      unused = outer;
    }
  }

 protected:
  local_binding(const void* key, void (*free)(const local_binding&) noexcept) noexcept
      : key_(key), free_(free) {}
  ~local_binding() = default;

 private:
  friend class job_locals;
  const void* const key_;  // the task_local
  void (*const free_)(const local_binding&) noexcept;
  const local_binding* outer_ = nullptr;
  mutable atomic<std::uint32_t> users_{1};
};

class job_locals {
 public:
  job_locals() noexcept = default;
  job_locals(const job_locals&) = delete;
  job_locals& operator=(const job_locals&) = delete;
  ~job_locals() {
    if (WEFT_UNLIKELY(innermost_ != nullptr)) local_binding::drop(innermost_);
  }

  /// Before the job is launched: what `maker` has. Once.
  WEFT_ALWAYS_INLINE void inherit(const job_locals& maker) noexcept {
    if (WEFT_LIKELY(maker.innermost_ == nullptr)) return;
    maker.innermost_->use();
    innermost_ = maker.innermost_;
  }
  /// Before the job is launched: a binding that nobody else uses, and that is the job's from now on.
  void add(local_binding& made) noexcept {
    made.outer_ = innermost_;
    innermost_ = &made;
  }
  bool empty() const noexcept { return innermost_ == nullptr; }
  /// The innermost one of that task_local, or nullptr.
  const local_binding* find(const void* key) const noexcept {
    const local_binding* b = innermost_;
    while (b != nullptr && b->key_ != key) b = b->outer_;
    return b;
  }

 private:
  const local_binding* innermost_ = nullptr;
};

}  // namespace weft::detail
