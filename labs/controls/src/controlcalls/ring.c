// SPDX-License-Identifier: GPL-2.0-only
/*
 * One operation by io_uring(7), waited for no longer than TIMEOUT_MS; after that it has failed with EAGAIN.
 *
 * Structures and numbers are those of the kernel's include/uapi/linux/io_uring.h.
 */
#include "controlcalls.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NR_SETUP 425
#define NR_ENTER 426
#define WANTED 1 /* which of the two answers is that of the operation */

int ring_submit(const struct io_uring_sqe *wanted)
{
	struct io_uring_params params;
	unsigned char *sq, *cq;
	struct io_uring_sqe *entries;
	struct io_uring_cqe *done;
	size_t sq_size, cq_size;
	struct __kernel_timespec limit = { .tv_nsec = TIMEOUT_MS * 1000000L };
	int fd, result = 0;

	memset(&params, 0, sizeof(params));
	fd = syscall(NR_SETUP, 2, &params);
	if (fd < 0)
		return -1;
	sq_size = params.sq_off.array + params.sq_entries * sizeof(unsigned int);
	cq_size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	sq = mmap(NULL, sq_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, cq_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_CQ_RING);
	entries = mmap(NULL, params.sq_entries * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
		       IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || (void *)entries == MAP_FAILED)
		return -1;
	entries[0] = *wanted;
	entries[0].flags |= IOSQE_IO_LINK;
	entries[0].user_data = WANTED;
	entries[1] = (struct io_uring_sqe){ .opcode = IORING_OP_LINK_TIMEOUT, .addr = (unsigned long)&limit, .len = 1 };
	for (unsigned int i = 0; i < 2; i++)
		((unsigned int *)(sq + params.sq_off.array))[i] = i;
	__atomic_store_n((unsigned int *)(sq + params.sq_off.tail), 2, __ATOMIC_RELEASE);
	if (syscall(NR_ENTER, fd, 2, 2, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -1;
	if (__atomic_load_n((unsigned int *)(cq + params.cq_off.tail), __ATOMIC_ACQUIRE) != 2)
		lied("io_uring has not answered");
	done = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
	for (unsigned int i = 0; i < 2; i++)
		if (done[i].user_data == WANTED)
			result = done[i].res == -ECANCELED ? -EAGAIN : done[i].res;
	close(fd);
	if (result < 0) {
		errno = -result;
		return -1;
	}
	return result;
}

int ring_accept(int fd, int flags)
{
	struct io_uring_sqe entry = { .opcode = IORING_OP_ACCEPT, .fd = fd, .accept_flags = flags };

	return ring_submit(&entry);
}

int ring_recv(int fd, void *buffer, unsigned int size, int flags)
{
	struct io_uring_sqe entry = { .opcode = IORING_OP_RECV, .fd = fd, .addr = (unsigned long)buffer, .len = size,
				      .msg_flags = flags };

	return ring_submit(&entry);
}

int ring_recvmsg(int fd, void *message)
{
	struct io_uring_sqe entry = { .opcode = IORING_OP_RECVMSG, .fd = fd, .addr = (unsigned long)message, .len = 1 };

	return ring_submit(&entry);
}
