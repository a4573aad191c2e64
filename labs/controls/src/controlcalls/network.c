// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections and datagrams from two peers. The first is whom the trials' rules are about; if he is turned away, the
 * second must be served, and the first must see it.
 *
 * Nobody comes after these two, so nothing is waited for longer than TIMEOUT_MS.
 */
#include "controlcalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PORT 4000
#define PROTOCOL 253 /* for experiments: RFC 3692 */
#define MANY 2

enum kind { V4, V6, MAPPED, UNIX, NAMELESS };
enum how { BLOCKING, NONBLOCKING, PEEKING, READING, MMSG, POLLED, SPLICED, RING, RING_MSG };

/* Who is 0 for the server, then 1 and 2. */
static socklen_t address(enum kind kind, int type, int who, struct sockaddr_storage *at)
{
	struct sockaddr_in *in = (struct sockaddr_in *)at;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)at;
	struct sockaddr_un *un = (struct sockaddr_un *)at;

	memset(at, 0, sizeof(*at));
	switch (kind) {
	case UNIX:
	case NAMELESS:
		un->sun_family = AF_UNIX;
		snprintf(un->sun_path, sizeof(un->sun_path), "/tmp/peer%d", who);
		return sizeof(*un);
	case V6:
		in6->sin6_family = AF_INET6;
		in6->sin6_addr = in6addr_loopback;
		in6->sin6_port = type == SOCK_RAW ? 0 : htons(PORT + who);
		return sizeof(*in6);
	case MAPPED:
		if (!who) {
			in6->sin6_family = AF_INET6;
			in6->sin6_port = htons(PORT);
			return sizeof(*in6);
		}
		/* fall through */
	default:
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK + (type == SOCK_RAW ? who : 0));
		in->sin_port = type == SOCK_RAW ? 0 : htons(PORT + who);
		return sizeof(*in);
	}
}

static int made(enum kind kind, int type, int who)
{
	static const struct timeval limit = { .tv_usec = TIMEOUT_MS * 1000 };
	static const struct linger at_once = { .l_onoff = 1 };
	static const int on = 1;
	struct sockaddr_storage at;
	socklen_t size = address(kind, type, who, &at);
	int fd = socket(at.ss_family, type, type == SOCK_RAW ? PROTOCOL : 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Closing leaves nothing behind that the next trial would find its port taken by. */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	if (at.ss_family == AF_UNIX)
		unlink(((struct sockaddr_un *)&at)->sun_path);
	if (!(kind == NAMELESS && who) && bind(fd, (struct sockaddr *)&at, size))
		return -1;
	return fd;
}

static bool ready(int fd)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };

	return poll(&one, 1, TIMEOUT_MS) == 1;
}

/* A peer that was turned away has been told so. */
static void see_closed(int fd, const char *otherwise)
{
	char byte;

	if (!ready(fd) || recv(fd, &byte, 1, MSG_DONTWAIT) > 0)
		lied(otherwise);
}

static int accepted(enum kind kind, int type, enum how how)
{
	int server = made(kind, type, 0), peers[MANY], fd, error;
	struct sockaddr_storage at, found;
	socklen_t size = address(kind == MAPPED ? V4 : kind, type, 0, &at), length;
	char byte = 0;

	if (server < 0 || listen(server, MANY))
		return -2;
	for (int i = 0; i < MANY; i++) {
		peers[i] = made(kind, type, i + 1);
		if (peers[i] < 0 || connect(peers[i], (struct sockaddr *)&at, size))
			lied("a peer cannot connect");
		/* By which the server knows who it is whom it got. */
		if (send(peers[i], i ? "2" : "1", 1, 0) != 1)
			lied("a peer cannot send");
	}
	if (how == POLLED && !ready(server))
		lied("poll does not tell of the connections");
	if (how == NONBLOCKING || how == POLLED) {
		int on = 1;

		ioctl(server, FIONBIO, &on);
	}
	length = sizeof(found);
	fd = how == RING ? ring_accept(server, 0) : accept(server, (struct sockaddr *)&found, &length);
	error = errno;
	if (fd < 0) {
		see_closed(peers[0], "the first was turned away and not told");
		see_closed(peers[1], "the second was turned away and not told");
		errno = error;
		return -1;
	}
	if (recv(fd, &byte, 1, 0) != 1)
		lied("the peer's byte did not come");
	if (byte == '2') {
		see_closed(peers[0], "the first was turned away and not told");
		said = "NEXT";
	}
	close(peers[0]);
	close(peers[1]);
	close(fd);
	return 0;
}

