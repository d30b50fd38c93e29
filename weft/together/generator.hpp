// generator: a lazy, single-pass range that a coroutine makes as it is walked.
//
//   generator<int> upto(int n) {
//     for (int i = 0; i < n; ++i) co_yield i;
//   }
//   for (const int i : upto(3)) use(i);
//
//   generator<const std::string&> names(const tree& t) {
//     co_yield t.name;
//     for (const tree& child : t.children) co_yield elements_of(names(child));
//   }
//
//   Elements   *it is T&& for generator<T>, the T& or const T& itself for those. What co_yield is
//              given is passed on by address. Only generator<T> copies what has a name: its consumer
//              may move elements away; `const T&`, or co_yield std::move(x), spares the copy
//   Recursion  co_yield elements_of(other generator or range) gives all of its elements in place
//   Lifetimes  an element lives until the next ++. The coroutine keeps references to what it takes
//              by reference: take what may be a temporary by value. Destroying a generator early
//              destroys what is alive in it, innermost first
//   Threads    it runs in its consumer, in begin() and ++, and may be moved to another thread
//              between two; one thread at a time
//   Errors     an exception that leaves the body leaves begin() or ++; the generator is then at its
//              end. One that leaves a nested generator leaves the co_yield elements_of(..) first
//   Cost       one pooled frame a generator, nothing an element but an indirect call; so at any
//              depth of nesting, which needs no stack, neither to walk nor to fail nor to destroy
//   GCC 12     destroys some temporaries of a co_yield expression twice: closures that own something
//              and aggregates. Where that can be seen it is refused, with the way out; it cannot be
//              seen in the arguments of a call: elements_of(f(aggregate{..})). Name them first
//   After      std::generator (C++23), whose names and rules it keeps; elements_of also takes a range
//              of lvalues here, and misuse aborts with a message
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <string_view>  // declares std::ranges::enable_view; <ranges> makes weft.hpp a fifth slower
#include <type_traits>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/base/config.hpp"
#include "weft/base/safe_callable.hpp"
#include "weft/task/frame_pool.hpp"

namespace weft {

template <class T>
class generator;

namespace detail {

/// What a generator's co_yield takes, and its iterator gives.
template <class T>
using yielded_t = T&&;  // T& stays T&

/// Generators nested by elements_of are a stack of frames. The root, which the consumer has, knows
/// the innermost; the loop in settle() begins, resumes and ends them, so none calls another.
class generator_promise_base {
 public:
  generator_promise_base() noexcept = default;
  generator_promise_base(const generator_promise_base&) = delete;
  generator_promise_base& operator=(const generator_promise_base&) = delete;

  std::suspend_always initial_suspend() const noexcept { return {}; }
  std::suspend_always final_suspend() const noexcept { return {}; }
  void return_void() const noexcept {}
  void unhandled_exception() noexcept { root_->error_ = std::current_exception(); }
  template <class A>
  std::suspend_never await_transform(A&&) noexcept {
    static_assert(!std::same_as<A, A>,
                  "a weft::generator cannot co_await: it runs inside its consumer's ++ and never "
                  "waits. Await outside, and hand it the result");
    return {};
  }

  static void* operator new(std::size_t bytes) { return allocate_frame(frame_bytes(bytes)); }
  static void* operator new(std::size_t bytes, std::align_val_t a) {
    return allocate_frame(frame_bytes(bytes, a));
  }
  static void operator delete(void* frame, std::size_t bytes) noexcept {
    free_frame(frame, frame_bytes(bytes));
  }
  static void operator delete(void* frame, std::size_t bytes, std::align_val_t a) noexcept {
    free_frame(frame, frame_bytes(bytes, a));
  }

  /// For the consumer's side, on the root.
  void begin() {
    WEFT_ASSERT(root_ == nullptr, "a generator can be walked once: begin() was called before");
    root_ = link_ = this;
    resume();
  }
  WEFT_ALWAYS_INLINE void next() {
    WEFT_ASSERT(value_ != nullptr, "++ at a generator's end, or inside its own body");
    resume();
  }
  /// The element; nullptr: before the first, after the last, or while it runs.
  void* value() const noexcept { return value_; }
  /// Destroys the frames, innermost first and one by one: a deep nest needs no deep stack.
  void destroy() noexcept {
    WEFT_ASSERT(root_ == nullptr || value_ != nullptr || handle().done(),
                "a generator was destroyed inside its own body");
    while (root_ != nullptr && link_ != this) {
      generator_promise_base* const innermost = link_;
      link_ = innermost->link_;
      innermost->handle().destroy();
    }
    handle().destroy();
  }

