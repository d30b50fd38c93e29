// Open files: the same results on the ring and on the pool.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <chrono>
#include <limits>
#include <new>
#include <string_view>
#include <thread>
#include <vector>

#include "weft/fs/direct.hpp"
#include "weft/fs/file.hpp"
#include "weft/fs/fs_test_support.hpp"
#include "weft/io/file_entry_uring.hpp"
#include "weft/io/ring_uring.hpp"
#include "weft/runtime/time.hpp"

namespace weft::fs {
namespace {

using test::bytes_of;
using test::folder;

class open_file : public test::on_each_driver {};

TEST_P(open_file, what_is_written_at_an_offset_is_read_there) {
  run([&]() -> task<> {
    auto f = co_await open(here_.at("a"), {.write = true, .create = true});
    WEFT_REQUIRE(f);
    const auto wrote = co_await f->write_at(bytes_of("hello world"), 3);
    EXPECT_TRUE(wrote);
    std::array<std::byte, 32> buffer;
    const auto n = co_await f->read_at(buffer, 9);
    WEFT_REQUIRE(n);
    EXPECT_EQ(*n, 5u) << "the rest, to the file's end";
    const auto seen = co_await f->metadata();
    WEFT_REQUIRE(seen);
    EXPECT_EQ(seen->size, 14u);
    EXPECT_EQ(seen->kind, file_kind::regular);
    const auto some = co_await f->read_some_at(std::span(buffer).first(2), 3);
    WEFT_REQUIRE(some);
    EXPECT_EQ(*some, 2u);
    const auto past = co_await f->read_at(buffer, 100);
    WEFT_REQUIRE(past);
    EXPECT_EQ(*past, 0u);
    const auto nothing = co_await f->read_at(std::span<std::byte>(), 0);
    WEFT_REQUIRE(nothing);
    EXPECT_EQ(*nothing, 0u);
    const auto synced = co_await f->sync();
    const auto data_synced = co_await f->data_sync();
    EXPECT_TRUE(synced && data_synced);
    const auto closed = co_await f->close();
    EXPECT_TRUE(closed);
    EXPECT_FALSE(*f);
  });
  EXPECT_EQ(here_.get("a"), std::string("\0\0\0hello world", 14));
}

TEST_P(open_file, options_mean_what_they_say) {
  here_.put("old", "old");
  run([&]() -> task<> {
    auto none = co_await open(here_.at("none"));
    EXPECT_EQ(none.error(), std::errc::no_such_file_or_directory);
    auto taken = co_await open(here_.at("old"), {.write = true, .create_new = true});
    EXPECT_EQ(taken.error(), std::errc::file_exists);
    auto contradiction = co_await open(here_.at("old"), {.truncate = true});
    EXPECT_EQ(contradiction.error(), std::errc::invalid_argument);
    auto nothing = co_await open(here_.at("old"), {.read = false});
    EXPECT_EQ(nothing.error(), std::errc::invalid_argument);
    std::string zero = here_.at("old");
    zero += '\0';
    auto bad = co_await open(zero);
    EXPECT_EQ(bad.error(), std::errc::invalid_argument);

    auto readable = co_await open(here_.at("old"));
    WEFT_REQUIRE(readable);
    const auto refused = co_await readable->write_at(bytes_of("x"), 0);
    EXPECT_EQ(refused.error(), std::errc::bad_file_descriptor);

    auto end = co_await open(here_.at("old"), {.read = false, .append = true});
    WEFT_REQUIRE(end);
    const auto first = co_await end->write_at(bytes_of("er"), 0);
    const auto second = co_await end->write_at(bytes_of(" still"), 0);
    EXPECT_TRUE(first && second);
    EXPECT_EQ(here_.get("old"), "older still");

    auto emptied = co_await open(here_.at("old"), {.write = true, .truncate = true});
    WEFT_REQUIRE(emptied);
    EXPECT_EQ(here_.get("old"), "");
    auto made = co_await open(here_.at("new"), {.write = true, .create_new = true, .mode = 0600});
    WEFT_REQUIRE(made);
    const auto seen = co_await made->metadata();
    WEFT_REQUIRE(seen);
    EXPECT_EQ(seen->permissions, 0600u);
  });
}

TEST_P(open_file, its_size_is_set_and_room_is_kept) {
  run([&]() -> task<> {
    auto f = co_await open(here_.at("a"), {.write = true, .create = true});
    WEFT_REQUIRE(f);
    const auto grown = co_await f->set_size(1000);
    EXPECT_TRUE(grown);
    EXPECT_EQ(here_.get("a"), std::string(1000, '\0'));
    const auto cut = co_await f->set_size(10);
    EXPECT_TRUE(cut);
    const auto kept = co_await f->allocate(0, 8192);
    if (!kept) {  // a matter of the file system
      EXPECT_EQ(kept.error(), std::errc::operation_not_supported);
      co_return;
    }
    const auto seen = co_await f->metadata();
    WEFT_REQUIRE(seen);
    EXPECT_EQ(seen->size, 8192u);
    EXPECT_GE(seen->allocated, 8192u);
  });
}

// UINT64_MAX says "where the position is" to the ring, which would overwrite the file's head.
TEST_P(open_file, an_offset_that_no_file_has_is_refused) {
  here_.put("a", "kept");
  run([&]() -> task<> {
    auto f = co_await open(here_.at("a"), {.write = true});
    WEFT_REQUIRE(f);
    const auto why = [](const auto& r) { return r ? std::error_code() : r.error(); };
    constexpr auto last = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    for (const std::uint64_t offset : {std::numeric_limits<std::uint64_t>::max(), last + 1}) {
      const auto wrote = co_await f->write_at(bytes_of("lost"), offset);
      EXPECT_EQ(why(wrote), std::errc::invalid_argument);
      const auto some = co_await f->write_some_at(bytes_of("lost"), offset);
      EXPECT_EQ(why(some), std::errc::invalid_argument);
      const auto nothing = co_await f->write_at(bytes_of(""), offset);
      EXPECT_EQ(why(nothing), std::errc::invalid_argument);
      std::array<std::byte, 4> buffer;
      const auto n = co_await f->read_at(buffer, offset);
      EXPECT_EQ(why(n), std::errc::invalid_argument);
      const auto cut = co_await f->set_size(offset);
      EXPECT_EQ(why(cut), std::errc::invalid_argument);
      const auto room = co_await f->allocate(offset, 1);
      EXPECT_EQ(why(room), std::errc::invalid_argument);
    }
    std::array<std::byte, 4> buffer;
    const auto at_the_last = co_await f->read_at(std::span(buffer).first(0), last);
    EXPECT_TRUE(at_the_last);
  });
  EXPECT_EQ(here_.get("a"), "kept");
}

// More than the ring does at once in one piece, and more than one piece of a disk's.
TEST_P(open_file, a_long_transfer_is_whole) {
  constexpr std::size_t size = std::size_t{24} << 20;
  run([&]() -> task<> {
    std::vector<std::byte> out(size);
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * 31 >> 8);
    auto f = co_await open(here_.at("big"), {.write = true, .create = true});
    WEFT_REQUIRE(f);
    const auto wrote = co_await f->write_at(out, 0);
    EXPECT_TRUE(wrote);
    std::vector<std::byte> in(size + 1);
    const auto n = co_await f->read_at(in, 0);
    WEFT_REQUIRE(n);
    EXPECT_EQ(*n, size);
    in.resize(size);
    EXPECT_TRUE(in == out);
  });
}

// The kernel would wait for a writer, on a thread that nobody could call back.
TEST_P(open_file, a_pipe_is_not_waited_for) {
  ASSERT_EQ(::mkfifo(here_.at("pipe").c_str(), 0600), 0);
  run([&]() -> task<> {
    auto f = co_await open(here_.at("pipe"));
    EXPECT_EQ(f.error(), std::errc::invalid_seek);
  });
}

TEST_P(open_file, a_lock_is_seen_by_who_opened_it_elsewhere) {
  here_.put("a", "a");
  run([&]() -> task<> {
    auto one = co_await open(here_.at("a"));
    auto other = co_await open(here_.at("a"));
    WEFT_REQUIRE(one && other);
    EXPECT_TRUE(one->try_lock());
    EXPECT_EQ(other->try_lock_shared().error(), std::errc::operation_would_block);
    EXPECT_TRUE(one->unlock());
    EXPECT_TRUE(other->try_lock_shared());
    EXPECT_TRUE(one->try_lock_shared());
  });
}

// One that was written is closed by a job on the pool, all before the runtime ends: the test's main
// fails if a descriptor or a job is left.
TEST_P(open_file, one_that_is_dropped_is_closed_and_keeps_what_was_written) {
  run([&]() -> task<> {
    for (int i = 0; i < 20; ++i) {
      auto f = co_await open(here_.at("a"), {.write = true, .create = true});
      WEFT_REQUIRE(f);
      const auto wrote = co_await f->write_at(bytes_of("x"), static_cast<std::uint64_t>(i));
      EXPECT_TRUE(wrote);
      *f = file();  // also by assignment
    }
  });
  EXPECT_EQ(here_.get("a"), std::string(20, 'x'));
}

TEST_P(open_file, direct_io_says_what_does_not_fit) {
  here_.put("a", std::string(8192, 'a'));
  run([&]() -> task<> {
    auto f = co_await open(here_.at("a"), {.write = true, .direct = true});
    if (!f) {  // tmpfs, before Linux 6.6
      EXPECT_EQ(f.error(), std::errc::invalid_argument);
      co_return;
    }
    const direct_alignment needed = f->alignment();
    EXPECT_GE(needed.memory, 1u);
    EXPECT_GT(needed.offset, 1u);
    aligned_buffer buffer(1, needed);
    EXPECT_EQ(buffer.size(), needed.offset);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.bytes().data()) % needed.memory, 0u);
    const auto n = co_await f->read_at(buffer.bytes(), 0);
    WEFT_REQUIRE(n);
    EXPECT_EQ(*n, buffer.size());
    EXPECT_EQ(buffer.bytes()[0], std::byte{'a'});
    const auto odd_place = co_await f->read_at(buffer.bytes(), 1);
    EXPECT_EQ(odd_place.error(), misaligned());
    EXPECT_EQ(odd_place.error(), std::errc::invalid_argument);
    const auto odd_length = co_await f->write_at(buffer.bytes().first(1), 0);
    EXPECT_EQ(odd_length.error(), misaligned());
    const auto wrote = co_await f->write_at(buffer.bytes(), 0);
    EXPECT_TRUE(wrote);
  });
}

