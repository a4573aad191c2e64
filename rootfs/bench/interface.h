// SPDX-License-Identifier: GPL-2.0-only
/* What the first programs of the guests without a shell share: TOMOYO's interface, and being its policy loader. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define LINE 4096

static const char *interface; /* NULL if the kernel has no TOMOYO */

static void give_up(const char *what)
{
	dprintf(STDOUT_FILENO, "init: %s: %s\n", what, strerror(errno));
	exit(1); /* process 1: the kernel panics, and the harness is told */
}

static void mount_all(void)
{
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("securityfs", "/sys/kernel/security", "securityfs", 0, NULL);
	if (!access("/proc/ccs/profile", F_OK))
		interface = "/proc/ccs";
	else if (!access("/sys/kernel/security/tomoyo/profile", F_OK))
		interface = "/sys/kernel/security/tomoyo";
}

static int open_interface(const char *name, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", interface, name);
	fd = open(path, flags);
	if (fd < 0)
		give_up(path);
	return fd;
}

static void put(int fd, const char *text, size_t size)
{
	if (write(fd, text, size) != (ssize_t)size)
		give_up("write to the interface");
}

/* Writes a file to the interface, each line behind a prefix. */
static void load(const char *path, const char *name, const char *prefix)
{
	FILE *from = fopen(path, "r");
	const int to = open_interface(name, O_WRONLY);
	char line[LINE];

	if (!from)
		give_up(path);
	while (fgets(line, sizeof(line), from)) {
		put(to, prefix, strlen(prefix));
		put(to, line, strlen(line));
	}
	fclose(from);
	close(to);
}

/* What the kernel's policy loader does: manager, exception_policy and profile out of a folder. */
static int load_policy(const char *folder)
{
	static const char *const names[] = { "manager", "exception_policy", "profile" };
	char path[128];
	size_t number;

	mount_all();
	if (!interface)
		return 1;
	for (number = 0; number < sizeof(names) / sizeof(names[0]); number++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[number]);
		load(path, names[number], "");
	}
	umount("/sys/kernel/security");
	umount("/sys");
	umount("/proc");
	return 0;
}