  /// For the producing side, on any.
  template <class T>
  void give(T& element) noexcept {
    root_->value_ = const_cast<void*>(static_cast<const volatile void*>(std::addressof(element)));
  }
  /// `nested` gives its elements before this one goes on.
  void nest(generator_promise_base& nested) noexcept {
    nested.root_ = root_;
    nested.link_ = this;
    root_->link_ = &nested;
  }
  /// Throws what the nested one threw.
  void check_nested() {
    if (WEFT_UNLIKELY(root_->error_ != nullptr)) root_->rethrow();
  }
  bool begun() const noexcept { return root_ != nullptr; }

 protected:
  ~generator_promise_base() = default;

 private:
  std::coroutine_handle<generator_promise_base> handle() noexcept {
    return std::coroutine_handle<generator_promise_base>::from_promise(*this);
  }
  WEFT_ALWAYS_INLINE void resume() {
    value_ = nullptr;
    link_->handle().resume();
    if (WEFT_UNLIKELY(value_ == nullptr)) settle();
  }
  /// The innermost began another, or ended: goes on until there is an element, or the root ends.
  WEFT_NOINLINE void settle() {
    do {
      generator_promise_base* const innermost = link_;
      if (innermost->handle().done()) {
        if (innermost == this) {
          if (error_ != nullptr) rethrow();
          return;
        }
        link_ = innermost->link_;
        innermost->handle().destroy();
      }
      link_->handle().resume();
    } while (value_ == nullptr);
  }
  [[noreturn]] WEFT_NOINLINE void rethrow() {
    std::rethrow_exception(std::exchange(error_, nullptr));
  }

  generator_promise_base* root_ = nullptr;  // nullptr: not begun
  generator_promise_base* link_ = nullptr;  // of the root: the innermost; else the one outside
  void* value_ = nullptr;                   // of the root
  std::exception_ptr error_;                // of the root
};

/// For co_yield of what has a name, in a generator whose consumer may move elements away.
template <class T>
class copied_element {
 public:
  explicit copied_element(const T& from) : copy_(from) {}
  copied_element(const copied_element&) = delete;
  copied_element& operator=(const copied_element&) = delete;
  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> yielding) noexcept {
    yielding.promise().give(copy_);
  }
  void await_resume() const noexcept {}

 private:
  T copy_;
};

/// For co_yield elements_of(..). The nested frame belongs to the stack once this is awaited, which
/// it is at once.
class nested_elements {
 public:
  explicit nested_elements(generator_promise_base& nested) noexcept : nested_(nested) {}
  nested_elements(const nested_elements&) = delete;
  nested_elements& operator=(const nested_elements&) = delete;
  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> yielding) noexcept {
    outer_ = &yielding.promise();
    outer_->nest(nested_);
  }
  void await_resume() { outer_->check_nested(); }

 private:
  generator_promise_base& nested_;
  generator_promise_base* outer_ = nullptr;
};

template <class R>
concept iterable = requires(R& r) {
  std::begin(r);
  std::end(r);
};

/// What elements_of() gives.
template <class R>
class elements {
 public:
  explicit elements(R& all) noexcept : range(all) {}
  R& range;
};

/// An rvalue that is known to have a name, which safe_in_await cannot see.
template <class T>
class named_element {
 public:
  explicit named_element(T& e) noexcept : element(e) {}
  T& element;
};

template <class R, class Yielded>
inline constexpr bool nests_in = false;
template <class U, class Yielded>
inline constexpr bool nests_in<generator<U>, Yielded> = std::is_same_v<yielded_t<U>, Yielded>;

template <class T>
class generator_promise final : public generator_promise_base {
  using yielded = yielded_t<T>;
  using object = std::remove_reference_t<T>;
  using value = std::remove_cv_t<object>;

 public:
  generator<T> get_return_object() noexcept { return generator<T>(*this); }

