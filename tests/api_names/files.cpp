// Files.
#include <array>

#include "api_names.hpp"

namespace {

namespace fs = weft::fs;

std::span<const std::byte> text(std::string_view s) { return std::as_bytes(std::span(s)); }

}  // namespace

weft::task<> files() {
  auto made = co_await fs::temp_directory::create();
  CHECK(made);
  const std::string top = made->path();
  auto opened = co_await fs::open(top + "/a", {.write = true, .create_new = true});
  CHECK(opened);
  const auto wrote = co_await opened->write_at(text("hello"), 0);
  const auto some = co_await opened->write_some_at(text("!"), 5);
  const auto synced = co_await opened->sync();
  const auto data = co_await opened->data_sync();
  CHECK(wrote && some && *some == 1 && synced && data);
  std::array<std::byte, 8> buffer;
  const auto n = co_await opened->read_at(buffer, 0);
  const auto part = co_await opened->read_some_at(buffer, 1);
  const auto seen = co_await opened->metadata();
  CHECK(n && *n == 6 && part && *part == 5 && seen && seen->size == 6);
  const auto sized = co_await opened->set_size(5);
  CHECK(sized && opened->try_lock() && opened->unlock());
  const auto closed = co_await opened->close();
  CHECK(closed);

  const auto all = co_await fs::read_all(top + "/a");
  const auto read = co_await fs::read_text(top + "/a", 100);
  CHECK(all && all->size() == 5 && read && *read == "hello");
  const auto written = co_await fs::write_all(top + "/b", text("b"), {.durable = false});
  const auto as_text = co_await fs::write_text(top + "/b", "c");
  const auto added = co_await fs::append(top + "/b", text("d"));
  const auto text_added = co_await fs::append_text(top + "/b", "e");
  CHECK(written && as_text && added && text_added);

  const auto about = co_await fs::metadata(top + "/b");
  const auto there = co_await fs::exists(top + "/c");
  const auto folder = co_await fs::create_directory(top + "/d");
  const auto folders = co_await fs::create_directories(top + "/d/e/f");
  CHECK(about && about->size == 3 && there && !*there && folder && folders);
  auto watching = co_await fs::watch(top);
  CHECK(watching);
  const auto moved = co_await fs::rename(top + "/b", top + "/c");
  CHECK(moved);
  const auto event = co_await watching->next();
  CHECK(event && event->kind == fs::watch_kind::renamed);
  const auto copied = co_await fs::copy(top + "/c", top + "/g");
  const auto removed = co_await fs::remove(top + "/c");
  CHECK(copied && *copied == 3 && removed);
  unsigned listed = 0, walked = 0;
  auto names = fs::read_dir(top);
  for (;;) {
    const auto next = co_await names.next();
    if (!next) break;
    ++listed;
  }
  auto tree = fs::walk(top);
  for (;;) {
    const auto next = co_await tree.next();
    if (!next) break;
    ++walked;
  }
  CHECK(listed == 3 && walked == 6);
  auto scratch = co_await fs::temp_file::create(top);
  CHECK(scratch);
  const fs::aligned_buffer aligned(1);
  CHECK(aligned.size() == 4096);
  const auto gone = co_await fs::remove_all(top + "/d");
  CHECK(gone && *gone == 3);
}
