// SPDX-License-Identifier: GPL-2.0-only
/*
 * askinit - the first program of the guest that asks, and its policy loader.
 *
 * /ask/script has one trial after the other; the first letter of a line says
 * what the rest is:
 *
 *	t	a trial begins; its name
 *	e, d	a line of exception policy, of domain policy
 *	n	the domain is made
 *	f, m	a file, a directory, to be there
 *	r	a request for ccsask
 *	.	the trial's end: ask, say what came of it, put all back
 *
 * Said is a line for each trial: its name, ccsask's letters, and hashes of the
 * audit records and of the domain's rules after it. With "show" as the first
 * line of the script, records and rules themselves, too.
 */
#include <dirent.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "interface.h"

#define DOMAIN "<kernel> /bin/ccsask"
#define TREE "/t"

static int show;
static int from_child[2];
static FILE *requests;

/*
 * Policy is written at once, so that the garbage collector does not come
 * between: what is deleted and added again is where it was, or else behind the
 * others.
 */
struct text {
	FILE *to;
	char *from;
	size_t size;
};

static struct text domain, exceptions, leftovers;

/* FNV-1a */
static uint64_t hashed(uint64_t hash, const char *text)
{
	while (*text)
		hash = (hash ^ (unsigned char)*text++) * 0x100000001b3ull;
	return hash;
}

static void clear(const char *folder)
{
	DIR *all = opendir(folder);
	struct dirent *one;
	char path[1024];

	while (all && (one = readdir(all))) {
		if (!strcmp(one->d_name, ".") || !strcmp(one->d_name, ".."))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, one->d_name);
		if (unlink(path))
			clear(path);
	}
	if (all)
		closedir(all);
	rmdir(folder);
}

static void make(const char *path, int folder)
{
	/* Some can be executed, as far as their owner is asked. */
	const int mode = folder || strchr(path, 'f') ? 0755 : 0644;
	const int fd = folder ? mkdir(path, mode) : open(path, O_WRONLY | O_CREAT | O_EXCL, mode);

	if (fd < 0)
		give_up(path);
	if (!folder)
		close(fd);
}

static void write_line(const char *name, const char *prefix, const char *line)
{
	const int fd = open_interface(name, O_WRONLY);

	put(fd, prefix, strlen(prefix));
	put(fd, line, strlen(line));
	close(fd);
}

static void begin_text(struct text *it)
{
	it->to = open_memstream(&it->from, &it->size);
	if (!it->to)
		give_up("open_memstream");
}

static void write_text(const char *name, struct text *it)
{
	fclose(it->to);
	write_line(name, "", it->from);
	free(it->from);
}

/* A record without what differs between two runs: when, and which process and inodes. */
static uint64_t records(void)
{
	static char text[1 << 16];
	const int fd = open_interface("audit", O_RDONLY);
	uint64_t hash = 0xcbf29ce484222325ull;
	ssize_t size;

	while ((size = read(fd, text, sizeof(text) - 1)) > 0) {
		char *line, *rest = text;

		text[size] = '\0';
		while ((line = strsep(&rest, "\n"))) {
			char *granted = strstr(line, " granted="), *end;

			/* The header: of it profile, mode and whether it was granted. */
			if (line[0] == '#' && granted && strstr(line, " profile=")) {
				line = strstr(line, " profile=") + 1;
				end = strchr(granted + 1, ' ');
				if (end)
					*end = '\0';
			}
			hash = hashed(hash, line);
			if (show)
				dprintf(STDOUT_FILENO, "  record %s\n", line);
		}
	}
	close(fd);
	return hash;
}

static uint64_t rules(void)
{
	FILE *from = fdopen(open_interface("domain_policy", O_RDONLY), "r");
	uint64_t hash = 0xcbf29ce484222325ull;
	char line[LINE];
	int mine = 0;

	while (from && fgets(line, sizeof(line), from)) {
		if (line[0] == '<')
			mine = !strncmp(line, DOMAIN, strlen(DOMAIN));
		if (!mine)
			continue;
		hash = hashed(hash, line);
		if (show)
			dprintf(STDOUT_FILENO, "  rule %s", line);
	}
	fclose(from);
	return hash;
}

/* The benchmark's domain, and those which executing something made. */
static void delete_domains(void)
{
	FILE *from = fdopen(open_interface("domain_policy", O_RDONLY), "r");
	char line[LINE];

	while (from && fgets(line, sizeof(line), from))
		if (!strncmp(line, DOMAIN, strlen(DOMAIN)))
			write_line("domain_policy", "delete ", line);
	if (from)
		fclose(from);
}

static void begin(void)
{
	clear(TREE);
	make(TREE, 1);
	delete_domains();
	requests = tmpfile();
	if (!requests)
		give_up("tmpfile");
	begin_text(&domain);
	begin_text(&exceptions);
	begin_text(&leftovers);
}

static void ask(const char *name)
{
	char *const argv[] = { "ccsask", NULL }, *const envp[] = { NULL };
	char letters[4096] = "";
	int status, got = 0, size;
	uint64_t recorded;
	pid_t pid;

	write_text("exception_policy", &exceptions);
	write_text("domain_policy", &domain);
	records(); /* of whoever came before */
	fflush(requests);
	rewind(requests);
	lseek(fileno(requests), 0, SEEK_SET);
	if (pipe(from_child))
		give_up("pipe");
	pid = fork();
	if (!pid) {
		dup2(fileno(requests), STDIN_FILENO);
		dup2(from_child[1], STDOUT_FILENO);
		close(from_child[0]);
		close(from_child[1]);
		execve("/bin/ccsask", argv, envp);
		_exit(127);
	}
	close(from_child[1]);
	while ((size = read(from_child[0], letters + got, sizeof(letters) - 1 - got)) > 0)
		got += size;
	close(from_child[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		give_up("fork");
	recorded = records();
	dprintf(STDOUT_FILENO, "trial %s status %d verdicts %s records %016llx rules %016llx\n", name,
		WIFEXITED(status) ? WEXITSTATUS(status) : 128, letters, (unsigned long long)recorded,
		(unsigned long long)rules());
	fclose(requests);
	write_text("exception_policy", &leftovers);
}

int main(void)
{
	char line[LINE], name[64] = "";
	FILE *script;

	if (getpid() != 1)
		return load_policy("/ask/policy");
	mount_all();
	if (!interface)
		give_up("no interface of TOMOYO");
	script = fopen("/ask/script", "r");
	if (!script)
		give_up("/ask/script");
	dprintf(STDOUT_FILENO, "ask: begins\n");
	while (fgets(line, sizeof(line), script)) {
		char *rest = line + 2;

		switch (line[0]) {
		case 's':
			show = 1;
			break;
		case 't':
			rest[strcspn(rest, "\n")] = '\0';
			strncpy(name, rest, sizeof(name) - 1);
			begin();
			break;
		case 'e':
			fputs(rest, exceptions.to);
			if (strncmp(rest, "delete ", 7))
				fprintf(leftovers.to, "delete %s", rest);
			break;
		case 'd':
			fputs(rest, domain.to);
			break;
		case 'n':
			fputs(DOMAIN "\n", domain.to);
			break;
		case 'f':
		case 'm':
			rest[strcspn(rest, "\n")] = '\0';
			make(rest, line[0] == 'm');
			break;
		case 'r':
			fputs(rest, requests);
			break;
		case '.':
			ask(name);
			break;
		}
	}
	dprintf(STDOUT_FILENO, "ask: all asked\n");
	for (;;)
		pause();
}
