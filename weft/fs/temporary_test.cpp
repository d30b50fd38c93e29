// Temporary things go, whichever way the end comes.
#include "weft/fs/temporary.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>

#include "weft/fs/fs_test_support.hpp"
#include "weft/fs/whole.hpp"

namespace weft::fs {
namespace {

class temporaries : public test::on_each_driver {};

TEST_P(temporaries, a_file_and_a_folder_are_removed_or_kept) {
  run([&]() -> task<> {
    auto f = co_await temp_file::create(here_.path());
    auto d = co_await temp_directory::create(here_.path());
    WEFT_REQUIRE(f && d);
    EXPECT_NE(f->path(), d->path());
    EXPECT_EQ(here_.count(), 2u);
    const auto wrote = co_await f->file().write_at(test::bytes_of("x"), 0);
    EXPECT_TRUE(wrote);
    const auto inside = co_await write_text(d->path() + "/a", "a");
    EXPECT_TRUE(inside);
    const auto gone = co_await f->remove();
    const auto gone_too = co_await d->remove();
    EXPECT_TRUE(gone && gone_too);
    EXPECT_EQ(here_.count(), 0u);

    auto kept = co_await temp_file::create(here_.path(), "kept-");
    WEFT_REQUIRE(kept);
    const std::string path = kept->keep();
    EXPECT_TRUE(path.starts_with(here_.at("kept-")));
    auto nowhere = co_await temp_directory::create(here_.at("no"));
    EXPECT_EQ(nowhere.error(), std::errc::no_such_file_or_directory);
    auto bad = co_await temp_directory::create(here_.path(), "../x");
    EXPECT_EQ(bad.error(), std::errc::invalid_argument);
  });
  EXPECT_EQ(here_.count(), 1u);
}

TEST_P(temporaries, an_exception_takes_them_along) {
  run([&]() -> task<> {
    const auto fails = [&]() -> task<> {
      auto f = co_await temp_file::create(here_.path());
      auto d = co_await temp_directory::create(here_.path());
      WEFT_REQUIRE(f && d);
      const auto inside = co_await write_text(d->path() + "/a", "a");
      EXPECT_TRUE(inside);
      EXPECT_EQ(here_.count(), 2u);
      throw std::runtime_error("no");
    };
    try {
      co_await fails();
    } catch (const std::runtime_error&) {
    }
  });
  EXPECT_EQ(here_.count(), 0u) << "the runtime ended before they had gone";
}

// No runtime is left to do it: the destructor does.
TEST_P(temporaries, one_that_outlives_its_runtime_is_removed_too) {
  std::optional<temp_directory> kept;
  run([&]() -> task<> {
    auto d = co_await temp_directory::create(here_.path());
    WEFT_REQUIRE(d);
    const auto inside = co_await write_text(d->path() + "/a", "a");
    EXPECT_TRUE(inside);
    kept = std::move(*d);
  });
  EXPECT_EQ(here_.count(), 1u);
  kept.reset();
  EXPECT_EQ(here_.count(), 0u);
}

INSTANTIATE_TEST_SUITE_P(drivers, temporaries, test::all_drivers, test::driver_name);

}  // namespace
}  // namespace weft::fs
