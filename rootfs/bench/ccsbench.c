// SPDX-License-Identifier: GPL-2.0-only
/*
 * ccsbench - what system calls cost, in instructions.
 *
 *	ccsbench CALLS
 *
 * Runs in /bench of a guest of "-icount shift=0", where the time stamp counter
 * counts the guest's instructions. Each operation is done CALLS times, each
 * time between two looks at the counter, and a line is printed for it:
 *
 *	op NAME minimum MINIMUM median MEDIAN mean MEAN calls CALLS
 *
 * What looking at the counter itself costs is taken off. All is printed at the
 * end, so that no console is in the way. An operation that fails is printed as
 * "op NAME failed ERRNO", and not measured. "denied" says what opening
 * /bench/forbidden came to, which policy is not to allow.
 *
 * Called as "nothing" it does nothing: that is the program which is executed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counter.h"

#define PORT 7000
#define WARM 16
#define OPS 16

static int server, opened, receiver;
static struct sockaddr_in address = { .sin_family = AF_INET };

static int nothing(void)
{
	return 0;
}

static int null_call(void)
{
	return syscall(SYS_getppid) < 0;
}

static int open_close(void)
{
	const int fd = open("/bench/data/file", O_RDONLY);

	return fd < 0 || close(fd);
}

static int stat_call(void)
{
	struct stat status;

	return stat("/bench/data/file", &status);
}

static int read_call(void)
{
	char byte;

	return pread(opened, &byte, 1, 0) != 1;
}

static int create_unlink(void)
{
	const int fd = open("/bench/data/new", O_WRONLY | O_CREAT | O_EXCL, 0600);

	return fd < 0 || close(fd) || unlink("/bench/data/new");
}

static int rename_there_and_back(void)
{
	return rename("/bench/data/here", "/bench/data/there") || rename("/bench/data/there", "/bench/data/here");
}

static int child(int execute)
{
	static char *const argv[] = { "nothing", NULL }, *const envp[] = { NULL };
	int status;
	const pid_t pid = fork();

	if (pid < 0)
		return 1;
	if (!pid) {
		if (execute)
			execve("/bench/nothing", argv, envp);
		_exit(execute ? errno : 0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return 1;
	errno = WEXITSTATUS(status);
	return status != 0;
}

static int fork_exit(void)
{
	return child(0);
}

static int fork_exec(void)
{
	return child(1);
}

static int connect_accept(void)
{
	/* Reset when closed: nothing of one connection is left to the next. */
	const struct linger reset = { .l_onoff = 1 };
	const int mine = socket(AF_INET, SOCK_STREAM, 0);
	int theirs, failed;

	if (mine < 0)
		return 1;
	failed = connect(mine, (struct sockaddr *)&address, sizeof(address));
	if (failed) {
		const int why = errno;

		close(mine);
		errno = why;
		return 1;
	}
	theirs = accept(server, NULL, NULL);
	setsockopt(mine, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	failed = theirs < 0;
	close(mine);
	close(theirs);
	return failed;
}

/* The first program, which ignores it, is of another domain. */
static int kill_parent(void)
{
	return kill(getppid(), SIGWINCH);
}

static int set_priority(void)
{
	return setpriority(PRIO_PROCESS, 0, 0);
}

static int netlink_close(void)
{
	const int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	return fd < 0 || close(fd);
}

/* By a socket that sends to itself. */
static int send_receive(void)
{
	char byte = 'a';

	return send(receiver, &byte, 1, 0) != 1 || recv(receiver, &byte, 1, 0) != 1;
}

static const struct op {
	const char *name;
	int (*run)(void);
} ops[] = {
	{ "nothing", nothing },	/* the first: what the others have taken off */
	{ "null", null_call },
	{ "open+close", open_close },
	{ "stat", stat_call },
	{ "read", read_call },
	{ "create+unlink", create_unlink },
	{ "rename", rename_there_and_back },
	{ "fork+exit", fork_exit },
	{ "fork+exec", fork_exec },
	{ "connect+accept", connect_accept },
	{ "send+recv", send_receive },
	{ "kill", kill_parent },
	{ "setpriority", set_priority },
	{ "netlink+close", netlink_close },
};

static void measure(const struct op *op, int calls, char *line, size_t size)
{
	static uint64_t look;
	uint64_t median;
	int count, used;

	for (count = -WARM; count < calls; count++) {
		const uint64_t before = now();
		const int failed = op->run();
		const uint64_t after = now();

		if (failed) {
			snprintf(line, size, "op %s failed %d", op->name, errno);
			return;
		}
		if (count >= 0)
			seen[count] = after - before - look;
	}
	used = snprintf(line, size, "op %s ", op->name);
	median = tell(calls, line + used, size - used);
	if (op == ops)
		look = median;
}

static int listening(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_port = htons(PORT);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 16) ? -1 : fd;
}

static int connected_to_itself(void)
{
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);

	return fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
			       connect(fd, (struct sockaddr *)&address, sizeof(address)) ?
		       -1 :
		       fd;
}

int main(int argc, char *argv[])
{
	const int calls = argc == 2 ? atoi(argv[1]) : 0;
	char lines[OPS][128];
	size_t number;
	int forbidden;

	if (argc == 1 && !strcmp(argv[0], "nothing"))
		return 0;
	if (calls < 10 || calls > MAX_CALLS) {
		fprintf(stderr, "usage: ccsbench CALLS (10 to %d)\n", MAX_CALLS);
		return 2;
	}
	server = listening();
	if (server < 0) {
		perror("listen");
		return 1;
	}
	receiver = connected_to_itself();
	if (receiver < 0) {
		perror("datagram socket");
		return 1;
	}
	opened = open("/bench/data/file", O_RDONLY);
	if (opened < 0) {
		perror("/bench/data/file");
		return 1;
	}
	/* Pages are touched before anything is measured. */
	memset(seen, 1, sizeof(seen));
	memset(lines, 0, sizeof(lines));
	for (number = 0; number < sizeof(ops) / sizeof(ops[0]); number++)
		measure(&ops[number], calls, lines[number], sizeof(lines[number]));
	forbidden = open("/bench/forbidden", O_RDONLY);
	snprintf(lines[0], sizeof(lines[0]), "denied %s", forbidden < 0 ? strerror(errno) : "no");
	for (number = 0; number < sizeof(ops) / sizeof(ops[0]); number++) {
		strcat(lines[number], "\n");
		/* Not by stdio, which looks at the file first: checks more, which would be learned. */
		if (write(STDOUT_FILENO, lines[number], strlen(lines[number])) < 0)
			return 1;
	}
	return 0;
}
