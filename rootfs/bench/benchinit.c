// SPDX-License-Identifier: GPL-2.0-only
/*
 * benchinit - the first program of the benchmark's guest, and its policy loader.
 *
 * As process 1 it takes one configuration of /bench/order after the other:
 * loads its policy, runs "/bin/ccsbench CALLS" (CALLS is in /bench/calls) and
 * says what state the kernel was in. A configuration may have a profile of
 * AppArmor instead. Called by the kernel as the policy loader
 * it loads /bench/policy/. Nobody types, nothing is random: two guests do the
 * same instructions.
 */
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "interface.h"

#define DOMAIN "<kernel> /bin/ccsbench"

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

/* A compiled profile of AppArmor, which takes the place of the one before it. */
static void load_profile(const char *path)
{
	const int from = open(path, O_RDONLY), to = open("/sys/kernel/security/apparmor/.replace", O_WRONLY);
	struct stat status;
	char *blob;

	if (from < 0 || to < 0 || fstat(from, &status))
		give_up(path);
	blob = malloc(status.st_size);
	if (!blob || read(from, blob, status.st_size) != status.st_size)
		give_up(path);
	put(to, blob, status.st_size);
	free(blob);
	close(from);
	close(to);
}

static void measure(const char *name, char *calls)
{
	char domain[128], exceptions[128], apparmor[128];

	snprintf(domain, sizeof(domain), "/bench/configurations/%s/domain", name);
	snprintf(exceptions, sizeof(exceptions), "/bench/configurations/%s/exceptions", name);
	snprintf(apparmor, sizeof(apparmor), "/bench/configurations/%s/apparmor", name);
	if (!access(apparmor, F_OK))
		load_profile(apparmor);
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
		return load_policy("/bench/policy");
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
