// result_slot: what a task or a job gives: a value, an exception, or nothing yet.
//
//   Threads  who has it; handed on by whatever says that it is there
#pragma once

#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/base/config.hpp"

namespace weft::detail {

/// A value, an exception, or nothing yet.
template <class T>
class result_slot {
  using stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>;

 public:
  result_slot() noexcept {}
  ~result_slot() { clear(); }
  result_slot(const result_slot&) = delete;
  result_slot& operator=(const result_slot&) = delete;

  template <class... A>
    requires std::is_reference_v<T> || std::is_constructible_v<stored, A&&...>
  void set_value(A&&... a) {
    WEFT_CHECK_SLOW(state_ == state::empty, "a result was set twice");
    if constexpr (std::is_reference_v<T>) {
      value_ = (std::addressof(a), ...);
    } else {
      ::new (static_cast<void*>(&value_)) stored(std::forward<A>(a)...);
    }
    state_ = state::value;
  }
  void set_error(std::exception_ptr e) noexcept {
    clear();
    ::new (static_cast<void*>(&error_)) std::exception_ptr(std::move(e));
    state_ = state::error;
  }
  bool has_value() const noexcept { return state_ == state::value; }
  bool has_error() const noexcept { return state_ == state::error; }
  std::exception_ptr error() const noexcept { return has_error() ? error_ : nullptr; }
  void clear() noexcept {
    if (state_ == state::value) value_.~stored();
    if (state_ == state::error) error_.~exception_ptr();
    state_ = state::empty;
  }

  /// The value, once; or rethrows.
  T take() {
    if (WEFT_UNLIKELY(state_ != state::value)) throw_instead();
    const clearing afterwards(*this);
    if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(*value_);
    } else {
      return static_cast<T>(std::move(value_));
    }
  }
  /// Moves what `other` has, if anything, into this one.
  void take_from(result_slot& other) {
    if (other.state_ == state::error) {
      set_error(std::move(other.error_));
    } else if (other.state_ == state::value) {
      if constexpr (std::is_reference_v<T>) {
        set_value(*other.value_);
      } else {
        set_value(std::move(other.value_));
      }
    }
  }

 private:
  enum class state : unsigned char { empty, value, error };
  [[noreturn]] WEFT_NOINLINE void throw_instead() {
    WEFT_ASSERT(state_ == state::error, "a task's result was taken twice, or before it had one");
    std::exception_ptr e = std::move(error_);
    clear();
    std::rethrow_exception(std::move(e));
  }
  /// Also when moving the value out throws.
  class clearing {
   public:
    explicit clearing(result_slot& s) noexcept : slot_(s) {}
    ~clearing() { slot_.clear(); }
    clearing(const clearing&) = delete;
    clearing& operator=(const clearing&) = delete;

   private:
    result_slot& slot_;
  };
  union {
    stored value_;
    std::exception_ptr error_;
  };
  state state_ = state::empty;
};

/// Of void there is nothing to keep, so one word is enough. It may have been another thing's before, an
/// address: that of something aligned to 4 counts as nothing yet. See promise_base.
template <>
class result_slot<void> {
 public:
  result_slot() noexcept {}
  ~result_slot() { clear(); }
  result_slot(const result_slot&) = delete;
  result_slot& operator=(const result_slot&) = delete;

  void set_value() noexcept {
    WEFT_CHECK_SLOW((word_ & marks) == 0, "a result was set twice");
    word_ = value;
  }
  void set_error(std::exception_ptr e) noexcept {
    WEFT_ASSERT(e != nullptr, "a task failed with an exception_ptr that points at nothing");
    clear();
    const kept keep(std::move(e));
    word_ = keep.address() | error_mark;
  }
  bool has_value() const noexcept { return word_ == value; }
  bool has_error() const noexcept { return (word_ & error_mark) != 0; }
  std::exception_ptr error() const noexcept {
    if (WEFT_LIKELY(!has_error())) return nullptr;
    const kept lent(word_ & ~marks);
    return lent.error;
  }
  void clear() noexcept {
    if (WEFT_UNLIKELY(has_error())) static_cast<void>(take_error());
    word_ = empty;
  }

  /// Once; or rethrows.
  void take() {
    if (WEFT_UNLIKELY(!has_value())) throw_instead();
    word_ = empty;
  }
  void take_from(result_slot& other) noexcept {
    if (WEFT_UNLIKELY(other.has_error())) {
      set_error(other.take_error());
    } else if (other.has_value()) {
      set_value();
    }
  }

 private:
  static constexpr std::uintptr_t empty = 0;
  static constexpr std::uintptr_t value = 1;
  static constexpr std::uintptr_t error_mark = 2;  // beside the address that an exception_ptr is
  static constexpr std::uintptr_t marks = value | error_mark;

  /// An exception_ptr that nobody destroys: what it holds, the word holds.
  union kept {
    explicit kept(std::exception_ptr&& e) noexcept : error(std::move(e)) {}
    explicit kept(std::uintptr_t address) noexcept : error(nullptr) {
      std::memcpy(static_cast<void*>(&error), &address, sizeof(address));
    }
    ~kept() {}
    std::uintptr_t address() const noexcept {
      std::uintptr_t word = 0;
      std::memcpy(&word, static_cast<const void*>(&error), sizeof(word));
      return word;
    }
    std::exception_ptr error;
    static_assert(sizeof(std::exception_ptr) == sizeof(std::uintptr_t));
  };
  std::exception_ptr take_error() noexcept {
    kept mine(word_ & ~marks);
    word_ = empty;
    return std::move(mine.error);
  }
  [[noreturn]] WEFT_NOINLINE void throw_instead() {
    WEFT_ASSERT(has_error(), "a task's result was taken twice, or before it had one");
    std::rethrow_exception(take_error());
  }
  std::uintptr_t word_ = empty;
};

}  // namespace weft::detail
