// intrusive_list: a doubly linked list whose links live in its elements; nothing is allocated.
// intrusive_queue: the singly linked cousin, for things that only leave at the front.
//
//   Threads  none of its own: guarded by whoever owns the list
//   Cost     O(1) everything; an element can be taken out without searching
#pragma once

#include "weft/base/assert.hpp"

namespace weft {

/// The links of an element. An element derives from list_hook<Tag>; the tag lets it be on several
/// lists at a time, one for each tag.
template <class Tag = void>
class list_hook {
 public:
  list_hook() noexcept {}  // prev_ is written when it is linked
  list_hook(const list_hook&) = delete;
  list_hook& operator=(const list_hook&) = delete;
  ~list_hook() {
    WEFT_ASSERT(!is_linked(),
                "a list element was destroyed while still on a list; take it out first");
  }
  bool is_linked() const noexcept { return next_ != nullptr; }
  void unlink() noexcept {
    WEFT_ASSERT(is_linked(), "an element that is on no list was unlinked twice");
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = nullptr;
  }

 private:
  template <class, class>
  friend class intrusive_list;
  list_hook* next_ = nullptr;
  list_hook* prev_;  // of one that is linked
};

template <class T, class Tag = void>
class intrusive_list {
  using hook = list_hook<Tag>;

 public:
  intrusive_list() noexcept { head_.next_ = head_.prev_ = &head_; }
  ~intrusive_list() {
    WEFT_ASSERT(empty(), "a list was destroyed with elements on it");
    head_.next_ = head_.prev_ = nullptr;
  }
  intrusive_list(const intrusive_list&) = delete;
  intrusive_list& operator=(const intrusive_list&) = delete;

  bool empty() const noexcept { return head_.next_ == &head_; }
  void push_back(T& element) noexcept { insert_before(head_, element); }
  void push_front(T& element) noexcept { insert_before(*head_.next_, element); }
  T& front() noexcept {
    WEFT_ASSERT(!empty(), "front or pop_front of an empty list");
    return *static_cast<T*>(head_.next_);
  }
  T& back() noexcept {
    WEFT_ASSERT(!empty(), "back of an empty list");
    return *static_cast<T*>(head_.prev_);
  }
  T& pop_front() noexcept {
    T& element = front();
    static_cast<hook&>(element).unlink();
    return element;
  }
  /// Calls f(element) for each, oldest first; f may unlink the element that it is given.
  template <class F>
  void for_each(F f) {
    for (hook* h = head_.next_; h != &head_;) {
      hook* next = h->next_;
      f(*static_cast<T*>(h));
      h = next;
    }
  }
  template <class F>
  void for_each(F f) const {
    for (const hook* h = head_.next_; h != &head_; h = h->next_) f(*static_cast<const T*>(h));
  }
  /// Whether f(element) is true of one; asked from the oldest on, up to the first such.
  template <class F>
  bool any_of(F f) const {
    for (const hook* h = head_.next_; h != &head_; h = h->next_) {
      if (f(*static_cast<const T*>(h))) return true;
    }
    return false;
  }
  /// Moves all elements of `other` to the end of this list.
  void splice_back(intrusive_list& other) noexcept {
    if (other.empty()) return;
    hook* first = other.head_.next_;
    hook* last = other.head_.prev_;
    other.head_.next_ = other.head_.prev_ = &other.head_;
    first->prev_ = head_.prev_;
    head_.prev_->next_ = first;
    last->next_ = &head_;
    head_.prev_ = last;
  }

 private:
  void insert_before(hook& where, T& element) noexcept {
    hook& h = element;
    WEFT_ASSERT(!h.is_linked(), "an element was put on a second list of the same kind");
    h.prev_ = where.prev_;
    h.next_ = &where;
    where.prev_->next_ = &h;
    where.prev_ = &h;
  }
  hook head_;
};

/// First in, first out, through the elements' own member pointer `Next`.
template <class T, T* T::* Next>
class intrusive_queue {
 public:
  intrusive_queue() noexcept = default;
  intrusive_queue(const intrusive_queue&) = delete;
  intrusive_queue& operator=(const intrusive_queue&) = delete;

  bool empty() const noexcept { return head_ == nullptr; }
  void push(T& element) noexcept {
    element.*Next = nullptr;
    (tail_ ? tail_->*Next : head_) = &element;
    tail_ = &element;
  }
  T* pop() noexcept {
    T* element = head_;
    if (element) {
      head_ = element->*Next;
      if (!head_) tail_ = nullptr;
      element->*Next = nullptr;
    }
    return element;
  }

 private:
  T* head_ = nullptr;
  T* tail_ = nullptr;
};

}  // namespace weft
