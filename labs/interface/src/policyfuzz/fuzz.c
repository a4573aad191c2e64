// SPDX-License-Identifier: GPL-2.0-only
/*
 * Malformed, huge, partial and concurrent reads and writes of every file of the interface, by its two names.
 *
 * What is written is made of lines of policy (the corpus): whole, mutated, cut, deleted again, or not at all like policy.
 * WORKERS processes do it at once, through files of their own and through files that they share, and ask for what policy is
 * about meanwhile. They live for a second, for policy can take all their rights from them; who starts them does nothing
 * that policy is about. What the kernel answers is counted and not judged: only that it lives is asked for.
 */
#include "policyfuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 6
#define STEPS 12
#define HUGE_SIZE (256 * 1024)
#define OWN "<kernel> /bin/policyfuzz"

static const char *const folders[] = { "/sys/kernel/security/tomoyo/", "/proc/ccs/" };
static const char *const names[] = { "domain_policy", "exception_policy", "profile", "manager", "stat", "query",
				     ".process_status", "self_domain", "audit", "version" };
#define FOLDERS (sizeof(folders) / sizeof(*folders))
#define NAMES (sizeof(names) / sizeof(*names))

/* Shared by all processes. */
struct counts {
	unsigned long opened, written, refused, read, bytes, asked, denied;
};
static struct counts *counts;

/* Lines that a file takes, where one is known. */
static struct {
	char **line;
	size_t count;
} corpus[NAMES];
static int shared[FOLDERS * NAMES];
static char *huge;
static unsigned int state;

/* xorshift: what a seed does, it does on every machine. */
static unsigned int below(unsigned int limit)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % limit;
}

static void count(unsigned long *what, unsigned long more) { __atomic_add_fetch(what, more, __ATOMIC_RELAXED); }

/* The first program of the guest must stay able to work: nobody takes rights from it by its number. */
static int spares_first(const char *text, size_t size)
{
	for (size_t i = 0; i + 4 < size; i++)
		if (!memcmp(text + i, "pid=", 4) && strtoul(text + i + 4, NULL, 10) == 1)
			return 0;
	return 1;
}

static size_t mutated(char *at, size_t size, size_t room)
{
	for (unsigned int times = 1 + below(4); times-- && size; ) {
		const unsigned int where = below(size);

		switch (below(5)) {
		case 0:
			at[where] = below(256);
			break;
		case 1:
			at[where] ^= 1 << below(8);
			break;
		case 2: /* Something twice. */
			if (2 * size < room) {
				memmove(at + size, at + where, size - where);
				size += size - where;
			}
			break;
		case 3: /* Something less. */
			memmove(at + where, at + where + 1, size - where - 1);
			size--;
			break;
		default:
			at[where] = "\\*?$+XxAa-/{}()=!<>@\"0123456789 \n"[below(34)];
		}
	}
	return size;
}

/* A line for a file; now and then, or if none is known, one for another. */
static const char *line_for(unsigned int name)
{
	while (!corpus[name].count || !below(6))
		name = below(NAMES);
	return corpus[name].line[below(corpus[name].count)];
}

/* Something to write to a file, in huge; its size. */
static size_t made(unsigned int name)
{
	const char *one = line_for(name), *other = line_for(name);
	size_t size;

	switch (below(12)) {
	case 0 ... 2:
		return sprintf(huge, "%s\n", one);
	case 3 ... 5:
		size = sprintf(huge, "%s\n%s\n", one, other);
		return mutated(huge, size, HUGE_SIZE);
	case 6:
		return sprintf(huge, "delete %s\n", one);
	case 7:
		if (below(2))
			return sprintf(huge, "select domain=" OWN "\nuse_profile %u\n%s\n", below(4), one);
		return sprintf(huge, "select %s%u\n%s\n", (const char *[]){ "pid=", "global-pid=", "Q=" }[below(3)],
			       below(300), one);
	case 8:
		size = 1 + below(300);
		for (size_t i = 0; i < size; i++)
			huge[i] = below(256);
		return size;
	case 9: /* Huge, perhaps without an end. */
		size = 4000 + below(HUGE_SIZE - 4100);
		memset(huge, "a/\\ "[below(4)], size);
		memcpy(huge, one, strlen(one));
		huge[size - 1] = below(2) ? '\n' : 'a';
		return size;
	case 10: /* A part, whose rest never comes. */
		return sprintf(huge, "%.*s", (int)below(strlen(one) + 1), one);
	default:
		return sprintf(huge, "A%u=%u\n", below(100), below(5));
	}
}

static void step(int fd, unsigned int name)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN | POLLOUT };
	ssize_t done;
	size_t size;

	switch (below(10)) {
	case 0 ... 4:
		size = made(name);
		if (!spares_first(huge, size))
			break;
		done = write(fd, huge, size);
		count(done < 0 ? &counts->refused : &counts->written, 1);
		break;
	case 5 ... 7:
		if (poll(&ready, 1, 0) < 0)
			break;
		done = read(fd, huge, below(8) ? 1 + below(8192) : below(3) ? HUGE_SIZE : 0);
		count(done < 0 ? &counts->refused : &counts->read, 1);
		count(&counts->bytes, done < 0 ? 0 : done);
		/* Whoever waits for an answer gets one: yes, no, again, or none of these. */
		if (done > 1 && *huge == 'Q' && write(fd, huge, sprintf(huge, "A%lu=%u\n", strtoul(huge + 1, NULL, 10), below(5))) > 0)
			count(&counts->written, 1);
		break;
	case 8: /* Memory that is not there. */
		done = below(2) ? write(fd, (void *)4096, 1 + below(5000)) : read(fd, (void *)4096, 1 + below(5000));
		count(&counts->refused, done < 0);
		break;
	default:
		lseek(fd, (long)below(100000) - 1, below(3));
	}
}

