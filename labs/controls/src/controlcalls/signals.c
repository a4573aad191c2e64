// SPDX-License-Identifier: GPL-2.0-only
/*
 * Signals to a process of another domain, which ends by them, or by its starter's closing a pipe: what came is known
 * without waiting for what does not come.
 */
#include "controlcalls.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIGNAL SIGUSR1
#define TARGET "/bin/target"
#define NR_PIDFD_SEND_SIGNAL 424
#define NR_PIDFD_OPEN 434
#define PIDFD_GROUP 4 /* PIDFD_SIGNAL_PROCESS_GROUP, since 6.9 */

static int by_kill(pid_t pid) { return kill(pid, SIGNAL); }
static int by_kill_group(pid_t pid) { return kill(-pid, SIGNAL); }
static int by_kill_own_group(pid_t pid) { return (void)pid, kill(0, SIGNAL); }
static int by_kill_all(pid_t pid) { return (void)pid, kill(-1, SIGNAL); }
static int by_tkill(pid_t pid) { return syscall(SYS_tkill, pid, SIGNAL); }
static int by_tgkill(pid_t pid) { return syscall(SYS_tgkill, pid, pid, SIGNAL); }
static int by_sigqueue(pid_t pid) { return sigqueue(pid, SIGNAL, (union sigval){ .sival_int = 1 }); }
static int by_tgsigqueue(pid_t pid)
{
	siginfo_t info = { .si_signo = SIGNAL, .si_code = SI_QUEUE };

	return syscall(SYS_rt_tgsigqueueinfo, pid, pid, SIGNAL, &info);
}

static int pidfd(pid_t pid, unsigned int flags)
{
	int fd = syscall(NR_PIDFD_OPEN, pid, 0);

	return fd < 0 ? -1 : syscall(NR_PIDFD_SEND_SIGNAL, fd, SIGNAL, NULL, flags);
}

static int by_pidfd(pid_t pid) { return pidfd(pid, 0); }
static int by_pidfd_group(pid_t pid) { return pidfd(pid, PIDFD_GROUP); }
static int by_nothing(pid_t pid) { return kill(pid, 0); }

/* Says that it is there, and lives until its starter closes the pipe. */
int target(void)
{
	char byte;

	if (write(STDOUT_FILENO, ".", 1) != 1)
		return 2;
	return read(STDIN_FILENO, &byte, 1) != 0;
}

enum place { OWN_GROUP, ITS_GROUP };
enum whose { OWN_DOMAIN, OTHER_DOMAIN };
enum effect { ARRIVES, NOTHING };

static int signalled(int (*send)(pid_t), enum place place, enum whose whose, enum effect effect)
{
	int there[2], go[2], status, failed, error;
	char byte;
	pid_t pid;

	if (pipe(there) || pipe(go))
		return -1;
	setpgid(0, 0);
	pid = fork();
	if (!pid) {
		if (place == ITS_GROUP)
			setpgid(0, 0);
		dup2(go[0], STDIN_FILENO);
		dup2(there[1], STDOUT_FILENO);
		close(go[1]);
		close(there[0]);
		if (whose == OWN_DOMAIN)
			_exit(target());
		execl(TARGET, TARGET, "target", (char *)NULL);
		_exit(127);
	}
	/* After the fork: what is ignored stays so over an execve. */
	signal(SIGNAL, SIG_IGN);
	close(there[1]);
	close(go[0]);
	if (pid < 0 || read(there[0], &byte, 1) != 1)
		return -1;
	failed = send(pid);
	error = errno;
	close(go[1]);
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	if ((WIFSIGNALED(status) && WTERMSIG(status) == SIGNAL) != (!failed && effect == ARRIVES))
		lied(failed ? "it failed, and the signal arrived" : "it succeeded, and the signal did not arrive");
	errno = error;
	return failed;
}

static int do_kill(void) { return signalled(by_kill, OWN_GROUP, OTHER_DOMAIN, ARRIVES); }
static int do_kill_itself(void) { return signalled(by_kill, OWN_GROUP, OWN_DOMAIN, ARRIVES); }
static int do_kill_group(void) { return signalled(by_kill_group, ITS_GROUP, OTHER_DOMAIN, ARRIVES); }
static int do_kill_own_group(void) { return signalled(by_kill_own_group, OWN_GROUP, OTHER_DOMAIN, ARRIVES); }
static int do_kill_all(void) { return signalled(by_kill_all, OWN_GROUP, OTHER_DOMAIN, ARRIVES); }
static int do_kill_nothing(void) { return signalled(by_nothing, OWN_GROUP, OTHER_DOMAIN, NOTHING); }
static int do_tkill(void) { return signalled(by_tkill, OWN_GROUP, OTHER_DOMAIN, ARRIVES); }
static int do_tgkill(void) { return signalled(by_tgkill, OWN_GROUP, OTHER_DOMAIN, ARRIVES); }
static int do_sigqueue(void) { return signalled(by_sigqueue, OWN_GROUP, OTHER_DOMAIN, ARRIVES); }
static int do_tgsigqueue(void) { return signalled(by_tgsigqueue, OWN_GROUP, OTHER_DOMAIN, ARRIVES); }
static int do_pidfd(void) { return signalled(by_pidfd, OWN_GROUP, OTHER_DOMAIN, ARRIVES); }
static int do_pidfd_group(void) { return signalled(by_pidfd_group, ITS_GROUP, OTHER_DOMAIN, ARRIVES); }

const struct call signal_calls[] = {
	{ "kill", do_kill },
	{ "kill-itself", do_kill_itself },
	{ "kill-group", do_kill_group },
	{ "kill-own-group", do_kill_own_group },
	{ "kill-all", do_kill_all },
	{ "kill-nothing", do_kill_nothing },
	{ "tkill", do_tkill },
	{ "tgkill", do_tgkill },
	{ "sigqueue", do_sigqueue },
	{ "tgsigqueue", do_tgsigqueue },
	{ "pidfd", do_pidfd },
	{ "pidfd-group", do_pidfd_group },
	{ 0 },
};
