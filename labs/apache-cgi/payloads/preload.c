// SPDX-License-Identifier: GPL-2.0-only
/*
 * The library that the attack "LD_PRELOAD" uploads as a picture. When the loader maps it into a program it prints one
 * line and lets the program go on. No libc, so that it is small and fits any program (x86_64):
 *
 *	gcc -shared -fPIC -Os -nostdlib -s -fno-asynchronous-unwind-tables -Wl,--build-id=none \
 *		-Wl,-z,noseparate-code -Wl,--hash-style=sysv -o preload.png preload.c
 */
static long put(long file, const char *text, unsigned long length)
{
	long done;

	__asm__ volatile("syscall" : "=a"(done) : "0"(1L), "D"(file), "S"(text), "d"(length) : "rcx", "r11", "memory");
	return done;
}

__attribute__((constructor)) static void loaded(void)
{
	static const char words[] = "preloaded: my code runs in your program\n";

	put(2, words, sizeof(words) - 1);
}
