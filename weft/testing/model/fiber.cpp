#include "weft/testing/model/fiber.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

#if WEFT_X86_64
extern "C" void weft_model_switch(void** save, void* to) noexcept;
// Only what the calling convention says a callee keeps. It leaves through a jump, so that the
// processor's return predictor is not thrown off by a return to somebody else's caller.
asm(R"(
.text
.globl weft_model_switch
.type weft_model_switch,@function
weft_model_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmpq *%rcx
.size weft_model_switch,.-weft_model_switch
)");
#endif

namespace weft::model {

namespace {

constexpr std::size_t guard_bytes = 4096;

void* map_stack(std::size_t bytes) {
  void* p = mmap(nullptr, bytes + guard_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                 -1, 0);
  if (p == MAP_FAILED || mprotect(p, guard_bytes, PROT_NONE) != 0) std::abort();
  return p;
}

}  // namespace

fiber::~fiber() {
  if (stack_) munmap(stack_, stack_bytes + guard_bytes);
}

#if WEFT_X86_64

void fiber::prepare(void (*entry)()) {
  if (!stack_) stack_ = map_stack(stack_bytes);
  auto* top =
      reinterpret_cast<std::uint64_t*>(static_cast<char*>(stack_) + guard_bytes + stack_bytes);
  top -= 3;  // at its first instruction a function expects the stack 8 bytes off a multiple of 16
  *--top = reinterpret_cast<std::uint64_t>(entry);
  for (int i = 0; i < 6; ++i) *--top = 0;
  stack_pointer_ = top;
}

void fiber::switch_to(fiber& to) noexcept { weft_model_switch(&stack_pointer_, to.stack_pointer_); }

#else

void fiber::prepare(void (*entry)()) {
  if (!stack_) stack_ = map_stack(stack_bytes);
  getcontext(&context_);
  context_.uc_stack.ss_sp = static_cast<char*>(stack_) + guard_bytes;
  context_.uc_stack.ss_size = stack_bytes;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
}

void fiber::switch_to(fiber& to) noexcept { swapcontext(&context_, &to.context_); }

#endif

}  // namespace weft::model
