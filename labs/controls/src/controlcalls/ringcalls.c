// SPDX-License-Identifier: GPL-2.0-only
/*
 * What io_uring does in place of system calls: is there a way round their checks?
 *
 * /tmp/file is there, and /tmp/made is not, as for newer.c. Structures and numbers are those of the kernel's
 * include/uapi/linux/io_uring.h, by number those of later kernels than what this is compiled on may have.
 */
#include "controlcalls.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define FILE_NAME "/tmp/file"
#define MADE "/tmp/made"
#define PORT 4000
#define OP_FTRUNCATE 55 /* since 6.9 */
#define OP_BIND 56 /* since 6.11, as the next */
#define OP_LISTEN 57
#define COMMAND 0 /* of sockets SOCKET_URING_OP_SIOCINQ */

static unsigned long at(const void *what) { return (unsigned long)what; }

static struct sockaddr_in local(void)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(PORT),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* Opens a file to be read; flags are the entry's, of which one has it done by a worker. */
static int opened(unsigned int flags)
{
	const struct io_uring_sqe entry = { .opcode = IORING_OP_OPENAT, .flags = flags, .fd = AT_FDCWD,
					    .addr = at(FILE_NAME), .open_flags = O_RDONLY };

	return ring_submit(&entry);
}

static int do_open(void) { return opened(0); }
static int do_open_async(void) { return opened(IOSQE_ASYNC); }

static int do_openat2(void)
{
	const struct open_how how = { .flags = O_RDONLY };
	const struct io_uring_sqe entry = { .opcode = IORING_OP_OPENAT2, .fd = AT_FDCWD, .addr = at(FILE_NAME),
					    .len = sizeof(how), .off = at(&how) };

	return ring_submit(&entry);
}

static int do_statx(void)
{
	char state[STATX_ROOM];
	const struct io_uring_sqe entry = { .opcode = IORING_OP_STATX, .fd = AT_FDCWD, .addr = at(FILE_NAME),
					    .len = STATX_WANTED, .off = at(state) };

	return ring_submit(&entry);
}

/* Of two names the second one's folder is in len, the second in off. */
static int two(unsigned int opcode)
{
	const struct io_uring_sqe entry = { .opcode = opcode, .fd = AT_FDCWD, .addr = at(FILE_NAME), .len = AT_FDCWD,
					    .off = at(MADE) };

	return ring_submit(&entry);
}

static int do_rename(void) { return two(IORING_OP_RENAMEAT); }
static int do_link(void) { return two(IORING_OP_LINKAT); }

static int do_unlink(void)
{
	const struct io_uring_sqe entry = { .opcode = IORING_OP_UNLINKAT, .fd = AT_FDCWD, .addr = at(FILE_NAME) };

	return ring_submit(&entry);
}

static int do_mkdir(void)
{
	const struct io_uring_sqe entry = { .opcode = IORING_OP_MKDIRAT, .fd = AT_FDCWD, .addr = at(MADE), .len = 0700 };

	return ring_submit(&entry);
}

static int do_symlink(void)
{
	const struct io_uring_sqe entry = { .opcode = IORING_OP_SYMLINKAT, .fd = AT_FDCWD, .addr = at(FILE_NAME),
					    .off = at(MADE) };

	return ring_submit(&entry);
}

static int do_ftruncate(void)
{
	const struct io_uring_sqe entry = { .opcode = OP_FTRUNCATE, .fd = open(FILE_NAME, O_RDWR) };

	return ring_submit(&entry);
}

static int do_socket(void)
{
	const struct io_uring_sqe entry = { .opcode = IORING_OP_SOCKET, .fd = AF_NETLINK, .off = SOCK_RAW };

	return ring_submit(&entry);
}

static int do_bind(void)
{
	const struct sockaddr_in here = local();
	const struct io_uring_sqe entry = { .opcode = OP_BIND, .fd = socket(AF_INET, SOCK_STREAM, 0), .addr = at(&here),
					    .addr2 = sizeof(here) };

	return ring_submit(&entry);
}

static int do_connect(void)
{
	const struct sockaddr_in there = local();
	/* A stream's would be checked twice: io_uring tries again when it is connected. */
	const struct io_uring_sqe entry = { .opcode = IORING_OP_CONNECT, .fd = socket(AF_INET, SOCK_DGRAM, 0),
					    .addr = at(&there), .off = sizeof(there) };

	return ring_submit(&entry);
}

static int do_listen(void)
{
	const struct sockaddr_in here = local();
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	const struct io_uring_sqe entry = { .opcode = OP_LISTEN, .fd = fd, .len = 1 };

	return bind(fd, (const struct sockaddr *)&here, sizeof(here)) ? -1 : ring_submit(&entry);
}

static int do_sendmsg(void)
{
	struct sockaddr_in to = local();
	struct iovec byte = { "x", 1 };
	const struct msghdr message = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &byte, .msg_iovlen = 1 };
	const struct io_uring_sqe entry = { .opcode = IORING_OP_SENDMSG, .fd = socket(AF_INET, SOCK_DGRAM, 0),
					    .addr = at(&message), .len = 1 };

	return ring_submit(&entry);
}

static int command(int fd)
{
	const struct io_uring_sqe entry = { .opcode = IORING_OP_URING_CMD, .fd = fd, .cmd_op = COMMAND };

	return ring_submit(&entry);
}

static int do_command(void) { return command(open("/dev/null", O_RDONLY)); }
static int do_socket_command(void) { return command(socket(AF_INET, SOCK_DGRAM, 0)); }

const struct call ring_calls[] = {
	{ "openat-io_uring", do_open },
	{ "openat-io_uring-async", do_open_async },
	{ "openat2-io_uring", do_openat2 },
	{ "statx-io_uring", do_statx },
	{ "renameat-io_uring", do_rename },
	{ "linkat-io_uring", do_link },
	{ "unlinkat-io_uring", do_unlink },
	{ "mkdirat-io_uring", do_mkdir },
	{ "symlinkat-io_uring", do_symlink },
	{ "ftruncate-io_uring", do_ftruncate },
	{ "socket-io_uring", do_socket },
	{ "bind-io_uring", do_bind },
	{ "connect-io_uring", do_connect },
	{ "listen-io_uring", do_listen },
	{ "sendmsg-io_uring", do_sendmsg },
	{ "ioctl-io_uring", do_command },
	{ "ioctl-io_uring-socket", do_socket_command },
	{ 0 },
};
