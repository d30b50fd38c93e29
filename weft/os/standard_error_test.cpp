#include "weft/os/standard_error.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>

namespace weft::os {
namespace {

/// The standard error stream is a pipe while it lives.
class piped_standard_error {
 public:
  piped_standard_error() : kept_(::dup(STDERR_FILENO)) {
    if (::pipe2(ends_, O_NONBLOCK) != 0 || ::dup2(ends_[1], STDERR_FILENO) < 0) std::abort();
  }
  piped_standard_error(const piped_standard_error&) = delete;
  ~piped_standard_error() {
    ::dup2(kept_, STDERR_FILENO);
    for (const int one : {kept_, ends_[0], ends_[1]}) {
      if (one >= 0) ::close(one);
    }
  }
  void fill() {
    const std::string some(4096, 'x');
    while (::write(ends_[1], some.data(), some.size()) > 0) {
    }
  }
  void lose_the_reader() { ::close(std::exchange(ends_[0], -1)); }
  std::string all() {
    std::string all;
    char some[4096];
    for (ssize_t n = 0; (n = ::read(ends_[0], some, sizeof some)) > 0;) {
      all.append(some, static_cast<std::size_t>(n));
    }
    return all;
  }

 private:
  const int kept_;
  int ends_[2];
};

TEST(standard_error, is_told_nothing_more_when_its_reader_has_gone_or_it_is_closed) {
  piped_standard_error piped;
  piped.lose_the_reader();
  const bool without_reader = tell_at_once("a line\n");
  ::close(STDERR_FILENO);
  const bool when_closed = tell_at_once("a line\n");
  EXPECT_TRUE(without_reader && when_closed);
}

TEST(standard_error, takes_a_line_or_nothing_of_it_and_nobody_waits) {
  piped_standard_error piped;
  const bool at_first = tell_at_once("a line\n");
  const std::string said = piped.all();
  piped.fill();
  const bool when_full = tell_at_once("a line\n");
  const std::string fill = piped.all();
  const bool when_read = tell_at_once("another\n");
  const std::string said_then = piped.all();
  EXPECT_TRUE(at_first);
  EXPECT_EQ(said, "a line\n");
  EXPECT_FALSE(when_full);
  EXPECT_EQ(fill.find('a'), std::string::npos);
  EXPECT_TRUE(when_read);
  EXPECT_EQ(said_then, "another\n");
}

}  // namespace
}  // namespace weft::os
