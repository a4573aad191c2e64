// SPDX-License-Identifier: GPL-2.0-only
/*
 * ccsprobe - what a shell cannot do with an interface file of TOMOYO, or not
 * often enough.
 *
 *	ccsprobe wake FILE PROGRAM [ARGUMENT...]
 *	ccsprobe answer FILE DIGITS PROGRAM [ARGUMENT...]
 *	ccsprobe mounts DIR TIMES
 *
 * "wake" polls FILE once without waiting, starts PROGRAM as soon as it is
 * asleep in a second poll() itself, and prints both results: "before=0 after=1".
 *
 * "answer" holds FILE (query) open, starts PROGRAM, and answers the n-th
 * question with the n-th digit. It prints each question: the line with the
 * serial number, and the access as "asked: LINE".
 *
 * "mounts" clones the mount at DIR and drops the clone TIMES times, and makes a
 * tmpfs TIMES / 4 times, every other of which it attaches to DIR and unmounts.
 *
 * Nothing waits longer than LIMIT_MS; then it says so and exits 1.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* From the kernel's include/uapi/linux/mount.h, which not every libc knows. */
enum { CLONE = 1, FROM_EMPTY_PATH = 4, CREATE = 6 };
enum { OPEN_TREE = 428, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT };

#define LIMIT_MS 8000 /* less than the ten seconds the kernel waits for an answer */

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* Waits until a process sleeps; false if it does not in time. */
static int asleep(pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	char path[32], line[512];
	int tries;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (tries = 0; tries < LIMIT_MS; tries++) {
		const int fd = open(path, O_RDONLY);
		const ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
		const char *state;

		close(fd);
		if (size <= 0)
			return 0;
		line[size] = '\0';
		state = strrchr(line, ')');
		if (state && state[1] && state[2] == 'S')
			return 1;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static pid_t start(char *argv[], pid_t after)
{
	const pid_t pid = fork();

	if (pid)
		return pid;
	if (after && !asleep(after)) {
		fputs("ccsprobe: the caller does not sleep\n", stderr);
		_exit(1);
	}
	execvp(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

static int wake(const char *file, char *argv[])
{
	struct pollfd fd = { .fd = open(file, O_RDONLY), .events = POLLIN };
	int before, after;

	if (fd.fd < 0)
		return fail(file);
	before = poll(&fd, 1, 0);
	if (start(argv, getpid()) < 0)
		return fail("fork");
	after = poll(&fd, 1, LIMIT_MS);
	wait(NULL);
	printf("before=%d after=%d\n", before, after);
	return 0;
}

static void show(const char *question)
{
	const char *line = question;

	printf("%.*s\n", (int)strcspn(line, "\n"), line);
	/* Then as an audit record: what asks, its domain, and the access. */
	while ((line = strchr(line, '\n')))
		if (!strncmp(++line, "file ", 5))
			printf("asked: %.*s\n", (int)strcspn(line, "\n"), line);
}

static int answer(const char *file, const char *digits, char *argv[])
{
	struct pollfd fd = { .fd = open(file, O_RDWR), .events = POLLIN };
	unsigned int serial;
	char text[8192];
	ssize_t size;
	pid_t pid;

	if (fd.fd < 0)
		return fail(file);
	setbuf(stdout, NULL);
	pid = start(argv, 0);
	if (pid < 0)
		return fail("fork");
	for (; *digits; digits++) {
		/* The list of questions is read from its beginning at every second read. */
		do {
			if (poll(&fd, 1, LIMIT_MS) != 1) {
				puts("nobody asked");
				kill(pid, SIGKILL);
				return 1;
			}
			size = read(fd.fd, text, sizeof(text) - 1);
			if (size < 0)
				return fail("read");
		} while (!size);
		text[size] = '\0';
		show(text);
		if (sscanf(text, "Q%u-", &serial) != 1)
			return fail("no serial number");
		size = snprintf(text, sizeof(text), "A%u=%c\n", serial, *digits);
		if (write(fd.fd, text, size) != size)
			return fail("write");
	}
	waitpid(pid, NULL, 0);
	return 0;
}

static int detached(int attach, const char *place)
{
	const int context = syscall(FSOPEN, "tmpfs", 0);
	int mount;

	if (context < 0 || syscall(FSCONFIG, context, CREATE, NULL, NULL, 0))
		return fail("fsconfig");
	mount = syscall(FSMOUNT, context, 0, 0);
	if (mount < 0)
		return fail("fsmount");
	if (attach && syscall(MOVE_MOUNT, mount, "", AT_FDCWD, place, FROM_EMPTY_PATH))
		return fail("move_mount");
	close(mount);
	close(context);
	if (attach && umount2(place, MNT_DETACH))
		return fail("umount2");
	return 0;
}

static int mounts(const char *place, int times)
{
	int count, clone;

	for (count = 0; count < times; count++) {
		clone = syscall(OPEN_TREE, AT_FDCWD, place, CLONE);
		if (clone < 0)
			return fail("open_tree");
		close(clone);
		if (count % 4 == 0 && detached(count % 8 == 0, place))
			return 1;
	}
	return 0;
}

int main(int argc, char *argv[])
{
	if (argc >= 4 && !strcmp(argv[1], "wake"))
		return wake(argv[2], argv + 3);
	if (argc >= 5 && !strcmp(argv[1], "answer"))
		return answer(argv[2], argv[3], argv + 4);
	if (argc == 4 && !strcmp(argv[1], "mounts"))
		return mounts(argv[2], atoi(argv[3]));
	fputs("usage: ccsprobe wake FILE PROGRAM... | answer FILE DIGITS PROGRAM... | mounts DIR TIMES\n",
	      stderr);
	return 2;
}
