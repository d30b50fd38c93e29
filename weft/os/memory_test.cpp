// memory, fd, error.
#include "weft/os/memory.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "weft/base/census.hpp"
#include "weft/os/error.hpp"
#include "weft/os/fd.hpp"

namespace weft::os {
namespace {

TEST(os_fd, counts_and_closes_once) {
  const long before = live_census().fds;
  fd a(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(a);
  EXPECT_EQ(live_census().fds, before + WEFT_CENSUS);
  fd b(std::move(a));
  EXPECT_FALSE(a);
  EXPECT_EQ(a.get(), -1);
  EXPECT_EQ(live_census().fds, before + WEFT_CENSUS);
  const int number = b.get();
  b = fd();
  EXPECT_EQ(live_census().fds, before);
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  fd none(-1);
  EXPECT_FALSE(none.close());
  fd again(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int given = again.release();
  EXPECT_EQ(live_census().fds, before);
  EXPECT_FALSE(fd(given).close());
  EXPECT_EQ(live_census().fds, before);
}

TEST(os_error, compares_with_the_standard_codes) {
  EXPECT_EQ(from_errno(EADDRINUSE), std::errc::address_in_use);
  EXPECT_EQ(from_errno(EAGAIN), std::errc::operation_would_block);
  EXPECT_FALSE(from_errno(0));
  errno = ENOENT;
  EXPECT_EQ(last_error(), std::errc::no_such_file_or_directory);
}

TEST(os_memory, pages_are_zero_and_a_guard_faults) {
  const std::size_t page = page_size();
  EXPECT_EQ(page & (page - 1), 0u);
  auto mapped = map_pages(3 * page - 5);
  ASSERT_TRUE(mapped);
  auto* const bytes = static_cast<unsigned char*>(*mapped);
  for (std::size_t i = 0; i < 3 * page; i += 97) ASSERT_EQ(bytes[i], 0);
  std::memset(bytes, 1, 3 * page);
  ASSERT_TRUE(protect_none(bytes, page));
  bytes[page] = 2;
  EXPECT_DEATH(bytes[page - 1] = 2, "");
  unmap_pages(bytes, 3 * page - 5);
  EXPECT_FALSE(map_pages(0));
  EXPECT_FALSE(map_pages(SIZE_MAX));
  EXPECT_FALSE(map_pages(std::size_t{1} << 60));
}

}  // namespace
}  // namespace weft::os
