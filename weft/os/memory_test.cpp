// memory, fd, error.
#include "weft/os/memory.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
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

TEST(os_memory, aligned_pages_are_aligned_and_nothing_else_stays_mapped) {
  const std::size_t alignment = 64 * page_size();
  for (const std::size_t bytes : {page_size(), alignment, 3 * alignment}) {
    auto mapped = map_pages_aligned(bytes, alignment);
    ASSERT_TRUE(mapped);
    auto* const first = static_cast<unsigned char*>(*mapped);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % alignment, 0u);
    std::memset(first, 1, bytes);
    unmap_pages(first, bytes);
  }
  EXPECT_FALSE(map_pages_aligned(std::size_t{1} << 60, alignment));
  EXPECT_FALSE(map_pages_aligned(SIZE_MAX - page_size() + 1, alignment));
}

TEST(os_memory, forgotten_pages_are_zero_and_usable_again) {
  const std::size_t page = page_size();
  auto mapped = map_pages(3 * page);
  ASSERT_TRUE(mapped);
  auto* const bytes = static_cast<unsigned char*>(*mapped);
  std::memset(bytes, 7, 3 * page);
  forget_pages(bytes + page, page);
  EXPECT_EQ(bytes[page - 1], 7);
  EXPECT_EQ(bytes[page], 0);
  EXPECT_EQ(bytes[2 * page - 1], 0);
  EXPECT_EQ(bytes[2 * page], 7);
  bytes[page] = 8;
  EXPECT_EQ(bytes[page], 8);
  unmap_pages(bytes, 3 * page);
}

}  // namespace
}  // namespace weft::os