  std::suspend_always yield_value(yielded element) noexcept {
    if constexpr (std::is_rvalue_reference_v<yielded>) refuse_unless_safe<value>();
    give(element);
    return {};
  }
  copied_element<value> yield_value(const object& element)
    requires std::is_rvalue_reference_v<yielded> && std::constructible_from<value, const object&>
  {
    return copied_element<value>(element);
  }
  std::suspend_always yield_value(named_element<object> named) noexcept {
    give(named.element);
    return {};
  }
  /// Only here to refuse: temporaries, in braces, and of other types.
  std::suspend_always yield_value(value&&)
    requires std::is_lvalue_reference_v<yielded> && std::is_const_v<object> &&
             (!safe_in_await<value>)
  {
    refuse_unless_safe<value>();
    return {};
  }
  template <class A>
    requires(!safe_in_await<A>)
  std::suspend_always yield_value(A&&) {
    refuse_unless_safe<A>();
    return {};
  }
  template <iterable R>
  nested_elements yield_value(elements<R> all) {
    if constexpr (nests_in<R, yielded>) {
      return nested_elements(all.range.release());
    } else {
      return nested_elements(each(all.range).release());
    }
  }

 private:
  template <class A>
  static void refuse_unless_safe() noexcept {
    static_assert(safe_in_await<A>,
                  "GCC 12 would destroy this temporary aggregate or closure twice: name it first "
                  "and co_yield the name (in a generator<T&>, its consumer can move it away), or "
                  "give its type a constructor");
  }
  template <class R>
  static generator<T> each(R& range) {
    for (auto&& element : range) {
      using given = decltype(element);
      if constexpr (!safe_in_await<given> && std::is_same_v<std::remove_cvref_t<given>, value>) {
        co_yield named_element<object>(element);
      } else {
        co_yield std::forward<given>(element);
      }
    }
  }
};

}  // namespace detail

/// See the top of the file.
template <class T>
class [[nodiscard("walk it: for (auto&& element : it)")]] generator {
  static_assert(std::is_object_v<std::remove_reference_t<T>>);

 public:
  using promise_type = detail::generator_promise<T>;

  /// Its end is std::default_sentinel.
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::remove_cvref_t<T>;
    using difference_type = std::ptrdiff_t;
    using reference = detail::yielded_t<T>;

    iterator(iterator&& other) noexcept : root_(std::exchange(other.root_, nullptr)) {}
    iterator& operator=(iterator&& other) noexcept {
      root_ = std::exchange(other.root_, nullptr);
      return *this;
    }

    reference operator*() const noexcept {
      WEFT_CHECK_SLOW(root_->value() != nullptr, "* at a generator's end, or inside its own body");
      return static_cast<reference>(*static_cast<std::add_pointer_t<T>>(root_->value()));
    }
    iterator& operator++() {
      root_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept {
      return i.root_->value() == nullptr;
    }

   private:
    friend generator;
    explicit iterator(detail::generator_promise_base& root) noexcept : root_(&root) {}
    detail::generator_promise_base* root_;
  };

  generator(generator&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  generator& operator=(generator&& other) noexcept {
    generator(std::move(other)).swap(*this);
    return *this;
  }
  ~generator() {
    if (frame_ != nullptr) frame_->destroy();
  }
  void swap(generator& other) noexcept { std::swap(frame_, other.frame_); }

  /// Runs the body to its first element. Once.
  iterator begin() {
    WEFT_ASSERT(frame_ != nullptr, "this generator was moved from");
    frame_->begin();
    return iterator(*frame_);
  }
  std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

 private:
  template <class>
  friend class detail::generator_promise;
  explicit generator(detail::generator_promise_base& frame) noexcept : frame_(&frame) {}
  detail::generator_promise_base& release() noexcept {
    WEFT_ASSERT(frame_ != nullptr, "this generator was moved from");
    WEFT_ASSERT(!frame_->begun(), "elements_of() takes a generator that has not begun");
    return *std::exchange(frame_, nullptr);
  }
  detail::generator_promise_base* frame_;
};

/// For co_yield: every element of `range` in turn. A generator of the same elements joins the one
/// that yields it, and is spent; anything else is walked.
template <detail::iterable R>
[[nodiscard("co_yield it")]] auto elements_of(R&& range WEFT_LIFETIMEBOUND) noexcept {
  static_assert(safe_in_await<R>,
                "GCC 12 would destroy this temporary range twice: name it first, then "
                "co_yield elements_of(the name)");
  return detail::elements<std::remove_reference_t<R>>(range);
}

}  // namespace weft

template <class T>
inline constexpr bool std::ranges::enable_view<weft::generator<T>> = true;
