// SPDX-License-Identifier: GPL-2.0-only
/*
 * rulestress - requests while the rules they meet come and go.
 *
 *	rulestress CYCLES ASKERS RULES
 *
 * Run as /bin/rulestress by a manager of policy, with the same program in
 * /bin/rulestress-asker, an initialize_domain line for that, and a profile 3
 * that enforces file::open. Askers, in a domain of their own, open two files
 * again and again: /r/always, which some rule always allows, and /r/never.
 * Meanwhile rules of all kinds are added to their domain and to an acl_group of
 * it, and removed, fewer than RULES at once; members of path_groups come and go;
 * the rule for /r/always is now the first, now the last, now a pattern, now a
 * group's.
 *
 * Prints "cycles N rules N asked N wrong N memory BEFORE AFTER": how often it
 * was asked and answered wrongly, and the bytes of policy before all and after
 * all was removed and collected. Returns 0 unless something else failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INTERFACE "/sys/kernel/security/tomoyo/"
#define ASKER "/bin/rulestress-asker"
#define DOMAIN "<kernel> " ASKER "\n"
#define COLLECTED_S 120
#define MOVES 20
#define SLOW 200

static volatile struct {
	long asked, wrong;
} *counts;

static void give_up(const char *what)
{
	perror(what);
	exit(2);
}

static void put(const char *name, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), INTERFACE "%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		give_up(path);
	close(fd);
}

static long policy_bytes(void)
{
	FILE *from = fopen(INTERFACE "stat", "r");
	char line[256];
	long bytes = -1;

	while (from && fgets(line, sizeof(line), from))
		if (strstr(line, "Memory used by policy:"))
			bytes = atol(strchr(line, ':') + 1);
	if (from)
		fclose(from);
	if (bytes < 0)
		give_up("stat says nothing of policy");
	return bytes;
}

static int ask(int shared, int number)
{
	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
	if (counts == MAP_FAILED)
		return 3;
	for (;;) {
		const int allowed = open("/r/always", O_RDONLY);
		const int denied = open("/r/never", O_RDONLY);

		counts[number].asked += 2;
		counts[number].wrong += allowed < 0;
		counts[number].wrong += denied >= 0 || errno != EPERM;
		close(allowed);
		close(denied);
	}
}

/* Many rules that neither file needs, or their removal. */
static void change(char *text, unsigned int count, unsigned int cycle, int removed)
{
	const char *verb = removed ? "delete " : "";
	char *pos = text;
	unsigned int i;

	pos += sprintf(pos, "select " DOMAIN);
	for (i = 0; i < count; i++) {
		static const char *const kinds[] = {
			"%sfile read /r/%u.%u\n",
			"%sfile read /r/\\*.%u.%u\n",
			"%sfile read/write /r/\\{a%u\\}/never.%u\n",
			"%sfile create /r/never%u.%u 0600\n",
			"%sfile read /r/\\*%u\\-%u\\* task.uid=1\n",
			"%sfile read /r/never%u\\@%u task.uid!=0\n",
			"%sfile rename /r/never /r/%u.%u\n",
		};

		pos += sprintf(pos, kinds[i % (sizeof(kinds) / sizeof(kinds[0]))], verb, cycle, i);
	}
	put("domain_policy", text);
	pos = text;
	for (i = 0; i < count / 4; i++)
		pos += sprintf(pos, "%sacl_group 1 file read /r/%u.%u.group\n", verb, cycle, i);
	put("exception_policy", text);
}

