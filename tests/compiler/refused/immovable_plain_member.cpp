// gcc: ok  clang: ok
// G10, the way to write it: without the attribute.
struct immovable {
  explicit immovable(int v) : value(v) {}
  immovable(immovable&&) = delete;
  int value;
};
immovable make(int v) { return immovable(v); }

struct holder {
  holder() : member(make(3)) {}
  immovable member;
};
holder h;
