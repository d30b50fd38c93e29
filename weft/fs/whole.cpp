#include "weft/fs/whole.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "weft/fs/file.hpp"
#include "weft/fs/on_pool.hpp"
#include "weft/os/error.hpp"
#include "weft/os/file_tree.hpp"

namespace weft::fs {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20;

bool has_zero(const std::string& path) noexcept { return path.find('\0') != path.npos; }
std::unexpected<std::error_code> failed(std::errc why) noexcept {
  return std::unexpected(os::from_errno(static_cast<int>(why)));
}

template <class Bytes>
std::span<std::byte> behind(Bytes& bytes, std::size_t used) noexcept {
  return std::as_writable_bytes(std::span(bytes.data(), bytes.size())).subspan(used);
}

/// The file, if there is more than what was read of it.
template <class Bytes>
struct begun {
  Bytes bytes;
  file rest;
};

template <class Bytes>
result<begun<Bytes>> begin_reading(std::string path, std::size_t limit) noexcept try {
  const auto call = os::call_to_open(path.c_str(), open_options());
  if (!call) return std::unexpected(call.error());
  std::size_t moved;
  const std::int64_t number = os::blocking_file_call(*call, false, moved);
  if (number < 0) return std::unexpected(os::from_errno(static_cast<int>(-number)));
  os::fd descriptor(static_cast<int>(number));
  const auto wait = os::expect_to_wait(descriptor.get());
  if (!wait) return std::unexpected(wait.error());
  const auto seen = os::stat(descriptor.get());
  if (!seen) return std::unexpected(seen.error());
  if (seen->kind == file_kind::regular && seen->size > limit) {
    return std::unexpected(make_error_code(errc::too_large));
  }
  // One more than it has, for its end to be seen. Files of /proc say 0.
  const std::size_t first = std::min<std::uint64_t>(std::max<std::uint64_t>(seen->size, 4095) + 1,
                                                    std::min(limit, piece_bytes - 1) + 1);
  begun<Bytes> b;
  b.bytes.resize(first);
  const auto n = os::read_at(descriptor.get(), b.bytes.data(), first, 0);
  if (!n) return std::unexpected(n.error());
  b.bytes.resize(*n);
  if (*n == first) b.rest = file(std::move(descriptor), file_info());
  if (*n > limit) return std::unexpected(make_error_code(errc::too_large));
  return b;
} catch (const std::bad_alloc&) {
  return failed(std::errc::not_enough_memory);
}

template <class Bytes>
task<result<Bytes>> read_whole(std::string path, std::size_t limit) {
  if (has_zero(path)) co_return failed(std::errc::invalid_argument);
  auto start = co_await detail::on_pool(&begin_reading<Bytes>, std::move(path), limit);
  if (!start) co_return std::unexpected(start.error());
  Bytes bytes = std::move(start->bytes);
  const file rest = std::move(start->rest);
  while (rest) {
    const std::size_t had = bytes.size();
    bytes.resize(had + std::min(piece_bytes, limit - had + 1));
    const auto n = co_await rest.read_at(behind(bytes, had), had);
    if (!n) co_return std::unexpected(n.error());
    bytes.resize(had + *n);
    if (bytes.size() > limit) co_return std::unexpected(make_error_code(errc::too_large));
    if (*n == 0) break;  // fewer than asked for may be a stop's doing, which the next read sees
  }
  co_return bytes;
}

result<void> replace(const std::string& path, std::span<const std::byte> bytes,
                     write_options how) noexcept {
  return os::replace_file(path, bytes, how.durable, how.mode);
}
result<void> add(const std::string& path, std::span<const std::byte> bytes,
                 write_options how) noexcept {
  return os::append_file(path, bytes, how.durable, how.mode);
}
std::span<const std::byte> bytes_of(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

task<result<std::vector<std::byte>>> read_all(std::string path, std::size_t limit) {
  auto all = co_await read_whole<std::vector<std::byte>>(std::move(path), limit);
  co_return all;
}
task<result<std::string>> read_text(std::string path, std::size_t limit) {
  auto all = co_await read_whole<std::string>(std::move(path), limit);
  co_return all;
}

task<result<void>> write_all(std::string path, std::span<const std::byte> bytes,
                             write_options how) {
  if (has_zero(path)) co_return failed(std::errc::invalid_argument);
  const auto done = co_await detail::on_pool(&replace, std::move(path), bytes, how);
  co_return done;
}
task<result<void>> write_text(std::string path, std::string_view text, write_options how) {
  const auto done = co_await write_all(std::move(path), bytes_of(text), how);
  co_return done;
}
task<result<void>> append(std::string path, std::span<const std::byte> bytes, write_options how) {
  if (has_zero(path)) co_return failed(std::errc::invalid_argument);
  const auto done = co_await detail::on_pool(&add, std::move(path), bytes, how);
  co_return done;
}
task<result<void>> append_text(std::string path, std::string_view text, write_options how) {
  const auto done = co_await append(std::move(path), bytes_of(text), how);
  co_return done;
}

}  // namespace weft::fs
