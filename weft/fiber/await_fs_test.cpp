// Each wait of weft/fs in a fiber, on each driver: it waits, goes on with the right result, and a stop unwinds it. Who
// calls on a disk cannot be called off: what had begun ends first, and then the stack is unwound.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "weft/fiber/one_wait_test_support.hpp"
#include "weft/fs/file.hpp"
#include "weft/fs/fs_test_support.hpp"
#include "weft/fs/paths.hpp"
#include "weft/fs/read_dir.hpp"
#include "weft/fs/temporary.hpp"
#include "weft/fs/watch.hpp"
#include "weft/fs/whole.hpp"

namespace weft::fs {
namespace {

namespace files = std::filesystem;
using test::bytes_of;
using test_support::one_wait;
using test_support::wait_end;

class await_fs : public test::on_each_driver {
 protected:
  template <class Row>
  void in_each_way(const Row& row) {
    test_support::in_each_way(row, {.io = GetParam()});
  }
  /// Of one operation: a row.
  template <class Waits>
  void row(const Waits& waits) {
    in_each_way([&](const one_wait& wait) { wait([&] { waits(); }); });
  }
  template <class Waits>
  void row_of_open_file(const Waits& waits) {
    in_each_way([&](const one_wait& wait) {
      here_.put("a", "abcdef");
      auto f = await(open(here_.at("a"), {.read = true, .write = true}));
      ASSERT_TRUE(f);
      wait([&] { waits(*f); });
      EXPECT_TRUE(await(f->close()));
    });
  }
  std::array<std::byte, 8> room_{};
};
INSTANTIATE_TEST_SUITE_P(drivers, await_fs, test::all_drivers, test::driver_name);

TEST_P(await_fs, open_and_close) {
  here_.put("a", "abc");
  row([&] {
    const auto f = await(open(here_.at("a")));
    EXPECT_TRUE(f);
  });
  row([&] {
    const auto f = await(open(here_.at("nothing")));
    EXPECT_EQ(f.error(), std::errc::no_such_file_or_directory);
  });
  in_each_way([&](const one_wait& wait) {
    std::optional<file> f;
    wait([&] {
      f = file(os::fd(), file_info());
      auto opened = await(open(here_.at("a"), {.write = true}));
      ASSERT_TRUE(opened);
      f = std::move(*opened);
      EXPECT_TRUE(await(f->close()));
    });
  });
}

TEST_P(await_fs, reads_of_an_open_file) {
  row_of_open_file([&](file& f) { EXPECT_EQ(await(f.read_at(room_, 1)), 5u); });
  row_of_open_file([&](file& f) {
    const auto n = await(f.read_some_at(std::span(room_).first(2), 4));
    EXPECT_EQ(n, 2u);
    EXPECT_EQ(room_[0], std::byte{'e'});
  });
  row_of_open_file([&](file& f) {
    const auto seen = await(f.metadata());
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->size, 6u);
  });
}

TEST_P(await_fs, writes_to_an_open_file) {
  row_of_open_file([&](file& f) {
    EXPECT_TRUE(await(f.write_at(bytes_of("AB"), 0)));
    EXPECT_EQ(here_.get("a"), "ABcdef");
  });
  row_of_open_file([&](file& f) {
    EXPECT_EQ(await(f.write_some_at(bytes_of("F"), 5)), 1u);
    EXPECT_EQ(here_.get("a"), "abcdeF");
  });
  row_of_open_file([&](file& f) {
    EXPECT_TRUE(await(f.set_size(3)));
    EXPECT_EQ(here_.get("a"), "abc");
  });
  row_of_open_file([&](file& f) { EXPECT_TRUE(await(f.sync())); });
  row_of_open_file([&](file& f) { EXPECT_TRUE(await(f.data_sync())); });
  row_of_open_file([&](file& f) {
    const auto kept = await(f.allocate(0, 4096));
    EXPECT_TRUE(kept || kept.error() == std::errc::operation_not_supported);
  });
}

TEST_P(await_fs, whole_files) {
  row([&] {
    EXPECT_TRUE(await(write_text(here_.at("a"), "text", {.durable = false})));
    EXPECT_EQ(here_.get("a"), "text");
  });
  row([&] { EXPECT_EQ(await(read_text(here_.at("a"))), "text"); });
  row([&] { EXPECT_EQ(await(read_all(here_.at("a"))).value().size(), 4u); });
  row([&] {
    here_.put("a", "text");
    EXPECT_TRUE(await(append_text(here_.at("a"), "+", {.durable = false})));
    EXPECT_EQ(here_.get("a"), "text+");
  });
  row([&] {
    here_.put("a", "text");
    EXPECT_TRUE(await(append(here_.at("a"), bytes_of("-"), {.durable = false})));
    EXPECT_EQ(here_.get("a"), "text-");
  });
}

/// All of paths.hpp are tasks around the same calls.
TEST_P(await_fs, names) {
  row([&] {
    files::remove(here_.at("d"));
    EXPECT_TRUE(await(create_directory(here_.at("d"))));
    EXPECT_TRUE(here_.has("d"));
  });
  row([&] { EXPECT_EQ(await(exists(here_.at("d"))), true); });
  row([&] { EXPECT_TRUE(await(create_directories(here_.at("x/y/z")))); });
  row([&] {
    files::create_directories(here_.at("x/y"));
    EXPECT_TRUE(await(remove_all(here_.at("x"))));
    EXPECT_FALSE(here_.has("x"));
  });
  row([&] { EXPECT_TRUE(await(metadata(here_.at("d")))); });
  row([&] { EXPECT_TRUE(await(link_metadata(here_.at("d")))); });
  row([&] {
    here_.put("a", "abc");
    files::remove(here_.at("b"));
    EXPECT_TRUE(await(rename(here_.at("a"), here_.at("b"))));
    EXPECT_EQ(here_.get("b"), "abc");
  });
  row([&] {
    here_.put("a", "abc");
    EXPECT_EQ(await(rename_new(here_.at("a"), here_.at("b"))).error(), std::errc::file_exists);
  });
  row([&] {
    files::remove(here_.at("c"));
    EXPECT_EQ(await(copy(here_.at("b"), here_.at("c"))), 3u);
    EXPECT_EQ(here_.get("c"), "abc");
  });
  row([&] {
    here_.put("a", "abc");
    EXPECT_TRUE(await(remove(here_.at("a"))));
    EXPECT_FALSE(here_.has("a"));
  });
}

TEST_P(await_fs, a_folder_and_its_temporary_things) {
  here_.put("a", "");
  row([&] {
    auto all = read_dir(here_.path());
    const auto first = await(all.next());
    ASSERT_TRUE(first);
    EXPECT_FALSE(await(all.next()));
  });
  row([&] {
    auto d = await(temp_directory::create(here_.path()));
    ASSERT_TRUE(d);
    EXPECT_TRUE(await(d->remove()));
  });
  EXPECT_EQ(here_.count(), 1u);
}

/// This one waits for what others do, and loses none when it is stopped.
TEST_P(await_fs, a_watch) {
  in_each_way([&](const one_wait& wait) {
    files::remove(here_.at("a"));
    auto seen = await(watch(here_.path()));
    ASSERT_TRUE(seen);
    wait(
        [&] {
          const auto event = await(seen->next());
          ASSERT_TRUE(event);
          EXPECT_EQ(event->kind, watch_kind::created);
          EXPECT_EQ(event->path, here_.at("a"));
        },
        [&] { here_.put("a", ""); });
  });
}

}  // namespace
}  // namespace weft::fs
