// SPDX-License-Identifier: GPL-2.0-only
/*
 * System calls that came after TOMOYO 1.8's first kernels, and do what an older call does: is there a way round its check?
 *
 * /tmp/file is there, and /tmp/made is not: the guest's first program sees to it. By number where not every libc has a
 * wrapper; numbers from 424 on are the same for all architectures.
 */
#include "controlcalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_NAME "/tmp/file"
#define MADE "/tmp/made"
#define PROGRAM "/bin/target"
#define NR_PIDFD_OPEN 434
#define NR_OPENAT2 437
#define NR_PIDFD_GETFD 438
#define NR_PROCESS_MADVISE 440
#define NR_FCHMODAT2 452
#define HANDLE_SIZE 128

static int do_openat2(void)
{
	const struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_NO_SYMLINKS };

	return syscall(NR_OPENAT2, AT_FDCWD, FILE_NAME, &how, sizeof(how));
}

static int do_open_by_handle(void)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + HANDLE_SIZE];
	} named = { .handle.handle_bytes = HANDLE_SIZE };
	int mount;

	if (chdir("/tmp") || syscall(SYS_name_to_handle_at, AT_FDCWD, FILE_NAME, &named.handle, &mount, 0))
		return -1;
	return syscall(SYS_open_by_handle_at, AT_FDCWD, &named.handle, O_RDONLY);
}

static int do_statx(void)
{
	char state[STATX_ROOM];

	return syscall(SYS_statx, AT_FDCWD, FILE_NAME, 0, STATX_WANTED, state);
}

static int do_fchmodat2(void) { return syscall(NR_FCHMODAT2, AT_FDCWD, FILE_NAME, 0600, AT_SYMLINK_NOFOLLOW); }
static int do_renameat2(void) { return syscall(SYS_renameat2, AT_FDCWD, FILE_NAME, AT_FDCWD, MADE, 1 /* NOREPLACE */); }

static int executed(int fd)
{
	static char *const argv[] = { "target", "getpriority", NULL };
	static char *const envp[] = { NULL };

	return fd < 0 ? -1 : syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
}

static int do_execveat(void) { return executed(open(PROGRAM, O_PATH | O_CLOEXEC)); }

static int do_memfd_exec(void)
{
	const int from = open(PROGRAM, O_RDONLY), to = syscall(SYS_memfd_create, "copied", 0);
	char part[4096];
	ssize_t size;

	while ((size = read(from, part, sizeof(part))) > 0)
		if (write(to, part, size) != size)
			return -1;
	return executed(to);
}

/* To oneself all of that is permitted but by TOMOYO, which is not told whom it is done to. */
static int do_vm(int number)
{
	char from = 1, to = 0;
	const struct iovec local = { number == SYS_process_vm_readv ? &to : &from, 1 };
	const struct iovec remote = { number == SYS_process_vm_readv ? &from : &to, 1 };

	if (syscall(number, getpid(), &local, 1, &remote, 1, 0) < 0)
		return -1;
	if (!to)
		lied("nothing was copied");
	return 0;
}

static int do_vm_readv(void) { return do_vm(SYS_process_vm_readv); }
static int do_vm_writev(void) { return do_vm(SYS_process_vm_writev); }

static int do_madvise(void)
{
	const size_t size = sysconf(_SC_PAGESIZE);
	const struct iovec page = { mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), size };

	return syscall(NR_PROCESS_MADVISE, syscall(NR_PIDFD_OPEN, getpid(), 0), &page, 1, MADV_COLD, 0);
}

static int do_getfd(void) { return syscall(NR_PIDFD_GETFD, syscall(NR_PIDFD_OPEN, getpid(), 0), STDOUT_FILENO, 0); }

static int do_sched_setattr(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attributes = { .size = sizeof(attributes), .nice = 1 };

	return syscall(SYS_sched_setattr, 0, &attributes, 0);
}

const struct call newer_calls[] = {
	{ "openat2", do_openat2 },
	{ "open_by_handle_at", do_open_by_handle },
	{ "statx", do_statx },
	{ "fchmodat2", do_fchmodat2 },
	{ "renameat2", do_renameat2 },
	{ "execveat", do_execveat },
	{ "memfd-exec", do_memfd_exec },
	{ "process_vm_readv", do_vm_readv },
	{ "process_vm_writev", do_vm_writev },
	{ "process_madvise", do_madvise },
	{ "pidfd_getfd", do_getfd },
	{ "sched_setattr", do_sched_setattr },
	{ 0 },
};
