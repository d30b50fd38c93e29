// Internal: a sequence of plain things with room for the first of them in itself, so that the fields of an
// ordinary message take no memory of their own.
//
// Memory: clear() keeps what was allocated; a copy allocates only what does not fit; after a move the
//   source is empty.
// Errors: an assignment for which there is no memory has changed nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

namespace weft::http::detail {

template <class T, std::size_t Inside>
class small_vector {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_default_constructible_v<T>);

 public:
  small_vector() noexcept {}
  small_vector(const small_vector& other) { append(other.data(), other.size_); }
  small_vector(small_vector&& other) noexcept { take(other); }
  small_vector& operator=(const small_vector& other) {
    if (this == &other) return *this;
    if (!holds(other.size_)) return *this = small_vector(other);
    size_ = 0;
    append(other.data(), other.size_);
    return *this;
  }
  small_vector& operator=(small_vector&& other) noexcept {
    if (this != &other) take(other);
    return *this;
  }
  ~small_vector() = default;

  T* data() noexcept { return outside_ != nullptr ? outside_.get() : inside_; }
  const T* data() const noexcept { return outside_ != nullptr ? outside_.get() : inside_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  bool has_room(std::size_t count) const noexcept { return capacity_ - size_ >= count; }
  /// Whether so many fit into what it has, instead of those that are in it now.
  bool holds(std::size_t count) const noexcept { return capacity_ >= count; }
  /// Of what was allocated, in things; 0: nothing was.
  std::size_t allocated() const noexcept { return outside_ != nullptr ? capacity_ : 0; }
  T* begin() noexcept { return data(); }
  T* end() noexcept { return data() + size_; }
  const T& operator[](std::size_t i) const noexcept { return data()[i]; }

  void clear() noexcept { size_ = 0; }
  void shrink(std::size_t size) noexcept { size_ = size; }

  /// Room for `count` more at its end, which the caller fills. What was there before it had to move, if
  /// it had to, lives until `before` goes: the caller may have views into it.
  T* extend(std::size_t count, std::unique_ptr<T[]>& before) {
    if (capacity_ - size_ < count) {
      const std::size_t larger = std::max(size_ + count, 2 * capacity_);
      std::unique_ptr<T[]> grown(new T[larger]);
      std::memcpy(grown.get(), data(), size_ * sizeof(T));
      before = std::exchange(outside_, std::move(grown));
      capacity_ = larger;
    }
    T* const at = data() + size_;
    size_ += count;
    return at;
  }
  /// The same, where there is room.
  T* extend_inside(std::size_t count) noexcept {
    T* const at = data() + size_;
    size_ += count;
    return at;
  }
  void push_back(const T& one) {
    if (has_room(1)) {
      *extend_inside(1) = one;
      return;
    }
    std::unique_ptr<T[]> before;
    const T copy = one;
    *extend(1, before) = copy;
  }

 private:
  void append(const T* from, std::size_t count) {
    std::unique_ptr<T[]> before;
    T* const at = extend(count, before);
    if (count != 0) std::memcpy(at, from, count * sizeof(T));
  }
  void take(small_vector& other) noexcept {
    size_ = std::exchange(other.size_, 0);
    if (other.outside_ != nullptr) {
      outside_ = std::move(other.outside_);
      capacity_ = std::exchange(other.capacity_, Inside);
      return;
    }
    // What this one has allocated may be kept: it is not smaller than what is inside.
    if (size_ != 0) std::memcpy(data(), other.inside_, size_ * sizeof(T));
  }

  std::size_t size_ = 0;
  std::size_t capacity_ = Inside;
  std::unique_ptr<T[]> outside_;
  T inside_[Inside];
};

}  // namespace weft::http::detail
