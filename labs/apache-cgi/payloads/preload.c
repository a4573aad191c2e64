// SPDX-License-Identifier: GPL-2.0-only
/*
 * The library that the attack "ld-preload" uploads as a picture. When the loader maps it into a program it prints one
 * line and lets the program go on.
 */
static long put(long file, const char *text, unsigned long length)
{
	long done;

#ifdef __x86_64__
	__asm__ volatile("syscall" : "=a"(done) : "0"(1L), "D"(file), "S"(text), "d"(length) : "rcx", "r11", "memory");
#else
	__asm__ volatile("int $0x80" : "=a"(done) : "0"(4L), "b"(file), "c"(text), "d"(length) : "memory");
#endif
	return done;
}

__attribute__((constructor)) static void loaded(void)
{
	static const char words[] = "preloaded: my code runs in your program\n";

	put(2, words, sizeof(words) - 1);
}