TEST(aligned_buffer, a_size_that_cannot_be_rounded_up_is_no_memory) {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  EXPECT_THROW(aligned_buffer{most}, std::bad_alloc);
}

INSTANTIATE_TEST_SUITE_P(drivers, open_file, test::all_drivers, test::driver_name);

// Where the ring is new enough for all, all go through it.
TEST(file_entry, the_probe_knows_what_every_ring_since_linux_5_6_does) {
  io::ring ring;
  io::uring_refusal refusal;
  if (!ring.open(8, refusal)) GTEST_SKIP() << "no io_uring";
  const std::uint32_t codes = io::file_codes_of(ring.descriptor());
  for (const auto code : {os::file_code::open, os::file_code::read, os::file_code::write,
                          os::file_code::sync, os::file_code::stat, os::file_code::allocate}) {
    EXPECT_NE(codes & io::bit_of(code), 0u) << static_cast<int>(code);
  }
  EXPECT_EQ(io::file_codes_of(-1), 0u);
}

// epoll has the sockets then, and the ring what a thread would have to do.
class open_file_beside : public test::on_each_driver {
 protected:
  void SetUp() override {
    test::on_each_driver::SetUp();
    if (IsSkipped()) return;
    const runtime rt({.workers = 1, .io = GetParam()});
    if (rt.metrics().driver_reason.find("io_uring for files") == std::string_view::npos) {
      GTEST_SKIP() << rt.metrics().driver_reason;
    }
  }
};
INSTANTIATE_TEST_SUITE_P(drivers, open_file_beside, ::testing::Values(driver::automatic),
                         test::driver_name);

