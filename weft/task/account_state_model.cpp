// Accounts of frames under all schedules: the limit holds, what was refused is counted nowhere, the notice
// comes once and to nobody who is gone, and the state goes with its last user.
#include "weft/task/account_state.hpp"

#include "weft/testing/model/model.hpp"

namespace weft::detail {
namespace {

void book_and_out(account_state& account, std::size_t bytes) {
  if (account.book(bytes, true)) account_state::book_out(&account, bytes);
}

WEFT_MODEL_TEST(frame_account, booked_bytes_never_pass_the_limit,
                model::kills("account.reserve.over_the_limit"), model::reaches("both", "one")) {
  auto& account = *new account_state({.bytes_limit = 3}, nullptr);
  int booked = 0;
  const auto twice = [&] {
    book_and_out(account, 2);
    if (account.book(2, true)) {
      ++booked;
      account_state::book_out(&account, 2);
    }
  };
  model.thread("a", twice);
  model.thread("b", twice);
  model.run();
  model.check(account.most() == 2, "the two were booked at the same moment");
  model.check(account.bytes() == 0 && account.blocks() == 0, "something stays booked");
  model.check(account.book(3, true), "there is room for all that may be");
  account_state::book_out(&account, 3);
  model.outcome(booked == 2 ? "both" : "one");
  account.close();
}

// The limit of the one above; `mine` has one, too.
WEFT_MODEL_TEST(frame_account, refused_bytes_are_in_no_most,
                model::kills("account.refused.stays_reserved",
                             "account.most.of_what_is_reserved")) {
  auto& above = *new account_state({.bytes_limit = 4}, nullptr);
  auto& mine = *new account_state({.bytes_limit = 9}, &above);
  model.thread("asks for too much",
               [&] { model.check(!mine.book(6, true), "the one above has no room for it"); });
  model.thread("asks for little", [&] { book_and_out(mine, 1); });
  model.run();
  model.check(mine.most() <= 1 && above.most() <= 1, "what was refused was counted");
  model.check(mine.bytes() == 0 && above.bytes() == 0, "something stays booked");
  model.check(mine.book(9, false), "it may not be refused");
  model.check(mine.most() == 9 && above.most() == 9, "most is not exact");
  account_state::book_out(&mine, 9);
  model.check(mine.book(4, true), "the room of what was refused is lost");
  account_state::book_out(&mine, 4);
  mine.close();
  above.close();
}

WEFT_MODEL_TEST(frame_account, most_of_the_one_above_is_as_much_at_least,
                model::kills("account.book.child_first"), model::reaches("one", "both")) {
  auto& above = *new account_state({}, nullptr);
  auto& mine = *new account_state({}, &above);
  for (int i = 0; i < 2; ++i) model.thread("job", [&] { book_and_out(mine, 1); });
  model.run();
  model.check(above.most() >= mine.most(), "the one above missed blocks");
  model.outcome(mine.most() == 2 ? "both" : "one");
  mine.close();
  above.close();
}

// Each of them may be the last: the object, and a block that outlives it. With it goes the one above.
WEFT_MODEL_TEST(frame_account, state_goes_with_its_last_user,
                model::kills("account.drop.relaxed")) {
  auto& above = *new account_state({}, nullptr);
  auto& mine = *new account_state({}, &above);
  model.check(mine.book(1, true) && mine.book(1, true), "there is no limit");
  model.thread("frees a block", [&] { account_state::book_out(&mine, 1); });
  model.thread("frees another", [&] { account_state::book_out(&mine, 1); });
  model.thread("closes", [&] {
    mine.close();
    above.close();
  });
  model.run();
}

struct told {
  plain<int> times{0};
  static void count(void* self) noexcept {
    auto& times = static_cast<told*>(self)->times;
    times.set(times.get() + 1);  // a race with who is gone, or with another notice
  }
};

WEFT_MODEL_TEST(frame_account, notice_comes_once_and_not_to_who_is_gone,
                model::kills("account.notice.of_a_closed_one"), model::reaches("told", "gone")) {
  told here;
  auto& account =
      *new account_state({.notice_bytes = 1, .notice = &told::count, .context = &here}, nullptr);
  model.check(account.book(1, true), "there is no limit");
  int seen = 0;
  model.thread("books", [&] {
    if (account.book(2, true)) account_state::book_out(&account, 2);
    account_state::book_out(&account, 1);
  });
  model.thread("closes", [&] {
    account.close();
    seen = here.times.get();
    here.times.set(-1);
  });
  model.run();
  model.check(here.times.get() == -1, "a notice came after the end");
  model.check(seen <= 1, "two notices");
  model.outcome(seen == 1 ? "told" : "gone");
}

WEFT_MODEL_TEST(frame_account, two_that_pass_the_bound_give_one_notice) {
  told here;
  auto& account =
      *new account_state({.notice_bytes = 1, .notice = &told::count, .context = &here}, nullptr);
  for (int i = 0; i < 2; ++i) {
    model.thread("books", [&] { book_and_out(account, 2); });
  }
  model.run();
  model.check(here.times.get() == 1, "not one notice");
  account.close();
}

}  // namespace
}  // namespace weft::detail
