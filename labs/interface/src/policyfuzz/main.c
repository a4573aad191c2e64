// SPDX-License-Identifier: GPL-2.0-only
/*
 * policyfuzz - write to TOMOYO's interface what a broken or malicious manager would, or what a busy one does.
 *
 *	policyfuzz fuzz FOLDER SEED SECONDS	malformed, huge, partial and concurrent reads and writes of every file; FOLDER has
 *						lines that each takes
 *	policyfuzz cycle FOLDER TIMES LEVEL	load the policy in FOLDER and delete it, so many times; wait every now and
 *						then until policy takes no more than LEVEL bytes; 0: until it takes no less
 *	policyfuzz open FILE			open it for reading; prints OK, or the error's number
 */
#include "policyfuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void fail(const char *what)
{
	printf("policyfuzz: %s: %s\n", what, strerror(errno));
	exit(2);
}

struct text text_of(const char *path)
{
	const int fd = open(path, O_RDONLY);
	struct text text = { 0 };
	struct stat info;

	if (fd < 0 || fstat(fd, &info) || !(text.data = calloc(1, info.st_size + 1)) ||
	    read(fd, text.data, info.st_size) != info.st_size)
		fail(path);
	text.size = info.st_size;
	close(fd);
	return text;
}

static int open_one(const char *path)
{
	if (open(path, O_RDONLY) < 0)
		printf("%d\n", errno);
	else
		puts("OK");
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 5 && !strcmp(argv[1], "fuzz"))
		return fuzz(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	if (argc == 5 && !strcmp(argv[1], "cycle"))
		return cycle(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	if (argc == 3 && !strcmp(argv[1], "open"))
		return open_one(argv[2]);
	fputs("usage: policyfuzz fuzz FOLDER SEED SECONDS | cycle FOLDER TIMES LEVEL | open FILE\n", stderr);
	return 2;
}
