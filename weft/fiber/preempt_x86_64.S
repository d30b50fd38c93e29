// What the handler of SIGURG makes the interrupted code call, for x86-64, System V: saves every register,
// gives way, and goes on as if nothing had been.
//
// On entry (made by the handler): [rsp] is where to go on, and above it the 128 bytes that a function may
// use below its stack pointer; so the interrupted stack pointer, the CFA of this frame, is rsp + 136.
//
//    CFA -136 where to go on   -144 flags   -152 rbp   -160 rax ... -264 r15   below: the XSAVE area
//
// The CFI says where each register is, also those that a call may change: a debugger shows the
// interrupted function with its variables. It is a signal's frame to unwinders: where to go on is the next
// instruction to run, and not one behind a call.
//
// XSAVEC leaves out what is in its initial state, and XRSTOR with the same mask puts that state back. What it
// writes of the header is not all that XRSTOR wants to be zero.
// The x87 must be empty at a call, as the ABI has it; the kernel does the same for handlers. The upper halves
// of the vector registers are left clean for whoever runs next.

        .text
        .hidden weft_preempt_stub
        .globl  weft_preempt_stub
        .type   weft_preempt_stub,@function
        .p2align 5
        .cfi_startproc
        .cfi_signal_frame
        .cfi_def_cfa %rsp, 136
        .cfi_offset %rip, -136
        nop                             // so that the address before it is in here, too
weft_preempt_stub:
        pushfq
        .cfi_adjust_cfa_offset 8
        cld
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_offset %rbp, -152
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        pushq   %rax
        .cfi_offset %rax, -160
        pushq   %rcx
        .cfi_offset %rcx, -168
        pushq   %rdx
        .cfi_offset %rdx, -176
        pushq   %rbx
        .cfi_offset %rbx, -184
        pushq   %rsi
        .cfi_offset %rsi, -192
        pushq   %rdi
        .cfi_offset %rdi, -200
        pushq   %r8
        .cfi_offset %r8, -208
        pushq   %r9
        .cfi_offset %r9, -216
        pushq   %r10
        .cfi_offset %r10, -224
        pushq   %r11
        .cfi_offset %r11, -232
        pushq   %r12
        .cfi_offset %r12, -240
        pushq   %r13
        .cfi_offset %r13, -248
        pushq   %r14
        .cfi_offset %r14, -256
        pushq   %r15
        .cfi_offset %r15, -264
        subq    weft_preempt_xsave_bytes(%rip), %rsp
        andq    $-64, %rsp
        xorl    %eax, %eax
        movq    %rax, 512(%rsp)
        movq    %rax, 520(%rsp)
        movq    %rax, 528(%rsp)
        movq    %rax, 536(%rsp)
        movq    %rax, 544(%rsp)
        movq    %rax, 552(%rsp)
        movq    %rax, 560(%rsp)
        movq    %rax, 568(%rsp)
        movl    weft_preempt_xsave_mask(%rip), %eax
        movl    weft_preempt_xsave_mask+4(%rip), %edx
        xsavec  (%rsp)
        fninit
        testl   $4, weft_preempt_xsave_mask(%rip)       // AVX
        jz      1f
        vzeroupper
1:      callq   weft_preempt_give_way
        movl    weft_preempt_xsave_mask(%rip), %eax
        movl    weft_preempt_xsave_mask+4(%rip), %edx
        xrstor  (%rsp)
        leaq    -112(%rbp), %rsp
        popq    %r15
        .cfi_restore %r15
        popq    %r14
        .cfi_restore %r14
        popq    %r13
        .cfi_restore %r13
        popq    %r12
        .cfi_restore %r12
        popq    %r11
        .cfi_restore %r11
        popq    %r10
        .cfi_restore %r10
        popq    %r9
        .cfi_restore %r9
        popq    %r8
        .cfi_restore %r8
        popq    %rdi
        .cfi_restore %rdi
        popq    %rsi
        .cfi_restore %rsi
        popq    %rbx
        .cfi_restore %rbx
        popq    %rdx
        .cfi_restore %rdx
        popq    %rcx
        .cfi_restore %rcx
        popq    %rax
        .cfi_restore %rax
        popq    %rbp
        .cfi_restore %rbp
        .cfi_def_cfa %rsp, 144
        popfq
        .cfi_adjust_cfa_offset -8
        ret     $128
        .cfi_endproc
        .size   weft_preempt_stub, .-weft_preempt_stub
        .hidden weft_preempt_stub_end
        .globl  weft_preempt_stub_end
weft_preempt_stub_end:

        .section .note.GNU-stack,"",%progbits
