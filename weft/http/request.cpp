#include <weft/http/request.hpp>

namespace weft::http {

std::string_view request::slice(std::size_t at, std::size_t size) const noexcept {
  // `target` is public: if someone shortened it, the parts are gone, not out of bounds.
  return at <= target.size() ? std::string_view(target).substr(at, size) : std::string_view();
}

std::string_view request::authority() const noexcept {
  if (authority_size_ != 0) return slice(authority_at_, authority_size_);
  return headers.find("host").value_or(std::string_view());
}

void request::clear() noexcept {
  method = method::get;
  version = http_version::http_1_1;
  form = target_form::origin;
  method_name.clear();
  target.clear();
  headers.clear();
  body.clear();
  keep_alive = true;
  expects_continue = false;
  chunked = false;
  content_length.reset();
  path_at_ = path_size_ = query_at_ = query_size_ = authority_at_ = authority_size_ = 0;
  root_path_ = false;
}

}  // namespace weft::http
