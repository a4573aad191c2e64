/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CONTROLCALLS_H
#define CONTROLCALLS_H

#include <stdbool.h>

/* How long a connection or datagram is waited for. All there will be are there before anyone waits. */
#define TIMEOUT_MS 200

/* Of statx(2), which not every libc has: room for its struct, and STATX_SIZE. */
#define STATX_ROOM 256
#define STATX_WANTED 0x200

/* What can be tried: run() returns a negative value and sets errno if it failed. */
struct call {
	const char *name;
	int (*run)(void);
};

/* Each ends with a nameless one. */
extern const struct call system_calls[];
extern const struct call signal_calls[];
extern const struct call network_calls[];
extern const struct call newer_calls[];
extern const struct call ring_calls[];

/* Lives until its starter closes the pipe. */
int target(void);

/* What was returned is not what happened: says so, and ends the program. */
void lied(const char *what) __attribute__((noreturn));

/* What is said in place of "OK", if the call did its work for another than the first. */
extern const char *said;

/* Has one operation done by io_uring; what came of it, as a system call would say. */
struct io_uring_sqe;
int ring_submit(const struct io_uring_sqe *wanted);

/* Do by io_uring what accept4(2), or recv(2) with a buffer, does; with flags as they take them. */
int ring_accept(int fd, int flags);
int ring_recv(int fd, void *buffer, unsigned int size, int flags);
int ring_recvmsg(int fd, void *message);

#endif
