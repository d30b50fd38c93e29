// gcc: error "deleted function"  clang: ok
// G10: an immovable value made in place, in a member with [[no_unique_address]].
struct immovable {
  explicit immovable(int v) : value(v) {}
  immovable(immovable&&) = delete;
  int value;
};
immovable make(int v) { return immovable(v); }

struct holder {
  holder() : member(make(3)) {}
  [[no_unique_address]] immovable member;
};
holder h;
