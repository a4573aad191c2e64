// SPDX-License-Identifier: GPL-2.0-only
/*
 * What io_uring does in place of system calls, beyond what newer.c has: is there a way round their checks?
 *
 * Structures and numbers are those of the kernel's include/uapi/linux/io_uring.h, the last ones of 6.11's.
 */
#include "controlcalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define FILE_NAME "/tmp/file"
#define MADE "/tmp/made"
#define PORT 4000
#define OP_FTRUNCATE 55
#define OP_LISTEN 57
#define COMMAND 0 /* of sockets SOCKET_URING_OP_SIOCINQ */

static unsigned long at(const void *what) { return (unsigned long)what; }

static struct sockaddr_in local(void)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(PORT),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int do_openat2(void)
{
	const struct open_how how = { .flags = O_RDONLY };
	const struct io_uring_sqe entry = { .opcode = IORING_OP_OPENAT2, .fd = AT_FDCWD, .addr = at(FILE_NAME),
					    .len = sizeof(how), .off = at(&how) };

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
	{ "openat2-io_uring", do_openat2 },
	{ "symlinkat-io_uring", do_symlink },
	{ "ftruncate-io_uring", do_ftruncate },
	{ "socket-io_uring", do_socket },
	{ "listen-io_uring", do_listen },
	{ "sendmsg-io_uring", do_sendmsg },
	{ "ioctl-io_uring", do_command },
	{ "ioctl-io_uring-socket", do_socket_command },
	{ 0 },
};
