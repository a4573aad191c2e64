// SPDX-License-Identifier: GPL-2.0-only
/* Files into lines.  Nothing here may block: a FIFO in the place of a policy must not hang a boot. */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ccs-init.h"

#define MAX_FILE_BYTES (64 << 20)

void *must(void *memory)
{
	if (!memory) {
		static const char said[] = "ccs-init: out of memory\n";

		if (write(2, said, sizeof(said) - 1) < 0)
			_exit(1);
		_exit(1);
	}
	return memory;
}

char *format(const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = must(NULL);
	va_end(args);
	return text;
}

bool starts(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static char *read_all(int fd, size_t *size)
{
	size_t used = 0, room = 0;
	char *bytes = NULL;

	for (;;) {
		ssize_t got;

		if (room - used < 4096) {
			room = room ? room * 2 : 16384;
			bytes = must(realloc(bytes, room));
		}
		got = read(fd, bytes + used, room - used - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			free(bytes);
			return NULL;
		}
		if (!got || used > MAX_FILE_BYTES)
			break;
		used += got;
	}
	bytes[used] = '\0';
	*size = used;
	return bytes;
}

/* The whole of a file that the kernel made, or NULL with errno. */
char *slurp(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t ignored;
	char *bytes;

	if (fd < 0)
		return NULL;
	bytes = read_all(fd, size ? size : &ignored);
	close(fd);
	return bytes;
}

/* A policy is as trustworthy as whoever may write it: root, or who asks (--check on a host). */
static bool trusted(const char *path, const struct stat *st, enum severity severity,
		    struct findings *findings)
{
	if (st->st_uid != 0 && st->st_uid != geteuid()) {
		found(findings, severity, path, 0, "chown root it", "belongs to user %u, not to root",
		      (unsigned int)st->st_uid);
		return false;
	}
	if (st->st_mode & S_IWOTH && !(S_ISDIR(st->st_mode) && st->st_mode & S_ISVTX)) {
		found(findings, severity, path, 0, "chmod o-w it, and see what was changed",
		      "everybody may write it");
		return false;
	}
	return true;
}

bool safe_directory(const char *path, struct findings *findings)
{
	struct stat st;

	if (stat(path, &st)) {
		found(findings, ERROR, path, 0, "make the first configuration with /usr/lib/ccs/init_policy",
		      "%s", errno == ENOENT ? "does not exist" : strerror(errno));
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		found(findings, ERROR, path, 0, NULL, "is not a directory");
		return false;
	}
	return trusted(path, &st, ERROR, findings);
}

/* Collapse white space, as the kernel does, in place. */
static void normalise(char *text)
{
	char *out = text;
	bool first = true;

	while (*text) {
		while (*text && (isspace((unsigned char)*text)))
			text++;
		if (!*text)
			break;
		if (!first)
			*out++ = ' ';
		first = false;
		while (*text && !isspace((unsigned char)*text))
			*out++ = *text++;
	}
	*out = '\0';
}

/* Read a policy file into lines; a defect is found with the given severity, absence is the caller's. */
enum text_state text_read(struct text *text, const char *path, enum severity severity,
			  struct findings *findings)
{
	unsigned int number = 0;
	size_t size = 0;
	char *bytes, *next;
	struct stat st;
	int fd;

	memset(text, 0, sizeof(*text));
	text->path = format("%s", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENOENT)
		return TEXT_ABSENT;
	if (fd < 0) {
		found(findings, severity, path, 0, NULL, "cannot be read: %s", strerror(errno));
		return TEXT_DEFECTIVE;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		found(findings, severity, path, 0, "put the policy file there", "is not a regular file");
		close(fd);
		return TEXT_DEFECTIVE;
	}
	if (!trusted(path, &st, severity, findings)) {
		close(fd);
		return TEXT_DEFECTIVE;
	}
	bytes = read_all(fd, &size);
	close(fd);
	if (!bytes) {
		found(findings, severity, path, 0, NULL, "cannot be read: %s", strerror(errno));
		return TEXT_DEFECTIVE;
	}
	if (size > MAX_FILE_BYTES) {
		found(findings, severity, path, 0, NULL, "is larger than %d MiB", MAX_FILE_BYTES >> 20);
		return TEXT_DEFECTIVE;
	}
	if (memchr(bytes, '\0', size)) {
		found(findings, severity, path, 0, "restore it from policy/previous",
		      "holds NUL bytes (a write that was cut off?)");
		return TEXT_DEFECTIVE;
	}
	for (char *at = bytes; at && *at; at = next) {
		next = strchr(at, '\n');
		if (next)
			*next++ = '\0';
		number++;
		normalise(at);
		if (!*at || *at == '#')
			continue;
		text->lines = must(realloc(text->lines, (text->count + 1) * sizeof(*text->lines)));
		text->lines[text->count].number = number;
		text->lines[text->count++].text = at;
	}
	return TEXT_READ;
}
