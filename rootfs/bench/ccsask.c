// SPDX-License-Identifier: GPL-2.0-only
/*
 * ccsask - asks the kernel for accesses, and says what became of each.
 *
 * Reads requests from standard input, a line each, "OPERATION PATH [PATH2]", and
 * writes a letter for each: "." if it was granted, "P" for EPERM, other letters
 * for other errors. What a request makes stays: the next one meets it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONGEST 1024

static int opened(const char *path, int flags)
{
	/* A FIFO is nothing to wait for. */
	const int fd = open(path, flags | O_NONBLOCK, 0640);

	return fd < 0 ? -1 : close(fd);
}

static int control(const char *path, unsigned long number)
{
	/* O_PATH would not be enough, and O_RDONLY is a check of its own, before. */
	const int fd = open(path, O_RDONLY | O_NONBLOCK);
	int result;

	if (fd < 0)
		return -1;
	result = ioctl(fd, number, 0);
	if (result && errno != EPERM)
		result = 0; /* a file has no such control: it was let through */
	close(fd);
	return result;
}

/* The file is empty: ENOEXEC comes after the check, and the domain it would be in was made. */
static int executed(const char *path)
{
	char *const argv[] = { (char *)path, NULL }, *const envp[] = { NULL };
	int status;
	const pid_t pid = fork();

	if (!pid) {
		execve(path, argv, envp);
		_exit(errno);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	errno = WEXITSTATUS(status);
	return errno == ENOEXEC ? 0 : -1;
}

static int bound(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int result;

	if (fd < 0)
		return -1;
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	result = bind(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return result;
}

static int ask(const char *operation, const char *path, const char *other)
{
	struct stat status;

	if (!strcmp(operation, "read"))
		return opened(path, O_RDONLY);
	if (!strcmp(operation, "write"))
		return opened(path, O_WRONLY);
	if (!strcmp(operation, "append"))
		return opened(path, O_WRONLY | O_APPEND);
	if (!strcmp(operation, "create"))
		return opened(path, O_WRONLY | O_CREAT | O_EXCL);
	if (!strcmp(operation, "truncate"))
		return truncate(path, 0);
	if (!strcmp(operation, "getattr"))
		return stat(path, &status);
	if (!strcmp(operation, "unlink"))
		return unlink(path);
	if (!strcmp(operation, "mkdir"))
		return mkdir(path, 0755);
	if (!strcmp(operation, "rmdir"))
		return rmdir(path);
	if (!strcmp(operation, "mkfifo"))
		return mkfifo(path, 0600);
	if (!strcmp(operation, "mksock"))
		return mknod(path, S_IFSOCK | 0600, 0);
	if (!strcmp(operation, "mkchar"))
		return mknod(path, S_IFCHR | 0600, makedev(1, 3));
	if (!strcmp(operation, "chmod"))
		return chmod(path, 0640);
	if (!strcmp(operation, "chown"))
		return chown(path, 7, -1);
	if (!strcmp(operation, "chgrp"))
		return chown(path, -1, 7);
	if (!strcmp(operation, "ioctl"))
		return control(path, 0x5401);
	if (!strcmp(operation, "execute"))
		return executed(path);
	if (!strcmp(operation, "bind"))
		return bound(path);
	if (!strcmp(operation, "symlink"))
		return symlink(other, path);
	if (!strcmp(operation, "link"))
		return link(path, other);
	if (!strcmp(operation, "rename"))
		return rename(path, other);
	errno = ENOSYS;
	return -1;
}

static char letter(int failed)
{
	switch (failed ? errno : 0) {
	case 0:
		return '.';
	case EPERM:
		return 'P';
	case ENOENT:
		return 'n';
	case EACCES: /* nobody may execute it */
		return 'a';
	case EADDRINUSE:
	case EEXIST:
		return 'x';
	case ENOTDIR:
	case EISDIR:
		return 'd';
	case ENOTEMPTY:
		return 'e';
	case ENXIO:
		return 's';
	default:
		return '?';
	}
}

int main(void)
{
	char line[LONGEST], operation[16], path[512], other[512];

	setvbuf(stdin, NULL, _IOFBF, 1 << 16);
	while (fgets(line, sizeof(line), stdin)) {
		char said;

		other[0] = '\0';
		if (sscanf(line, "%15s %511s %511s", operation, path, other) < 2)
			return 2;
		said = letter(ask(operation, path, other));
		if (write(STDOUT_FILENO, &said, 1) != 1)
			return 1;
	}
	return 0;
}
