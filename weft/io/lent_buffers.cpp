// A thread's own free buffers need no lock. When it ends they go to the shared ones; what is given
// back on it later still (by the destructor of another thread_local, or of a static object) goes
// there at once: so the state of a thread has no destructor, and its caretaker has one.
#include "weft/io/lent_buffers.hpp"

#include <new>

#include "weft/base/config.hpp"
#include "weft/base/spin_lock.hpp"

namespace weft::io {
namespace {

/// Lies at the start of a free buffer.
struct free_buffer {
  free_buffer* next;
};

struct shared_buffers {
  spin_lock lock;
  free_buffer* head = nullptr;
  unsigned count = 0;
};
constinit shared_buffers shared;

struct own_buffers {
  free_buffer* head = nullptr;
  unsigned count = 0;
  bool watched = false;  // a caretaker will come
  bool over = false;     // it has come
};
constinit thread_local own_buffers own;

void to_heap(free_buffer* buffer) noexcept {
  ::operator delete(static_cast<void*>(buffer), lent_bytes_max);
}

void to_shared(free_buffer* buffer) noexcept {
  {
    const spin_guard held(shared.lock);
    if (shared.count < lent_buffers_shared_max) {
      buffer->next = shared.head;
      shared.head = buffer;
      ++shared.count;
      return;
    }
  }
  to_heap(buffer);
}

free_buffer* from_shared() noexcept {
  const spin_guard held(shared.lock);
  free_buffer* const taken = shared.head;
  if (taken == nullptr) return nullptr;
  shared.head = taken->next;
  --shared.count;
  return taken;
}

struct caretaker {
  caretaker() noexcept { own.watched = true; }
  ~caretaker() {
    own.over = true;
    while (free_buffer* const buffer = own.head) {
      own.head = buffer->next;
      to_shared(buffer);
    }
    own.count = 0;
  }
};

void be_watched() noexcept {
  thread_local caretaker of_thread;
  static_cast<void>(of_thread);
}

// Neither is inlined: a coroutine is resumed on another thread, and a compiler may keep the address
// of a thread_local across that.
WEFT_NOINLINE void keep(free_buffer* buffer) noexcept {
  if (own.over || own.count == lent_buffers_of_thread_max) return to_shared(buffer);
  if (!own.watched) be_watched();
  buffer->next = own.head;
  own.head = buffer;
  ++own.count;
}
WEFT_NOINLINE free_buffer* take_own() noexcept {
  free_buffer* const taken = own.head;
  if (taken == nullptr) return nullptr;
  own.head = taken->next;
  --own.count;
  return taken;
}

class heap final : public buffer_lender {
 public:
  constexpr heap() noexcept = default;
  void give_back(std::byte* buffer) noexcept override { keep(new (buffer) free_buffer{nullptr}); }
};
constinit heap of_process;

}  // namespace

std::byte* borrow_from_heap() noexcept {
  void* taken = take_own();
  if (taken == nullptr) taken = from_shared();
  if (taken == nullptr) taken = ::operator new(lent_bytes_max, std::nothrow);
  return static_cast<std::byte*>(taken);
}

buffer_lender& heap_lender() noexcept { return of_process; }

}  // namespace weft::io
