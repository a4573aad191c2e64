/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The smallest guest that tells whether an accelerator really runs guests: no firmware service, no
 * kernel image, no disk.  QEMU loads it by the multiboot header (the "address" form, so that a flat
 * file will do) and enters at `entry` in 32-bit protected mode.  It goes the way a kernel goes: builds
 * page tables, enters long mode, fills memory, spins 2^28 times, says so on the serial port, and ends
 * QEMU through isa-debug-exit (status 0x10 * 2 + 1 = 33).
 *
 * The spin matters.  There are machines whose KVM takes every step of a guest through its instruction
 * emulator: everything is right there, at about a millionth part of the speed, and a kernel seems to
 * hang in its decompressor.  2^28 turns take 0.1 s on hardware and some minutes there.
 *
 * probe.hex is this file assembled:
 *   as --32 -o probe.o probe.S && ld -m elf_i386 -Ttext=0x100000 --oformat binary -o probe.bin probe.o
 * tests/unit/test_vm_accel.py checks that the two agree.
 */
	.code32
	.text
	.globl	_start
_start:					/* multiboot header: magic, flags (addresses valid), checksum, */
	.long	0x1badb002, 0x00010000, -(0x1badb002 + 0x00010000)
	.long	_start, _start, end, 0x110000, entry	/* header, load, load end, bss end, entry */
entry:
	cli
	cld
	movl	$0x200000, %edi		/* three page tables at 2 MiB, zeroed */
	xorl	%eax, %eax
	movl	$0x3000 / 4, %ecx
	rep stosl
	movl	$0x201003, 0x200000	/* level 4 -> level 3 -> level 2 */
	movl	$0x202003, 0x201000
	movl	$0x202000, %edi
	movl	$0x83, %eax		/* present, writable, 2 MiB pages: the first 32 MiB, identical */
1:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	cmpl	$0x202000 + 16 * 8, %edi
	jb	1b
	movl	%cr4, %eax		/* PAE */
	orl	$0x20, %eax
	movl	%eax, %cr4
	movl	$0x200000, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax		/* paging on */
	orl	$0x80000001, %eax
	movl	%eax, %cr0
	lgdt	gdtr
	ljmp	$8, $long
	.code64
long:
	movl	$16, %eax
	movw	%ax, %ds
	movw	%ax, %es
	movl	$0x400000, %edi		/* fill 8 MiB */
	movl	$0x800000 / 8, %ecx
	movabsq	$0x0123456789abcdef, %rax
	rep stosq
	movl	$1 << 28, %ecx
2:	decl	%ecx
	jnz	2b
	movw	$0x3f8, %dx		/* COM1 */
	leaq	text(%rip), %rsi
	movl	$textend - text, %ecx
	rep outsb
	movw	$0xf4, %dx		/* isa-debug-exit */
	movb	$0x10, %al
	outb	%al, %dx
3:	hlt
	jmp	3b
gdt:	.quad	0, 0x00af9a000000ffff, 0x00cf92000000ffff	/* null, 64-bit code, data */
gdtr:	.word	gdtr - gdt - 1
	.long	gdt
text:	.ascii	"ccs-lab: the guest ran\n"
textend:
end:
