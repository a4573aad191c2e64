/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef POLICYFUZZ_H
#define POLICYFUZZ_H

#include <stddef.h>

struct text {
	char *data; /* with a NUL behind it */
	size_t size;
};

/* Reads a file whole; ends the program if it cannot. */
struct text text_of(const char *path);

/* Says what is wrong, with errno, and ends the program. */
void fail(const char *what) __attribute__((noreturn));

int fuzz(const char *corpus, unsigned int seed, unsigned int seconds);
int cycle(const char *folder, unsigned int times, unsigned long level);

#endif
