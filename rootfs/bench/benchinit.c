// SPDX-License-Identifier: GPL-2.0-only
/*
 * benchinit - the first program of the benchmark's guest, and its policy loader.
 *
 * As process 1 it takes one configuration of /bench/order after the other:
 * loads its policy, runs "/bin/ccsbench CALLS" (CALLS is in /bench/calls) and
 * says what state the kernel was in. Called by the kernel as the policy loader
 * it loads /bench/policy/. Nobody types, nothing is random: two guests do the
 * same instructions.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DOMAIN "<kernel> /bin/ccsbench"
#define LINE 4096

static const char *interface; /* NULL if the kernel has no TOMOYO */

static void give_up(const char *what)
{
	dprintf(STDOUT_FILENO, "benchinit: %s: %s\n", what, strerror(errno));
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

static int load_policy(void)
{
	mount_all();
	if (!interface)
		return 1;
	load("/bench/policy/manager", "manager", "");
	load("/bench/policy/exception_policy", "exception_policy", "");
	load("/bench/policy/profile", "profile", "");
	umount("/sys/kernel/security");
	umount("/sys");
	umount("/proc");
	return 0;
}

static void loopback_up(void)
{
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request))
		give_up("lo");
	close(fd);
}

static int run(char *calls)
{
	char *const argv[] = { "ccsbench", calls, NULL }, *const envp[] = { NULL };
	int status;
	const pid_t pid = fork();

	if (!pid) {
		execve("/bin/ccsbench", argv, envp);
		perror("/bin/ccsbench");
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		give_up("fork");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Which profile the domain has now, and how many rules. */
static void tell_domain(void)
{
	FILE *from = fdopen(open_interface("domain_policy", O_RDONLY), "r");
	char line[LINE];
	int mine = 0, rules = 0;

	while (from && fgets(line, sizeof(line), from)) {
		if (line[0] == '<')
			mine = !strcmp(line, DOMAIN "\n");
		else if (mine && !strncmp(line, "use_profile ", 12))
			dprintf(STDOUT_FILENO, "%s", line);
		else if (mine && line[0] != '\n' && strncmp(line, "use_group ", 10))
			rules++;
	}
	fclose(from);
	dprintf(STDOUT_FILENO, "rules %d\n", rules);
}

static void measure(const char *name, char *calls)
{
	char domain[128], exceptions[128];

	snprintf(domain, sizeof(domain), "/bench/configurations/%s/domain", name);
	snprintf(exceptions, sizeof(exceptions), "/bench/configurations/%s/exceptions", name);
	if (interface) {
		const int fd = open_interface("domain_policy", O_WRONLY);

		put(fd, "delete " DOMAIN "\n", strlen("delete " DOMAIN "\n"));
		close(fd);
		load(exceptions, "exception_policy", "");
		load(domain, "domain_policy", "");
	}
	dprintf(STDOUT_FILENO, "configuration %s\n", name);
	dprintf(STDOUT_FILENO, "status %d\n", run(calls));
	if (!interface)
		return;
	tell_domain();
	load(exceptions, "exception_policy", "delete ");
}

int main(void)
{
	char name[64], calls[16] = "";
	FILE *file;

	if (getpid() != 1)
		return load_policy();
	mount_all();
	loopback_up();
	file = fopen("/bench/calls", "r");
	if (!file || !fgets(calls, sizeof(calls), file))
		give_up("/bench/calls");
	fclose(file);
	file = fopen("/bench/order", "r");
	if (!file)
		give_up("/bench/order");
	while (fgets(name, sizeof(name), file)) {
		name[strcspn(name, "\n")] = '\0';
		measure(name, calls);
	}
	dprintf(STDOUT_FILENO, "bench: all measured\n");
	for (;;)
		pause();
}