/* What policy is about. */
static void ask(void)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(1024 + below(60000)) };
	char name[64];
	int fd, result;

	snprintf(name, sizeof(name), "/tmp/%s%u", (const char *[]){ "a", "b/", "c\x01", "\xff" }[below(4)], below(50));
	switch (below(6)) {
	case 0:
		result = fd = open(name, O_RDWR | O_CREAT, 0600);
		break;
	case 1:
		fd = -1;
		result = below(2) ? mkdir(name, 0700) : rename(name, "/tmp/a0");
		break;
	case 2:
		result = fd = socket(AF_INET, below(2) ? SOCK_STREAM : SOCK_DGRAM, 0);
		if (fd >= 0)
			result = bind(fd, (const struct sockaddr *)&at, sizeof(at));
		break;
	case 3:
		fd = -1;
		result = kill(getppid(), SIGURG); /* Which is ignored. */
		break;
	case 4:
		result = fd = open("/etc/passwd", O_RDONLY);
		break;
	default:
		if (!fork()) {
			execl("/bin/policyfuzz", "policyfuzz", "open", name, NULL);
			_exit(1);
		}
		fd = -1;
		result = 0;
	}
	count(&counts->asked, 1);
	count(&counts->denied, result < 0 && errno == EPERM);
	if (fd >= 0)
		close(fd);
}

static void work(time_t until)
{
	/* Free as a rule, now and then enforcing, or hardly anybody would ever be denied. */
	const size_t size = sprintf(huge, "select " OWN "\nuse_profile %u\n", below(16) ? 0 : 3);
	char path[64];

	/* By a shared file, as it may be that this process may open none. */
	if (write(shared[0], huge, size) < 0)
		count(&counts->refused, 1);
	while (time(NULL) <= until) {
		const unsigned int name = below(NAMES);
		int fd, mine;

		snprintf(path, sizeof(path), "%s%s", folders[below(FOLDERS)], names[name]);
		fd = open(path, (int[]){ O_RDWR, O_RDONLY, O_WRONLY }[below(3)] | O_NONBLOCK);
		mine = fd >= 0 && below(3);
		count(&counts->opened, fd >= 0);
		for (unsigned int i = below(STEPS); i--; ) {
			const unsigned int other = below(FOLDERS * NAMES);

			step(mine ? fd : shared[other], mine ? name : other % NAMES);
		}
		ask();
		if (fd >= 0)
			close(fd);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

static void generation(unsigned int seed)
{
	const time_t until = time(NULL);
	pid_t worker[WORKERS];

	for (unsigned int i = 0; i < WORKERS; i++) {
		worker[i] = fork();
		if (worker[i] < 0)
			fail("fork");
		if (!worker[i]) {
			alarm(3); /* An unanswered query lasts for ten seconds, and a penalty for as long as it says. */
			freopen("/dev/null", "w", stdout);
			state = seed * WORKERS + i + 1;
			work(until);
			_exit(0);
		}
	}
	for (unsigned int i = 0; i < WORKERS; i++)
		while (waitpid(worker[i], NULL, 0) < 0 && errno == EINTR)
			;
}

static void read_lines(size_t name, const char *path)
{
	struct text text = text_of(path);
	char *rest;

	corpus[name].line = calloc(text.size + 1, sizeof(char *));
	if (!corpus[name].line)
		fail("memory");
	for (char *at = strtok_r(text.data, "\n", &rest); at; at = strtok_r(NULL, "\n", &rest))
		corpus[name].line[corpus[name].count++] = at;
}

int fuzz(const char *path, unsigned int seed, unsigned int seconds)
{
	char name[256];

	huge = malloc(HUGE_SIZE);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!huge || counts == MAP_FAILED)
		fail("memory");
	for (size_t i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "%s/%s", path, names[i]);
		if (!access(name, R_OK))
			read_lines(i, name);
	}
	for (size_t i = 0; i < FOLDERS * NAMES; i++) {
		snprintf(name, sizeof(name), "%s%s", folders[i / NAMES], names[i % NAMES]);
		/* While someone has it open denied requests wait to be answered: for each worker to decide. */
		shared[i] = strcmp(names[i % NAMES], "query") ? open(name, O_RDWR | O_NONBLOCK) : shared[0];
		if (shared[i] < 0)
			shared[i] = open(name, O_RDONLY | O_NONBLOCK);
		/* A kernel without our series has only one of the folders. */
		if (shared[i] < 0 && i < NAMES)
			fail(name);
	}
	signal(SIGURG, SIG_IGN);
	for (const time_t began = time(NULL); time(NULL) < began + (time_t)seconds; ) {
		generation(seed++);
		printf("fuzzed|%lu|opened=%lu written=%lu refused=%lu read=%lu bytes=%lu asked=%lu denied=%lu\n",
		       (unsigned long)(time(NULL) - began), counts->opened, counts->written, counts->refused, counts->read, counts->bytes, counts->asked, counts->denied);
	}
	return 0;
}