TEST_P(open_file_beside, no_thread_is_needed_for_what_the_ring_does) {
  here_.put("a", "hello");
  runtime rt({.workers = 2, .io = GetParam()});
  EXPECT_EQ(rt.metrics().driver, "epoll");
  unsigned threads = 1;
  rt.block_on([&]() -> task<> {
    std::array<std::byte, 32> buffer;
    auto written = co_await open(here_.at("a"), {.write = true});
    WEFT_REQUIRE(written);
    for (int i = 0; i < 100; ++i) {
      auto f = co_await open(here_.at("a"));
      WEFT_REQUIRE(f);
      const auto n = co_await f->read_at(buffer, 0);
      EXPECT_EQ(n.value_or(0), 5u);
      const auto wrote = co_await written->write_at(bytes_of("HELLO"), 0);
      EXPECT_TRUE(wrote);
      co_await yield_now();
    }
    threads = rt.metrics().blocking_threads;  // what was written is closed by one
  }());
  EXPECT_EQ(threads, 0u);
  EXPECT_EQ(here_.get("a"), "HELLO");
}

task<> write_for_ever(file& f, std::size_t i, std::atomic<int>& written) {
  const std::string text(4096, static_cast<char>('a' + i % 26));
  for (;;) {
    const auto wrote = co_await f.write_at(bytes_of(text), i * text.size());
    EXPECT_TRUE(wrote);
    ++written;
  }
}
TEST_P(open_file_beside, a_runtime_ends_while_calls_are_under_way) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> written{0};
    file f;
    runtime rt({.workers = 2, .io = GetParam()});
    rt.block_on([&]() -> task<> {
      auto opened = co_await open(here_.at("a"), {.write = true, .create = true});
      WEFT_REQUIRE(opened);
      f = std::move(*opened);
    }());
    constexpr std::size_t writers = 200;  // more than the ring has entries
    for (std::size_t i = 0; i < writers; ++i) {
      rt.spawn(write_for_ever, std::ref(f), i, std::ref(written)).detach();
    }
    while (written < 100 * (round % 5)) std::this_thread::yield();
    EXPECT_TRUE(rt.shutdown(std::chrono::seconds(60)).has_value());
    EXPECT_EQ(rt.metrics().jobs_alive, 0u);
  }
}

}  // namespace
}  // namespace weft::fs
