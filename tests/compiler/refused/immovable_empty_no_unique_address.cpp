// gcc: error "deleted function"  clang: ok
// G10: the same for an empty type, for which the attribute is meant.
struct immovable {
  immovable() = default;
  immovable(immovable&&) = delete;
};
immovable make() { return {}; }

template <class T>
struct holder {
  template <class F>
  explicit holder(F f) : member(f()) {}
  [[no_unique_address]] T member;
};
holder<immovable> h([] { return make(); });
