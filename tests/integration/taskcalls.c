// SPDX-License-Identifier: GPL-2.0-only
/*
 * taskcalls - what a process does while rules hand its programs to handlers, change its domain, or keep ports from it.
 *
 *	taskcalls execute PROGRAM [ARGUMENT...]	with A=1 as the only variable
 *	taskcalls as UID FILE			becomes UID, opens FILE, tells its domain
 *	taskcalls ports HOW			20 ports that the kernel chooses; HOW is bind, connect or datagram
 *	taskcalls bind PORT
 *
 * As "show" it tells its arguments, variables and domain; as "handler" also what .execute_handler says of it; as "doer" it
 * executes what it was given as a handler. Prints "ERRNO EPERM" (or another name) if a call failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PORTS 20
#define FIRST 7 /* of the program's own arguments, in a handler's */

extern char **environ;

static int failed(void)
{
	const int error = errno;

	if (error == EPERM || error == ENOENT || error == EADDRINUSE)
		printf("ERRNO %s\n", error == EPERM ? "EPERM" : error == ENOENT ? "ENOENT" : "EADDRINUSE");
	else
		printf("ERRNO %d\n", error);
	return 1;
}

static void tell_file(const char *what, const char *name, const char *question)
{
	char text[4096] = "";
	const int fd = open(name, question ? O_RDWR : O_RDONLY);
	ssize_t size = -1;

	if (fd >= 0 && (!question || write(fd, question, strlen(question)) > 0))
		size = read(fd, text, sizeof(text) - 1);
	if (size < 0)
		failed();
	else
		printf("%s|%.*s\n", what, (int)size, text);
	close(fd);
}

static int show(char **argv)
{
	for (int i = 0; argv[i]; i++)
		printf("argument|%s\n", argv[i]);
	for (int i = 0; environ[i]; i++)
		printf("variable|%s\n", environ[i]);
	tell_file("domain", "/proc/ccs/self_domain", NULL);
	return 0;
}

static int handler(char **argv)
{
	char question[32];

	snprintf(question, sizeof(question), "info %d\n", getpid());
	show(argv);
	tell_file("info", "/proc/ccs/.execute_handler", question);
	return 0;
}

static int doer(int argc, char **argv)
{
	char *arguments[64] = { NULL };
	const int count = argc > FIRST ? atoi(argv[5]) : 0;

	for (int i = 0; i < count && i < 63; i++)
		arguments[i] = argv[FIRST + i];
	execve(argv[4], arguments, argv + FIRST + count);
	return failed();
}

/* Sockets stay open, so that no port comes twice. */
static int ports(const char *how)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(9) };
	struct sockaddr_in any = { .sin_family = AF_INET };
	const int type = !strcmp(how, "datagram") ? SOCK_DGRAM : SOCK_STREAM;
	int listener = -1;

	if (!strcmp(how, "connect")) {
		listener = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(listener, (struct sockaddr *)&to, sizeof(to)) || listen(listener, PORTS))
			return failed();
	}
	for (int i = 0; i < PORTS; i++) {
		const int fd = socket(AF_INET, type, 0);
		struct sockaddr_in own;
		socklen_t size = sizeof(own);

		if (!strcmp(how, "bind") ? bind(fd, (struct sockaddr *)&any, sizeof(any)) :
					   connect(fd, (struct sockaddr *)&to, sizeof(to)))
			return failed();
		getsockname(fd, (struct sockaddr *)&own, &size);
		printf("port|%d\n", ntohs(own.sin_port));
	}
	return 0;
}

static int bind_to(int port)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (bind(socket(AF_INET, SOCK_STREAM, 0), (const struct sockaddr *)&at, sizeof(at)))
		return failed();
	puts("OK");
	return 0;
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash ? slash + 1 : argv[0];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(name, "show"))
		return show(argv);
	if (!strcmp(name, "handler"))
		return handler(argv);
	if (!strcmp(name, "doer"))
		return doer(argc, argv);
	if (argc > 2 && !strcmp(argv[1], "execute")) {
		static char *const variables[] = { "A=1", NULL };

		execve(argv[2], argv + 2, variables);
		return failed();
	}
	if (argc == 4 && !strcmp(argv[1], "as")) {
		if (setuid(atoi(argv[2])) || open(argv[3], O_RDONLY) < 0)
			return failed();
		tell_file("domain", "/proc/ccs/self_domain", NULL);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "ports"))
		return ports(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "bind"))
		return bind_to(atoi(argv[2]));
	return 2;
}
