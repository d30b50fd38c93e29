// The switch between stacks for AArch64, AAPCS64.
//
// What stands at a saved stack pointer, and nowhere else is it known:
//    0 x19 x20   16 x21 x22   32 x23 x24   48 x25 x26   64 x27 x28   80 x29, where to go on
//   96 d8 d9    112 d10 d11  128 d12 d13  144 d14 d15  160 FPCR
//
// It ends in a jump, as on x86-64: a return to somebody else's caller is mispredicted. Where branches are
// checked (BTI) what follows a call is no landing pad, so there it is a `ret`, which is not checked.
// Return addresses are saved as they come: who signs them (PAC) does so in its own frame.

        .text
        .hidden weft_context_switch
        .globl  weft_context_switch
        .type   weft_context_switch,%function
        .p2align 5
weft_context_switch:                    // (void** save, void* to)
        .cfi_startproc
        hint    #34                     // bti c
        sub     sp, sp, #176
        .cfi_adjust_cfa_offset 176
        stp     x19, x20, [sp]
        .cfi_rel_offset x19, 0
        .cfi_rel_offset x20, 8
        stp     x21, x22, [sp, #16]
        .cfi_rel_offset x21, 16
        .cfi_rel_offset x22, 24
        stp     x23, x24, [sp, #32]
        .cfi_rel_offset x23, 32
        .cfi_rel_offset x24, 40
        stp     x25, x26, [sp, #48]
        .cfi_rel_offset x25, 48
        .cfi_rel_offset x26, 56
        stp     x27, x28, [sp, #64]
        .cfi_rel_offset x27, 64
        .cfi_rel_offset x28, 72
        stp     x29, x30, [sp, #80]
        .cfi_rel_offset x29, 80
        .cfi_rel_offset x30, 88
        stp     d8, d9, [sp, #96]
        .cfi_rel_offset b8, 96
        .cfi_rel_offset b9, 104
        stp     d10, d11, [sp, #112]
        .cfi_rel_offset b10, 112
        .cfi_rel_offset b11, 120
        stp     d12, d13, [sp, #128]
        .cfi_rel_offset b12, 128
        .cfi_rel_offset b13, 136
        stp     d14, d15, [sp, #144]
        .cfi_rel_offset b14, 144
        .cfi_rel_offset b15, 152
        mrs     x9, fpcr
        str     x9, [sp, #160]
        mov     x10, sp
        str     x10, [x0]

        mov     sp, x1
        ldr     x10, [sp, #160]
        cmp     x9, x10                 // loading modes costs more than comparing them
        b.ne    2f
1:      ldp     x19, x20, [sp]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #176
        .cfi_remember_state
        .cfi_def_cfa_offset 0
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore x29
        .cfi_restore x30
        .cfi_restore b8
        .cfi_restore b9
        .cfi_restore b10
        .cfi_restore b11
        .cfi_restore b12
        .cfi_restore b13
        .cfi_restore b14
        .cfi_restore b15
#if defined(__ARM_FEATURE_BTI_DEFAULT)
        ret
#else
        br      x30
#endif
        .cfi_restore_state
2:      msr     fpcr, x10
        b       1b
        .cfi_endproc
        .size   weft_context_switch, .-weft_context_switch

// Calls look(with), and comes back. To an unwinder the caller of this is what was saved. The stack stays the
// caller's: of the other there may be no room left.
        .hidden weft_context_visit
        .globl  weft_context_visit
        .type   weft_context_visit,%function
        .p2align 4
weft_context_visit:                     // (void* saved, void (*look)(void*), void* with)
        .cfi_startproc
        hint    #34                     // bti c
        stp     x19, x30, [sp, #-16]!
        .cfi_adjust_cfa_offset 16
        .cfi_rel_offset x19, 0
        .cfi_rel_offset x30, 8
        mov     x19, x0
        .cfi_remember_state
        .cfi_def_cfa x19, 176
        .cfi_offset x19, -176
        .cfi_offset x20, -168
        .cfi_offset x21, -160
        .cfi_offset x22, -152
        .cfi_offset x23, -144
        .cfi_offset x24, -136
        .cfi_offset x25, -128
        .cfi_offset x26, -120
        .cfi_offset x27, -112
        .cfi_offset x28, -104
        .cfi_offset x29, -96
        .cfi_offset x30, -88
        mov     x0, x2
        blr     x1
        .cfi_restore_state
        ldp     x19, x30, [sp], #16
        .cfi_adjust_cfa_offset -16
        .cfi_restore x19
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   weft_context_visit, .-weft_context_visit

// Where the first switch to a context goes: calls x20(x19). Nothing is above it: the unwinder stops,
// after it has asked the personality routine what becomes of an exception.
        .hidden weft_context_boot
        .globl  weft_context_boot
        .type   weft_context_boot,%function
        .p2align 4
        .cfi_startproc
        .cfi_personality 0x1b, weft_context_personality
        .cfi_undefined x30
        nop                             // so that the address before it is in here, too
weft_context_boot:
        hint    #36                     // bti j
        mov     x0, x19
        blr     x20
        brk     #1
        .cfi_endproc
        .size   weft_context_boot, .-weft_context_boot

        .hidden weft_context_prepare
        .globl  weft_context_prepare
        .type   weft_context_prepare,%function
weft_context_prepare:                   // (void* top, void (*begin)(void*), void* argument) -> saved
        .cfi_startproc
        hint    #34                     // bti c
        and     x9, x0, #-16
        sub     x0, x9, #192            // 176, and 16 of zeros as the end of the stack
        stp     x2, x1, [x0]            // x19, x20
        stp     xzr, xzr, [x0, #16]
        stp     xzr, xzr, [x0, #32]
        stp     xzr, xzr, [x0, #48]
        stp     xzr, xzr, [x0, #64]
        adrp    x10, weft_context_boot
        add     x10, x10, :lo12:weft_context_boot
        stp     xzr, x10, [x0, #80]     // x29: the end of the chain of frames
        stp     xzr, xzr, [x0, #96]
        stp     xzr, xzr, [x0, #112]
        stp     xzr, xzr, [x0, #128]
        stp     xzr, xzr, [x0, #144]
        mrs     x10, fpcr
        stp     x10, xzr, [x0, #160]
        stp     xzr, xzr, [x0, #176]
        ret
        .cfi_endproc
        .size   weft_context_prepare, .-weft_context_prepare

// As on x86-64. Shadow stacks (GCS) are on only where every object file claims to know them: this one
// does not.
        .hidden weft_context_shadow_stack
        .globl  weft_context_shadow_stack
        .type   weft_context_shadow_stack,%function
weft_context_shadow_stack:
        .cfi_startproc
        hint    #34                     // bti c
        mov     x0, xzr
        ret
        .cfi_endproc
        .size   weft_context_shadow_stack, .-weft_context_shadow_stack

#if defined(__ARM_FEATURE_BTI_DEFAULT)
        .section .note.gnu.property, "a"
        .p2align 3
        .word   4, 16, 5
        .asciz  "GNU"
        .word   0xc0000000, 4, 1, 0     // GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI
#endif
        .section .note.GNU-stack,"",%progbits