/* What allows /r/always: each of them is there before the one before it goes, and is none that was there before. */
static const char *const ways[] = {
	"/r/always",
	"/r/alway\\?",
	"@RULESTRESS",
	"/r/\\@ays",
	"@MOVING",
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void way(unsigned int number, int removed)
{
	char text[256];

	snprintf(text, sizeof(text), "select " DOMAIN "%sfile read %s task.pid!=%u\n", removed ? "delete " : "",
		 ways[number % WAYS], number + 100000);
	put("domain_policy", text);
}

/*
 * What takes time, so that something changes meanwhile: members to be looked at
 * between MOVING's two, and rules between TRAP's member and the one that would
 * grant by it.
 */
static void slow(int removed)
{
	const char *verb = removed ? "delete " : "";
	char text[SLOW * 64], *pos = text;
	unsigned int i;

	for (i = 0; i < SLOW; i++)
		pos += sprintf(pos, "%spath_group SLOW /r/%u\\*ways\n", verb, i);
	put("exception_policy", text);
	pos = text + sprintf(text, "select " DOMAIN "%sfile read @SLOW\n", verb);
	for (i = 0; i < SLOW; i++)
		pos += sprintf(pos, "%sfile read @TRAP task.pid=%u\n", verb, 100000000 + i);
	put("domain_policy", text);
}

/*
 * One member of MOVING after the other matches /r/always. TRAP has /r/never
 * while no rule grants by it.
 */
static void move(void)
{
	put("exception_policy", "path_group MOVING /r/\\*ways\ndelete path_group MOVING /r/always\n");
	put("exception_policy", "delete path_group TRAP /r/never\n");
	put("domain_policy", "select " DOMAIN "file read @TRAP\n");
	put("exception_policy", "path_group MOVING /r/always\ndelete path_group MOVING /r/\\*ways\n");
	put("domain_policy", "select " DOMAIN "delete file read @TRAP\n");
	put("exception_policy", "path_group TRAP /r/never\n");
}

int main(int argc, char **argv)
{
	const int complete = argc == 4;
	const unsigned int cycles = complete ? atoi(argv[1]) : 0;
	const unsigned int askers = complete ? atoi(argv[2]) : 0;
	const unsigned int most = complete ? atoi(argv[3]) : 0;
	char *text = malloc(80 * (most + 1));
	unsigned long rules = 0;
	long asked = 0, wrong = 0, before, after;
	unsigned int i, cycle;
	pid_t *pids;
	int shared;

	if (strstr(argv[0], "asker") && argc == 3)
		return ask(atoi(argv[1]), atoi(argv[2]));
	shared = memfd_create("counts", 0);
	if (shared < 0 || ftruncate(shared, 4096))
		give_up("memfd");
	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
	pids = calloc(askers, sizeof(*pids));
	if (!cycles || !askers || !most || !text || askers > 4096 / sizeof(*counts) || counts == MAP_FAILED || !pids) {
		fprintf(stderr, "usage: rulestress CYCLES ASKERS RULES\n");
		return 2;
	}
	mkdir("/r", 0755);
	close(open("/r/always", O_CREAT | O_RDONLY, 0644));
	close(open("/r/never", O_CREAT | O_RDONLY, 0644));
	put("exception_policy", "path_group RULESTRESS /r/other\npath_group RULESTRESS /r/always\n"
	    "path_group MOVING /r/always\npath_group TRAP /r/never\n");
	put("domain_policy", DOMAIN "use_profile 3\nuse_group 1\n");
	way(0, 0);
	/* Names that stay known are no leak; the first cycle makes them known. */
	srand(1);
	before = policy_bytes();
	slow(0);
	for (i = 0; i < askers; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			char file[16], number[16];

			snprintf(file, sizeof(file), "%d", shared);
			snprintf(number, sizeof(number), "%u", i);
			execl(ASKER, ASKER, file, number, NULL);
			_exit(3);
		}
	}
	for (cycle = 1; cycle <= cycles; cycle++) {
		const unsigned int count = rand() % (cycle % 3 ? most : 20);

		way(cycle, 0);
		way(cycle - 1, 1);
		change(text, count, cycle, 0);
		for (i = 0; i < MOVES; i++)
			move();
		change(text, count, cycle, 1);
		rules += count + count / 4;
		if (waitpid(-1, NULL, WNOHANG))
			give_up("an asker ended");
	}
	way(0, 0);
	way(cycles, 1);
	slow(1);
	for (i = 0; i < askers; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
		asked += counts[i].asked;
		wrong += counts[i].wrong;
	}
	/* The collector starts when a writer closes, and says nothing when it is done. */
	for (i = 0; i < COLLECTED_S * 10; i++) {
		const struct timespec moment = { .tv_nsec = 100000000 };

		after = policy_bytes();
		if (after <= before)
			break;
		put("exception_policy", "\n");
		nanosleep(&moment, NULL);
	}
	fprintf(stderr, "collected in %u.%u s\n", i / 10, i % 10);
	printf("cycles %u rules %lu asked %ld wrong %ld memory %ld %ld\n", cycles, rules, asked, wrong, before, after);
	return 0;
}
