// shared_test_support: memory that children of a fork share, and children that are killed.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <span>

namespace weft::test_support {

class shared_pages {
 public:
  explicit shared_pages(std::size_t bytes) : bytes_(bytes) {
    at_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(at_, MAP_FAILED);
  }
  ~shared_pages() { ::munmap(at_, bytes_); }
  shared_pages(const shared_pages&) = delete;
  shared_pages& operator=(const shared_pages&) = delete;
  std::span<std::byte> all() const { return {static_cast<std::byte*>(at_), bytes_}; }

 private:
  void* at_;
  std::size_t bytes_;
};

/// A process that runs f. It is ended by number, and by the system after a minute.
class child {
 public:
  template <class F>
  explicit child(F f) : pid_(::fork()) {
    if (pid_ != 0) return;
    ::alarm(60);
    ::_exit(f() ? 0 : 1);
  }
  child(child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  ~child() { kill(); }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    static_cast<void>(join());
  }
  /// Killed, and still a zombie: nobody has asked for its status.
  void kill_only() const { ::kill(pid_, SIGKILL); }
  /// Whether it ended by itself and was content.
  bool join() {
    int status = -1;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status == 0;
  }

 private:
  pid_t pid_;
};

}  // namespace weft::test_support
