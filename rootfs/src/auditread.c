// SPDX-License-Identifier: GPL-2.0-only
/*
 * auditread: prints what ccs-auditd has written of some domains until now.
 *
 *	auditread [-n COUNT] SECONDS MARK LOG... -- DOMAIN...
 *
 * The audit log is a queue: this makes the file MARK, which its own domain never learned to make and is permissive,
 * removes it, and waits until that record is in one of the logs. So is, then, all that happened before. Prints the
 * records of the domains and of those below them, the logs in the order given, and the mark's own: the rest may be
 * ten times as much, and a serial line is slow.
 *
 * With -n it is done with so many records of the domains, too, and prints no more: a program that tries what is denied
 * for ever writes thousands, and the kernel's queue may have had no room for the mark.
 *
 * One static program, because the shell, timeout, tail, grep and awk in its place take an emulated guest half a
 * second each time.
 *
 * Exit status: 0 done, 1 the record did not come within the seconds, 2 usage, 3 the system refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int refused(const char *what)
{
	fprintf(stderr, "auditread: %s: %s\n", what, strerror(errno));
	return 3;
}

/* The whole file as text, "" if there is none; NULL if it cannot be had. */
static char *contents(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0, room = 65536;
	char *text = malloc(room + 1);
	ssize_t got;

	if (fd < 0 && errno != ENOENT)
		return NULL;
	while (text && fd >= 0 && (got = read(fd, text + used, room - used)) != 0) {
		if (got < 0)
			return NULL;
		used += got;
		if (used == room)
			text = realloc(text, (room *= 2) + 1);
	}
	if (fd >= 0)
		close(fd);
	if (text)
		text[used] = '\0';
	return text;
}

static int has(const char *path, const char *mark)
{
	char *text = contents(path);
	int found = text && strstr(text, mark);

	free(text);
	return found;
}

/* A record is a paragraph: a line of the auditor's, the domain's name, the request. */
static int wanted(const char *record, char *const *domains)
{
	const char *domain = strchr(record, '\n');

	for (; domain && *domains; domains++)
		if (!strncmp(domain + 1, *domains, strlen(*domains)))
			return 1;
	return 0;
}

/* Goes through a log's records, prints them if told to, and takes those of the domains off what is left. */
static int read_log(const char *path, const char *mark, char *const *domains, long *left, int printing)
{
	char *text = contents(path), *end;

	if (!text)
		return refused(path);
	for (char *record = text; *record; record = end) {
		record += strspn(record, "\n");
		end = strstr(record, "\n\n");
		if (end) {
			*end = '\0';
			end += 2;
		} else {
			end = record + strlen(record);
		}
		if (wanted(record, domains)) {
			if (!*left)
				continue;
			--*left;
		} else if (!strstr(record, mark)) {
			continue;
		}
		if (printing)
			printf("%s\n\n", record);
	}
	free(text);
	return 0;
}

static int read_logs(char *const *logs, const char *mark, char *const *domains, long *left, int printing)
{
	for (; *logs; logs++)
		if (read_log(*logs, mark, domains, left, printing))
			return 3;
	return 0;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	char **logs, **domains;
	char events[4096] __attribute__((aligned(8)));
	long deadline, most = LONG_MAX;
	struct pollfd news = { .events = POLLIN };
	char *made;
	int mark;

	if (argc > 2 && !strcmp(argv[1], "-n")) {
		most = atol(argv[2]);
		argv += 2;
		argc -= 2;
	}
	logs = domains = argv + 3;
	while (domains < argv + argc && strcmp(*domains, "--"))
		domains++;
	if (argc < 5 || most <= 0 || domains >= argv + argc || domains == logs) {
		fprintf(stderr, "usage: auditread [-n COUNT] SECONDS MARK LOG... -- DOMAIN...\n");
		return 2;
	}
	*domains++ = NULL;
	/* Its name alone is in the record of our own execution, too. */
	if (asprintf(&made, "\nfile create %s ", argv[2]) < 0)
		return refused("asprintf");
	deadline = now_ms() + atol(argv[1]) * 1000;
	news.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	for (char **log = logs; *log; log++) {
		char *copy = strdup(*log); /* dirname() may write into it */

		/* The folder's, because a log need not be there yet. */
		if (!copy || inotify_add_watch(news.fd, dirname(copy), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
			return refused(*log);
		free(copy);
	}
	mark = open(argv[2], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (mark < 0 || close(mark) || unlink(argv[2]))
		return refused(argv[2]);
	for (;;) {
		long left = deadline - now_ms(), more = most;
		int enough = 0;

		for (char **log = logs; *log; log++)
			enough |= has(*log, made);
		if (!enough && most < LONG_MAX) {
			if (read_logs(logs, made, domains, &more, 0))
				return 3;
			enough = !more;
			more = most;
		}
		if (enough)
			return read_logs(logs, made, domains, &more, 1);
		if (left <= 0) {
			fprintf(stderr, "auditread: no record of %s within %s s\n", argv[2], argv[1]);
			return 1;
		}
		if (poll(&news, 1, left) < 0 && errno != EINTR)
			return refused("poll");
		while (read(news.fd, events, sizeof(events)) > 0)
			;
	}
}
