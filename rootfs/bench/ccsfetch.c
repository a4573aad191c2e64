// SPDX-License-Identifier: GPL-2.0-only
/*
 * ccsfetch - what requests to a web server cost, in instructions.
 *
 *	ccsfetch CALLS <REQUESTS
 *
 * Runs beside the server, in a guest of "-icount shift=0" with one CPU, where
 * the time stamp counter counts the instructions of everybody. REQUESTS has a
 * line "SIZE" and that many bytes for each request. Each is sent CALLS times, or
 * less often if it is dear, after some that are not counted, each time on a
 * connection of its own. What happens until the last byte has come is counted,
 * and a line is printed for it:
 *
 *	request NUMBER status STATUS minimum MINIMUM median MEDIAN mean MEAN calls CALLS
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "counter.h"

#define PORT 80
#define WARM 6
#define FIRST_WARM 100 /* each process of the server has had its first request then */
#define FEWEST 7
#define ENOUGH 200000000ull /* instructions: what is dear varies less, and is not asked for more often */
#define LONGEST 65536

static char request[LONGEST], answer[LONGEST];

static void give_up(const char *what)
{
	fprintf(stderr, "ccsfetch: %s: %s\n", what, strerror(errno));
	exit(1);
}

/*
 * Sends the request and reads what comes until the server ends it; returns the
 * status it told. What counts ends with the last byte: time that passes while
 * nobody has anything to do would be counted, and Apache sleeps 47 ms before it
 * looks again whether a CGI that has said all is gone.
 */
static int fetch(size_t size, uint64_t *ended)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	const int yes = 1;
	ssize_t got, kept = 0;
	int status = 0;

	answer[0] = '\0'; /* not what was told before */
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		give_up("connect");
	if (write(fd, request, size) != (ssize_t)size)
		give_up("write");
	for (;;) {
		/* An acknowledgement that comes 40 ms later would keep the server waiting, too. */
		setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &yes, sizeof(yes));
		got = read(fd, answer + kept, sizeof(answer) / 2);
		if (got <= 0)
			break;
		*ended = now();
		kept = sizeof(answer) / 2; /* the first part stays */
	}
	if (got < 0)
		give_up("read");
	close(fd);
	sscanf(answer, "HTTP/%*s %d", &status);
	return status;
}

int main(int argc, char *argv[])
{
	const int calls = argc == 2 ? atoi(argv[1]) : 0;
	unsigned int number = 0;
	size_t size;

	if (calls < FEWEST || calls > MAX_CALLS) {
		fprintf(stderr, "usage: ccsfetch CALLS <REQUESTS (%d to %d)\n", FEWEST, MAX_CALLS);
		return 2;
	}
	memset(seen, 1, sizeof(seen));
	while (scanf("%zu", &size) == 1) {
		uint64_t sum = 0;
		int call, status = 0;
		char told[128];

		if (getchar() != '\n' || size > sizeof(request) || fread(request, 1, size, stdin) != size)
			give_up("requests");
		for (call = number ? -WARM : -FIRST_WARM; call < calls && (call < FEWEST || sum < ENOUGH); call++) {
			const uint64_t begun = now();
			uint64_t ended = begun;

			status = fetch(size, &ended);
			if (call < 0)
				continue;
			seen[call] = ended - begun;
			sum += seen[call];
		}
		tell(call, told, sizeof(told));
		printf("request %u status %d %s\n", number++, status, told);
	}
	return 0;
}
