// The kernels of preempt_test_support.hpp: assembly, so that what is live where is not the compiler's choice.
#include <array>
#include <cstdint>

#include "weft/fiber/preempt_test_support.hpp"

extern "C" {
std::uint64_t weft_test_general(std::uint64_t seed, std::uint64_t count);
std::uint64_t weft_test_sse(std::uint64_t seed, std::uint64_t count);
std::uint64_t weft_test_x87(std::uint64_t seed, std::uint64_t count);
std::uint64_t weft_test_rounding(std::uint64_t seed, std::uint64_t count);
std::uint64_t weft_test_ymm(std::uint64_t seed, std::uint64_t count);
std::uint64_t weft_test_zmm(std::uint64_t seed, std::uint64_t count);
}

// clang-format off
asm(R"(
        .pushsection .rodata,"a",@progbits
        .p2align 6
weft_test_odd:
        .quad   0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93
        .quad   0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53, 0xa0761d6478bd642f, 0xe7037ed1a0b428db
        .popsection
        .pushsection weft_preemptible,"ax",@progbits

// All general registers in a chain of carries, which lasts from one round to the next: neither lea nor jrcxz
// touches a flag. And words below the stack pointer, as of a leaf.
        .globl  weft_test_general
        .type   weft_test_general,@function
weft_test_general:
        .cfi_startproc
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        movq    %rsi, %rcx
        movabsq $0x9e3779b97f4a7c15, %rax
        imulq   %rdi, %rax
        movq    %rax, -8(%rsp)
        movq    %rdi, -64(%rsp)
        movq    %rax, -128(%rsp)
        leaq    1(%rax), %rbx
        leaq    3(%rbx,%rax), %rdx
        leaq    5(%rdx,%rbx), %rbp
        leaq    7(%rbp,%rdx), %rsi
        leaq    11(%rsi,%rbp), %r8
        leaq    13(%r8,%rsi), %r9
        leaq    17(%r9,%r8), %r10
        leaq    19(%r10,%r9), %r11
        leaq    23(%r11,%r10), %r12
        leaq    29(%r12,%r11), %r13
        leaq    31(%r13,%r12), %r14
        leaq    37(%r14,%r13), %r15
        clc
1:      adcq    %rax, %rbx
        adcq    %rbx, %rdx
        adcq    %rdx, %rbp
        adcq    %rbp, %rsi
        adcq    %rsi, %rdi
        adcq    %rdi, %r8
        adcq    %r8, %r9
        adcq    %r9, %r10
        adcq    %r10, %r11
        adcq    %r11, %r12
        adcq    %r12, %r13
        adcq    %r13, %r14
        adcq    %r14, %r15
        adcq    %r15, -8(%rsp)
        adcq    -8(%rsp), %rax
        adcq    %rax, -64(%rsp)
        adcq    -64(%rsp), %rbx
        adcq    %rbx, -128(%rsp)
        adcq    -128(%rsp), %rdx
        leaq    -1(%rcx), %rcx
        jrcxz   2f
        jmp     1b
2:      adcq    $0, %rax
        .irp    r,rbx,rdx,rbp,rsi,rdi,r8,r9,r10,r11,r12,r13,r14,r15
        rolq    $7, %rax
        xorq    %\r, %rax
        .endr
        popq    %r15
        .cfi_adjust_cfa_offset -8
        popq    %r14
        .cfi_adjust_cfa_offset -8
        popq    %r13
        .cfi_adjust_cfa_offset -8
        popq    %r12
        .cfi_adjust_cfa_offset -8
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size   weft_test_general,.-weft_test_general

// All of xmm0 to xmm15; also where there is nothing larger.
        .globl  weft_test_sse
        .type   weft_test_sse,@function
weft_test_sse:
        .cfi_startproc
        movq    %rdi, %xmm0
        punpcklqdq %xmm0, %xmm0
        .irp    r,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        leaq    \r(%rdi,%rdi,4), %rdi
        movq    %rdi, %xmm\r
        punpcklqdq %xmm0, %xmm\r
        .endr
1:      .irp    r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        paddq   weft_test_odd(%rip), %xmm\r
        pshufd  $0x93, %xmm\r, %xmm\r
        .endr
        decq    %rsi
        jnz     1b
        .irp    r,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        pshufd  $0x39, %xmm0, %xmm0
        paddq   %xmm\r, %xmm0
        .endr
        movq    %xmm0, %rax
        psrldq  $8, %xmm0
        movq    %xmm0, %rdx
        xorq    %rdx, %rax
        ret
        .cfi_endproc
        .size   weft_test_sse,.-weft_test_sse

// Eight values on the stack of the x87, which change places.
        .globl  weft_test_x87
        .type   weft_test_x87,@function
weft_test_x87:
        .cfi_startproc
        .irp    r,1,2,3,4,5,6,7,8
        imulq   $0x5bd1e995, %rdi, %rdi
        addq    $\r, %rdi
        rolq    $23, %rdi
        movq    %rdi, %rdx
        shrq    $3, %rdx
        movq    %rdx, -8(%rsp)
        fildll  -8(%rsp)
        .endr
1:      fxch    %st(7)
        fxch    %st(3)
        fxch    %st(5)
        fxch    %st(1)
        fxch    %st(6)
        fchs
        fxch    %st(2)
        fxch    %st(4)
        decq    %rsi
        jnz     1b
        xorl    %eax, %eax
        .irp    r,1,2,3,4,5,6,7,8
        fistpll -8(%rsp)
        rolq    $9, %rax
        xorq    -8(%rsp), %rax
        .endr
        ret
        .cfi_endproc
        .size   weft_test_x87,.-weft_test_x87

// What depends on both modes of rounding: MXCSR's, and that of the x87.
        .globl  weft_test_rounding
        .type   weft_test_rounding,@function
weft_test_rounding:
        .cfi_startproc
        andl    $1023, %edi
        cvtsi2sdq %rdi, %xmm0
        movl    $3, %eax
        cvtsi2sdq %rax, %xmm1
        movl    $1, %eax
        cvtsi2sdq %rax, %xmm2
        divsd   %xmm1, %xmm2
        xorps   %xmm3, %xmm3
        movq    $3, -8(%rsp)
        fildll  -8(%rsp)
        fldz
        movq    %rdi, -8(%rsp)
        fildll  -8(%rsp)
1:      divsd   %xmm1, %xmm0
        addsd   %xmm2, %xmm0
        addsd   %xmm0, %xmm3
        fdiv    %st(2), %st
        fld1
        faddp   %st, %st(1)
        fadd    %st, %st(1)
        decq    %rsi
        jnz     1b
        fstp    %st(0)
        fstpl   -8(%rsp)
        fstp    %st(0)
        movq    %xmm3, %rax
        rolq    $17, %rax
        xorq    -8(%rsp), %rax
        ret
        .cfi_endproc
        .size   weft_test_rounding,.-weft_test_rounding

// All of ymm0 to ymm15.
        .globl  weft_test_ymm
        .type   weft_test_ymm,@function
weft_test_ymm:
        .cfi_startproc
        vmovq   %rdi, %xmm0
        vpbroadcastq %xmm0, %ymm0
        .irp    r,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        leaq    \r(%rdi,%rdi,4), %rdi
        vmovq   %rdi, %xmm\r
        vpbroadcastq %xmm\r, %ymm\r
        .endr
1:      .irp    r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        vpaddq  weft_test_odd(%rip), %ymm\r, %ymm\r
        vpermq  $0x93, %ymm\r, %ymm\r
        vpshufd $0x93, %ymm\r, %ymm\r
        .endr
        decq    %rsi
        jnz     1b
        .irp    r,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        vpshufd $0x39, %ymm0, %ymm0
        vpaddq  %ymm\r, %ymm0, %ymm0
        .endr
        vextracti128 $1, %ymm0, %xmm1
        vpshufd $0x39, %xmm1, %xmm1
        vpaddq  %xmm1, %xmm0, %xmm0
        vpextrq $1, %xmm0, %rdx
        vmovq   %xmm0, %rax
        rolq    $11, %rax
        xorq    %rdx, %rax
        vzeroupper
        ret
        .cfi_endproc
        .size   weft_test_ymm,.-weft_test_ymm

// All of zmm0 to zmm31, and the masks k1 to k7.
        .globl  weft_test_zmm
        .type   weft_test_zmm,@function
weft_test_zmm:
        .cfi_startproc
        vpbroadcastq %rdi, %zmm0
        .irp    r,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        leaq    \r(%rdi,%rdi,4), %rdi
        vpbroadcastq %rdi, %zmm\r
        .endr
        .irp    r,1,2,3,4,5,6,7
        leaq    \r(%rdi,%rdi,4), %rdi
        kmovw   %edi, %k\r
        .endr
1:      .irp    r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        vpaddq  weft_test_odd(%rip), %zmm\r, %zmm\r
        vprolq  $5, %zmm\r, %zmm\r
        vshufi64x2 $0x93, %zmm\r, %zmm\r, %zmm\r
        .endr
        kxorw   %k2, %k1, %k1
        kxorw   %k3, %k2, %k2
        kxorw   %k4, %k3, %k3
        kxorw   %k5, %k4, %k4
        kxorw   %k6, %k5, %k5
        kxorw   %k7, %k6, %k6
        kxnorw  %k1, %k7, %k7
        vpaddq  %zmm30, %zmm31, %zmm31{%k1}
        decq    %rsi
        jnz     1b
        .irp    r,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        vprolq  $3, %zmm0, %zmm0
        vpaddq  %zmm\r, %zmm0, %zmm0
        .endr
        vextracti64x4 $1, %zmm0, %ymm1
        vprolq  $7, %zmm1, %zmm1
        vpaddq  %ymm1, %ymm0, %ymm0
        vextracti128 $1, %ymm0, %xmm1
        vprolq  $9, %zmm1, %zmm1
        vpaddq  %xmm1, %xmm0, %xmm0
        vpextrq $1, %xmm0, %rdx
        vmovq   %xmm0, %rax
        rolq    $11, %rax
        xorq    %rdx, %rax
        .irp    r,1,2,3,4,5,6,7
        kmovw   %k\r, %edx
        rolq    $5, %rax
        xorq    %rdx, %rax
        .endr
        vzeroupper
        ret
        .cfi_endproc
        .size   weft_test_zmm,.-weft_test_zmm
        .popsection
)");
// clang-format on

namespace weft::fiber_test {

std::span<const kernel> kernels() {
  static constexpr std::array<kernel, 6> all{{
      {"general registers and flags", weft_test_general, 10'000},
      {"x87", weft_test_x87, 10'000},
      {"rounding", weft_test_rounding, 8'000},
      {"xmm", weft_test_sse, 10'000},
      {"ymm and below", weft_test_ymm, 5'000},
      {"zmm and masks", weft_test_zmm, 2'000},
  }};
  const bool avx512 = __builtin_cpu_supports("avx512f") != 0;
  const bool avx2 = __builtin_cpu_supports("avx2") != 0;
  return std::span(all).first(avx512 ? 6 : avx2 ? 5 : 4);
}

}  // namespace weft::fiber_test
