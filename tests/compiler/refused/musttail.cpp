// gcc: error "static assertion failed"  clang: ok
// G6: only Clang can be told that a call must be a tail call; GCC 12 needs
// -foptimize-sibling-calls, which is a promise about a whole build and not about a call.
static_assert(__has_cpp_attribute(clang::musttail));
