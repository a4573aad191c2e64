// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations of the whole system: what "capability" rules are for.
 *
 * By number where not every libc has a wrapper.
 */
#include "controlcalls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define KEXEC_386 (3L << 16) /* KEXEC_ARCH_386 */
#define KEXEC_UNLOAD 1 /* KEXEC_FILE_UNLOAD */
#define MAGIC1 0xfee1deadu
#define MAGIC2 672274793u
#define CAD_OFF 0u /* LINUX_REBOOT_CMD_CAD_OFF */

static int do_reboot(void) { return syscall(SYS_reboot, MAGIC1, MAGIC2, CAD_OFF, 0); }
static int do_vhangup(void) { return syscall(SYS_vhangup); }

static int do_settimeofday(void)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	return settimeofday(&now, NULL);
}

static int do_clock_settime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return clock_settime(CLOCK_REALTIME, &now);
}

/* What is set is what it is already. */
static int adjust(unsigned int modes, bool by_clock)
{
	struct timex state = { .modes = 0 };

	if (adjtimex(&state) < 0)
		return -1;
	state.modes = modes;
	return (by_clock ? clock_adjtime(CLOCK_REALTIME, &state) : adjtimex(&state)) < 0 ? -1 : 0;
}

static int do_adjtimex(void) { return adjust(ADJ_MAXERROR, false); }
static int do_adjtimex_read(void) { return adjust(0, false); }
static int do_adjtime_read(void) { return adjust(ADJ_OFFSET_SS_READ, false); }
static int do_clock_adjtime(void) { return adjust(ADJ_MAXERROR, true); }
static int do_adjtime(void)
{
	struct timeval none = { 0, 0 };

	return adjtime(&none, NULL);
}

static int do_nice(void)
{
#ifdef SYS_nice
	return syscall(SYS_nice, 1);
#else
	return setpriority(PRIO_PROCESS, 0, 1);
#endif
}

static int do_setpriority(void) { return setpriority(PRIO_PROCESS, 0, 1); }
static int do_getpriority(void)
{
	errno = 0;
	getpriority(PRIO_PROCESS, 0);
	return errno ? -1 : 0;
}

static int do_sethostname(void) { return sethostname("controls", 8); }
static int do_setdomainname(void) { return setdomainname("controls", 8); }
static int do_init_module(void) { return syscall(SYS_init_module, "nothing", 7L, ""); }
static int do_finit_module(void)
{
	int fd = open("/controls/trials", O_RDONLY);

	return fd < 0 ? -1 : syscall(SYS_finit_module, fd, "", 0);
}

static int do_delete_module(void) { return syscall(SYS_delete_module, "nothing", 0); }
/* No segments: what was loaded is unloaded. A 64-bit kernel wants i386's programs to say that they are. */
static int do_kexec_load(void) { return syscall(SYS_kexec_load, 0L, 0L, NULL, sizeof(long) == 4 ? KEXEC_386 : 0L); }
static int do_kexec_file_load(void)
{
#ifdef SYS_kexec_file_load
	return syscall(SYS_kexec_file_load, -1, -1, 0L, NULL, (long)KEXEC_UNLOAD);
#else
	errno = ENOSYS;
	return -1;
#endif
}

static void woken(int number) { (void)number; }

/* Who is denied is kept waiting for as long as the trial's preference says: PENALTY_MS, unless a signal comes. */
static int timed(unsigned int penalty_ms, unsigned int signal_ms)
{
	const struct sigaction action = { .sa_handler = woken };
	const struct itimerval timer = { .it_value.tv_usec = signal_ms * 1000 };
	struct timespec began, ended;
	unsigned int ms;
	int result, error;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	clock_gettime(CLOCK_MONOTONIC, &began);
	result = do_reboot();
	error = errno;
	clock_gettime(CLOCK_MONOTONIC, &ended);
	ms = (ended.tv_sec - began.tv_sec) * 1000 + (ended.tv_nsec - began.tv_nsec) / 1000000;
	if (result < 0 && !signal_ms && ms < penalty_ms)
		lied("was not kept waiting");
	if (result < 0 && signal_ms && (ms < signal_ms || ms >= penalty_ms))
		lied("was not woken by the signal");
	if (result >= 0 && ms >= penalty_ms)
		lied("was kept waiting for what was granted");
	errno = error;
	return result;
}

static int do_penalty(void) { return timed(500, 0); }
static int do_penalty_signal(void) { return timed(5000, 200); }

static int do_ptrace(void) { return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? -1 : 0; }
static int do_netlink(void) { return socket(AF_NETLINK, SOCK_RAW, 0) < 0 ? -1 : 0; }
static int do_packet(void) { return socket(AF_PACKET, SOCK_RAW, 0) < 0 ? -1 : 0; }
static int do_inet(void) { return socket(AF_INET, SOCK_DGRAM, 0) < 0 ? -1 : 0; }

const struct call system_calls[] = {
	{ "reboot", do_reboot },
	{ "vhangup", do_vhangup },
	{ "settimeofday", do_settimeofday },
	{ "clock_settime", do_clock_settime },
	{ "adjtimex", do_adjtimex },
	{ "adjtimex-read", do_adjtimex_read },
	{ "adjtime", do_adjtime },
	{ "adjtime-read", do_adjtime_read },
	{ "clock_adjtime", do_clock_adjtime },
	{ "nice", do_nice },
	{ "setpriority", do_setpriority },
	{ "getpriority", do_getpriority },
	{ "sethostname", do_sethostname },
	{ "setdomainname", do_setdomainname },
	{ "init_module", do_init_module },
	{ "finit_module", do_finit_module },
	{ "delete_module", do_delete_module },
	{ "kexec_load", do_kexec_load },
	{ "kexec_file_load", do_kexec_file_load },
	{ "ptrace", do_ptrace },
	{ "reboot-penalty", do_penalty },
	{ "reboot-penalty-signal", do_penalty_signal },
	{ "socket-netlink", do_netlink },
	{ "socket-packet", do_packet },
	{ "socket-inet", do_inet },
	{ 0 },
};
