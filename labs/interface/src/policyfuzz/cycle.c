// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policy comes and goes, and what is left of it is asked of "stat". Each time its names are others, for a name that is never
 * let go is no more memory if the next time has the same.
 *
 * The kernel frees what was deleted later, and only if a file of the interface that was open for writing is closed while it
 * is not at it already (security/tomoyo/gc.c). So it is told to for as long as there is something left.
 */
#include "policyfuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INTERFACE "/sys/kernel/security/tomoyo/"
#define SETTLE_EVERY 100
#define ASK_EVERY_MS 100
#define SAME_FOR 30 /* times asked: nothing more is freed */
#define SETTLE_S 300

/* Exceptions first, for rules name their groups; they are deleted last. */
static const char *const files[] = { "exception_policy", "domain_policy" };
#define FILES (sizeof(files) / sizeof(*files))

static unsigned long used(void)
{
	static const char label[] = "Memory used by policy:";
	const int fd = open(INTERFACE "stat", O_RDWR);
	char said[4096] = "", *at;

	if (fd < 0 || read(fd, said, sizeof(said) - 1) < 0 || !(at = strstr(said, label)))
		fail(INTERFACE "stat");
	close(fd); /* Which was open for writing. */
	return strtoul(at + sizeof(label) - 1, NULL, 10);
}

/* Waits until no more than a level is used, or until it becomes no less; the bytes that are left. */
static unsigned long settled(unsigned long level)
{
	unsigned long left = used(), before = left;

	for (unsigned int same = 0, i = 0; left > level && same < SAME_FOR && i < SETTLE_S * 1000 / ASK_EVERY_MS; i++) {
		usleep(ASK_EVERY_MS * 1000);
		left = used();
		same = left == before ? same + 1 : 0;
		before = left;
	}
	return left;
}

/* "every" and "EVERY" become a number, but for "<every>": a namespace stays for ever. */
static void number(struct text text, unsigned int now)
{
	const size_t size = sizeof("every") - 1;
	char next[16];

	snprintf(next, sizeof(next), "%05u", now % 100000);
	for (char *at = text.data; *at; at++)
		if ((!strncmp(at, "every", size) && (at == text.data || at[-1] != '<')) || !strncmp(at, "EVERY", size))
			memcpy(at, next, size);
}

static void put(int fd, struct text text, unsigned int now)
{
	struct text copy = { .data = strdup(text.data), .size = text.size };

	if (!copy.data)
		fail("memory");
	number(copy, now);
	if (write(fd, copy.data, copy.size) != (ssize_t)copy.size)
		fail("write");
	free(copy.data);
}

int cycle(const char *folder, unsigned int times, unsigned long level)
{
	unsigned long left = 0;
	struct text add[FILES], delete[FILES];
	char path[256];

	for (size_t i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/%s.add", folder, files[i]);
		add[i] = text_of(path);
		snprintf(path, sizeof(path), "%s/%s.delete", folder, files[i]);
		delete[i] = text_of(path);
	}
	for (unsigned int done = 1; done <= times; done++) {
		int fd[FILES];

		for (size_t i = 0; i < FILES; i++) {
			snprintf(path, sizeof(path), INTERFACE "%s", files[i]);
			fd[i] = open(path, O_WRONLY);
			if (fd[i] < 0)
				fail(path);
			put(fd[i], add[i], done);
		}
		for (size_t i = FILES; i--; close(fd[i]))
			put(fd[i], delete[i], done);
		if (done % SETTLE_EVERY && done < times)
			continue;
		left = settled(level);
		printf("cycled|%u\n", done);
	}
	printf("left|%lu\n", left);
	return 0;
}
