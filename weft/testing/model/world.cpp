// The engine's face in a model: what `model` is in a WEFT_MODEL_TEST.
#include <string>
#include <utility>

#include "weft/testing/model/engine.hpp"
#include "weft/testing/model/model.hpp"

namespace weft::model {

std::vector<test>& registered() {
  static std::vector<test> tests;
  return tests;
}

void world::thread(std::string name, std::function<void()> f) {
  engine::current()->add_thread(std::move(name), std::move(f));
}
void world::run() {
  if (engine::current()->run_threads(true)) {
    model::fail("deadlock: a thread sleeps for ever (a lost wake)");
  }
}
int world::run_until_idle() { return engine::current()->run_threads(true); }
void world::wind_down() {
  if (engine::current()->run_threads(false)) {
    model::fail("deadlock: a thread sleeps for ever on the way out (a lost wake)");
  }
}
void world::check(bool holds, const char* otherwise) {
  if (!holds) model::fail(otherwise);
}
void world::outcome(const std::string& text) { engine::current()->outcome(text); }
bool world::mutant(const char* id) { return engine::current()->mutant(id); }
void world::label(const char* text) { engine::current()->label(text); }
void world::note(const std::string& text) { engine::current()->note(text); }

}  // namespace weft::model