static int received(enum kind kind, int type, enum how how)
{
	int server = made(kind, type, 0), peers[MANY], ends[2], size, next = 0;
	struct sockaddr_storage at;
	socklen_t length = address(kind == MAPPED ? V4 : kind, type, 0, &at);
	char buffer[64];
	struct iovec into = { buffer, sizeof(buffer) };
	struct mmsghdr message = { .msg_hdr = { .msg_iov = &into, .msg_iovlen = 1 } };

	if (server < 0)
		return -2;
	for (int i = 0; i < MANY; i++) {
		peers[i] = made(kind, type, i + 1);
		/* The second datagram is longer, so that they are told by their size, too. */
		if (peers[i] < 0 || sendto(peers[i], "xx", i + 1, 0, (struct sockaddr *)&at, length) != i + 1)
			lied("a peer cannot send");
	}
	switch (how) {
	case READING:
		size = read(server, buffer, sizeof(buffer));
		break;
	case MMSG:
		size = recvmmsg(server, &message, 1, 0, NULL) == 1 ? (int)message.msg_len : -1;
		break;
	case SPLICED:
		size = pipe(ends) ? -1 : splice(server, NULL, ends[1], NULL, sizeof(buffer), 0);
		break;
	case RING:
		size = ring_recv(server, buffer, sizeof(buffer), 0);
		break;
	case RING_MSG:
		size = ring_recvmsg(server, &message.msg_hdr);
		break;
	case POLLED:
		if (!ready(server))
			lied("poll does not tell of the datagrams");
		/* fall through */
	case NONBLOCKING:
		size = recv(server, buffer, sizeof(buffer), MSG_DONTWAIT);
		break;
	default:
		size = recv(server, buffer, sizeof(buffer), how == PEEKING ? MSG_PEEK : 0);
	}
	if (size < 0)
		return -1;
	if (type == SOCK_RAW && kind == V4)
		size -= (buffer[0] & 15) * 4; /* the IP header */
	if (size == 2)
		said = "NEXT";
	if (how == PEEKING && (ioctl(server, SIOCINQ, &next) || next != size))
		lied("what was peeked at is not what is there");
	return 0;
}

#define ACCEPT(name, kind, type, how) static int name(void) { return accepted(kind, type, how); }
#define BIND(name, kind, type) static int name(void) { return made(kind, type, 0); }
#define RECV(name, kind, type, how) static int name(void) { return received(kind, type, how); }

ACCEPT(accept_blocking, V4, SOCK_STREAM, BLOCKING)
ACCEPT(accept_nonblocking, V4, SOCK_STREAM, NONBLOCKING)
ACCEPT(accept_polled, V4, SOCK_STREAM, POLLED)
ACCEPT(accept_ring, V4, SOCK_STREAM, RING)
ACCEPT(accept_v6, V6, SOCK_STREAM, BLOCKING)
ACCEPT(accept_mapped, MAPPED, SOCK_STREAM, BLOCKING)
ACCEPT(accept_unix, UNIX, SOCK_STREAM, BLOCKING)
ACCEPT(accept_nameless, NAMELESS, SOCK_STREAM, BLOCKING)
ACCEPT(accept_seqpacket, UNIX, SOCK_SEQPACKET, BLOCKING)
RECV(recv_blocking, V4, SOCK_DGRAM, BLOCKING)
RECV(recv_nonblocking, V4, SOCK_DGRAM, NONBLOCKING)
RECV(recv_peeking, V4, SOCK_DGRAM, PEEKING)
RECV(recv_reading, V4, SOCK_DGRAM, READING)
RECV(recv_mmsg, V4, SOCK_DGRAM, MMSG)
RECV(recv_polled, V4, SOCK_DGRAM, POLLED)
RECV(recv_spliced, V4, SOCK_DGRAM, SPLICED)
RECV(recv_ring, V4, SOCK_DGRAM, RING)
RECV(recv_ring_msg, V4, SOCK_DGRAM, RING_MSG)
RECV(recv_v6, V6, SOCK_DGRAM, BLOCKING)
RECV(recv_mapped, MAPPED, SOCK_DGRAM, BLOCKING)
RECV(recv_raw, V4, SOCK_RAW, BLOCKING)
RECV(recv_raw_v6, V6, SOCK_RAW, BLOCKING)
RECV(recv_unix, UNIX, SOCK_DGRAM, BLOCKING)
RECV(recv_unix_peeking, UNIX, SOCK_DGRAM, PEEKING)
RECV(recv_unix_nameless, NAMELESS, SOCK_DGRAM, BLOCKING)
BIND(bind_stream, V4, SOCK_STREAM)
BIND(bind_dgram, V4, SOCK_DGRAM)
BIND(bind_unix_stream, UNIX, SOCK_STREAM)
BIND(bind_unix_dgram, UNIX, SOCK_DGRAM)
BIND(bind_unix_seqpacket, UNIX, SOCK_SEQPACKET)

const struct call network_calls[] = {
	{ "accept", accept_blocking },
	{ "accept-nonblocking", accept_nonblocking },
	{ "accept-polled", accept_polled },
	{ "accept-io_uring", accept_ring },
	{ "accept-v6", accept_v6 },
	{ "accept-mapped", accept_mapped },
	{ "accept-unix", accept_unix },
	{ "accept-nameless", accept_nameless },
	{ "accept-seqpacket", accept_seqpacket },
	{ "recv", recv_blocking },
	{ "recv-nonblocking", recv_nonblocking },
	{ "recv-peeking", recv_peeking },
	{ "recv-by-read", recv_reading },
	{ "recvmmsg", recv_mmsg },
	{ "recv-polled", recv_polled },
	{ "recv-by-splice", recv_spliced },
	{ "recv-io_uring", recv_ring },
	{ "recvmsg-io_uring", recv_ring_msg },
	{ "recv-v6", recv_v6 },
	{ "recv-mapped", recv_mapped },
	{ "recv-raw", recv_raw },
	{ "recv-raw-v6", recv_raw_v6 },
	{ "recv-unix", recv_unix },
	{ "recv-unix-peeking", recv_unix_peeking },
	{ "recv-nameless", recv_unix_nameless },
	{ "bind-stream", bind_stream },
	{ "bind-dgram", bind_dgram },
	{ "bind-unix-stream", bind_unix_stream },
	{ "bind-unix-dgram", bind_unix_dgram },
	{ "bind-unix-seqpacket", bind_unix_seqpacket },
	{ 0 },
};
