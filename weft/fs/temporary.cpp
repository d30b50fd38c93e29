#include "weft/fs/temporary.hpp"

#include "weft/fs/destroy_later.hpp"
#include "weft/fs/on_pool.hpp"
#include "weft/fs/paths.hpp"
#include "weft/os/error.hpp"
#include "weft/os/file_tree.hpp"

namespace weft::fs {
namespace {

result<os::named_fd> make(std::string folder, std::string prefix, bool a_folder) noexcept {
  return os::make_temporary(folder, prefix, a_folder);
}

bool is_name(const std::string& prefix) noexcept {
  return prefix.find('/') == prefix.npos && prefix.find('\0') == prefix.npos;
}
std::unexpected<std::error_code> bad_name() noexcept {
  return std::unexpected(os::from_errno(static_cast<int>(std::errc::invalid_argument)));
}

}  // namespace

namespace detail {

doomed_path::~doomed_path() {
  if (!path_.empty()) os::remove_tree(path_);
}

temporary::~temporary() {
  if (!name_.path().empty()) destroy_later(std::move(name_));
}

}  // namespace detail

task<result<temp_file>> temp_file::create(std::string folder, std::string prefix) {
  if (!is_name(prefix) || folder.find('\0') != folder.npos) co_return bad_name();
  auto made = co_await detail::on_pool(&make, std::move(folder), std::move(prefix), false);
  if (!made) co_return std::unexpected(made.error());
  temp_file t(std::move(made->path), fs::file(std::move(made->descriptor), file_info(), true));
  co_return t;
}

task<result<void>> temp_file::remove() {
  const shield_scope until_gone;
  const auto closed = co_await file_.close();
  static_cast<void>(closed);  // of what is thrown away
  if (path().empty()) co_return {};
  const auto gone = co_await fs::remove(name_.release());
  co_return gone;
}

task<result<temp_directory>> temp_directory::create(std::string folder, std::string prefix) {
  if (!is_name(prefix) || folder.find('\0') != folder.npos) co_return bad_name();
  auto made = co_await detail::on_pool(&make, std::move(folder), std::move(prefix), true);
  if (!made) co_return std::unexpected(made.error());
  temp_directory t(std::move(made->path));
  co_return t;
}

task<result<void>> temp_directory::remove() {
  const shield_scope until_gone;
  if (path().empty()) co_return {};
  const auto gone = co_await remove_all(name_.release());
  if (!gone) co_return std::unexpected(gone.error());
  co_return {};
}

}  // namespace weft::fs
