// Everything that is done with files, stopped at every await, on each driver: nothing hangs, nothing is left
// open, no half of a file and no temporary one stays, and what was done is not denied.
#include "weft/base/config.hpp"

#if WEFT_CENSUS  // the harness needs the hook that only these builds have

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "weft/fs/file.hpp"
#include "weft/fs/fs_test_support.hpp"
#include "weft/fs/paths.hpp"
#include "weft/fs/read_dir.hpp"
#include "weft/fs/temporary.hpp"
#include "weft/fs/watch.hpp"
#include "weft/fs/whole.hpp"
#include "weft/testing/cancel_everywhere.hpp"

namespace weft::fs {
namespace {

namespace files = std::filesystem;
using test::bytes_of;
using testing::cancel_everywhere;
using testing::virtual_options;
using testing::virtual_runtime;

class cancel : public test::on_each_driver {
 protected:
  /// Stops `scenario` everywhere. `check(stopped)` says what must hold afterwards.
  template <class Scenario, class Check>
  void everywhere(const Scenario& scenario, const Check& check) {
    const auto report = cancel_everywhere(
        [&](virtual_runtime& rt) { return rt.spawn([&]() -> task<> { co_await scenario(); }); },
        check, virtual_options{.io = GetParam()});
    EXPECT_GT(report.awaits, 0u);
    EXPECT_GT(report.stopped, 0u) << "no stop ever arrived";
    EXPECT_GT(report.completed, 0u);
  }
};

TEST_P(cancel, an_open_file) {
  const std::string text(100'000, 'x');
  everywhere(
      [&]() -> task<> {
        files::remove(here_.at("a"));
        auto f = co_await open(here_.at("a"), {.write = true, .create = true});
        WEFT_REQUIRE(f);
        const auto wrote = co_await f->write_at(bytes_of(text), 0);
        const auto some = co_await f->write_some_at(bytes_of("y"), text.size());
        const auto kept = co_await f->allocate(0, 4096);
        const auto sized = co_await f->set_size(text.size());
        const auto synced = co_await f->sync();
        const auto data = co_await f->data_sync();
        const auto seen = co_await f->metadata();
        std::array<std::byte, 100> buffer;
        const auto n = co_await f->read_at(buffer, 0);
        const auto part = co_await f->read_some_at(buffer, 0);
        const auto closed = co_await f->close();
        // A stop that came into the middle of what happened is seen at the next await at the latest.
        static_cast<void>(kept);
        EXPECT_TRUE(wrote && some && sized && synced && data && seen && n && part && closed);
      },
      [&](bool stopped) {
        if (!stopped) {
          EXPECT_EQ(here_.get("a"), text);
        }
      });
}

TEST_P(cancel, names) {
  everywhere(
      [&]() -> task<> {
        files::remove_all(here_.at("d"));
        files::remove_all(here_.at("e"));
        const auto made = co_await create_directory(here_.at("d"));
        const auto deep = co_await create_directories(here_.at("d/x/y"));
        const auto moved = co_await rename(here_.at("d"), here_.at("e"));
        const auto seen = co_await metadata(here_.at("e/x"));
        const auto seen_too = co_await link_metadata(here_.at("e/x"));
        const auto away = co_await rename_new(here_.at("e/x"), here_.at("e/z"));
        const auto back = co_await rename_new(here_.at("e/z"), here_.at("e/x"));
        const auto there = co_await exists(here_.at("d"));
        const auto leaf = co_await remove(here_.at("e/x/y"));
        const auto gone = co_await remove_all(here_.at("e"));
        EXPECT_TRUE(made && deep && moved && seen && seen_too && away && back && there && !*there &&
                    leaf && gone);
      },
      [&](bool stopped) {
        if (!stopped) {
          EXPECT_EQ(here_.count(), 0u);
        }
      });
}

TEST_P(cancel, a_file_is_replaced_or_not) {
  const std::string old(5000, 'o'), fresh(6000, 'n');
  here_.put("a", old);
  bool replaced = false;
  everywhere(
      [&]() -> task<> {
        replaced = false;
        const auto back = co_await write_text(here_.at("a"), old, {.durable = false});
        const auto done = co_await write_text(here_.at("a"), fresh, {.durable = false});
        EXPECT_TRUE(back && done);
        replaced = true;
        const auto all = co_await read_text(here_.at("a"));
        EXPECT_TRUE(all && *all == fresh);
        const auto bytes = co_await read_all(here_.at("a"));
        EXPECT_TRUE(bytes && bytes->size() == fresh.size());
        const auto more = co_await append_text(here_.at("a"), "+", {.durable = false});
        EXPECT_TRUE(more);
        const auto cut = co_await write_text(here_.at("a"), fresh, {.durable = false});
        EXPECT_TRUE(cut);
      },
      [&](bool) {
        std::string now = here_.get("a");
        if (now.ends_with('+')) now.pop_back();
        EXPECT_TRUE(now == old || now == fresh) << now.size();
        if (replaced) {
          EXPECT_TRUE(now == fresh);
        }
        EXPECT_EQ(here_.count(), 1u);
      });
}

TEST_P(cancel, a_copy_is_whole_or_not_there) {
  const std::string text(std::size_t{33} << 20, 'x');  // three steps
  here_.put("a", text);
  everywhere(
      [&]() -> task<> {
        files::remove(here_.at("b"));
        const auto n = co_await copy(here_.at("a"), here_.at("b"));
        EXPECT_TRUE(n && *n == text.size());
        const auto again = co_await copy(here_.at("a"), here_.at("b"), {.replace = true});
        EXPECT_TRUE(again);
      },
      [&](bool) {
        if (here_.has("b")) {
          EXPECT_EQ(files::file_size(here_.at("b")), text.size());
        }
        EXPECT_LE(here_.count(), 2u) << "something temporary was left";
      });
}

TEST_P(cancel, a_walk) {
  files::create_directories(here_.at("a/b"));
  here_.put("a/f", "");
  unsigned seen = 0;
  everywhere(
      [&]() -> task<> {
        seen = 0;
        auto all = walk(here_.path());
        for (;;) {
          auto next = co_await all.next();
          if (!next) break;
          ++seen;
        }
        auto names = read_dir(here_.at("a"));
        for (;;) {
          auto next = co_await names.next();
          if (!next) break;
          ++seen;
        }
      },
      [&](bool stopped) {
        if (!stopped) {
          EXPECT_EQ(seen, 6u);
        }
      });
}

TEST_P(cancel, temporary_things) {
  everywhere(
      [&]() -> task<> {
        auto d = co_await temp_directory::create(here_.path());
        WEFT_REQUIRE(d);
        auto f = co_await temp_file::create(d->path());
        WEFT_REQUIRE(f);
        const auto wrote = co_await f->file().write_at(bytes_of("x"), 0);
        const auto gone = co_await f->remove();
        auto other = co_await temp_file::create(d->path());
        EXPECT_TRUE(wrote && gone && other);
      },
      [&](bool) { EXPECT_EQ(here_.count(), 0u); });
}

TEST_P(cancel, a_watch) {
  everywhere(
      [&]() -> task<> {
        files::remove(here_.at("a"));
        auto w = co_await watch(here_.path());
        WEFT_REQUIRE(w);
        auto maker = spawn([&]() -> task<> {
          const auto done = co_await append_text(here_.at("a"), "a", {.durable = false});
          static_cast<void>(done);
        });
        const auto e = co_await w->next();
        EXPECT_TRUE(e && e->kind == watch_kind::created);
        co_await maker;
      },
      [](bool) {});
}

TEST_P(cancel, a_watch_of_a_tree) {
  everywhere(
      [&]() -> task<> {
        files::remove_all(here_.at("d"));
        files::create_directories(here_.at("d/old"));
        auto w = co_await watch(here_.at("d"), {.recursive = true});
        WEFT_REQUIRE(w);
        files::create_directories(here_.at("d/a/b"));
        here_.put("d/a/b/f", "");
        for (;;) {
          const auto e = co_await w->next();
          WEFT_REQUIRE(e);
          if (e->path == here_.at("d/a/b/f")) break;
        }
      },
      [](bool) {});
}

INSTANTIATE_TEST_SUITE_P(drivers, cancel, test::all_drivers, test::driver_name);

}  // namespace
}  // namespace weft::fs

#endif
