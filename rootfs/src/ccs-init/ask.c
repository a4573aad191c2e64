// SPDX-License-Identifier: GPL-2.0-only
/* The two things that could keep a boot waiting, each under a deadline: a person, and a hook. */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "boot.h"

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* One line of the console into answer; false at the deadline or when nobody can ever answer. */
static bool answered(int console, long long deadline_ms, char *answer, size_t room)
{
	size_t used = 0;

	for (;;) {
		struct pollfd wait = { .fd = console, .events = POLLIN };
		long long left = deadline_ms - now_ms();
		char byte;

		if (left <= 0 || poll(&wait, 1, left) <= 0)
			return false;
		if (read(console, &byte, 1) != 1)
			return false;
		if (byte == '\n' || byte == '\r') {
			answer[used] = '\0';
			return true;
		}
		if (used + 1 < room)
			answer[used++] = byte;
	}
}

static void list_choices(const struct place *place)
{
	char *directory = format("%s/policy", place->ccs);
	DIR *policies = opendir(directory);
	struct dirent *entry;

	say("Choose a policy: default, disabled, or one of");
	while (policies && (entry = readdir(policies)))
		if (choice_exists(place, entry->d_name))
			say("    %s", entry->d_name);
	if (policies)
		closedir(policies);
	free(directory);
	directory = format("%s/policy/current", place->ccs);
	policies = opendir(directory);
	while (policies && (entry = readdir(policies))) {
		char name[64];
		int end = 0;

		if (sscanf(entry->d_name, "profile-%63[^/]%n", name, &end) == 1 && !entry->d_name[end] &&
		    end > 5 && !strcmp(entry->d_name + end - 5, ".conf")) {
			name[strlen(name) - 5] = '\0';
			if (choice_exists(place, name))
				say("    %s", name);
		}
	}
	if (policies)
		closedir(policies);
	free(directory);
}

/* What the person at the console wants; "default" if there is none. */
const char *ask(int console, const struct place *place, unsigned int limit_s)
{
	long long deadline_ms = now_ms() + limit_s * 1000LL;
	static char answer[64];

	if (console < 0)
		return "default";
	/* What was typed before the question is no answer to it. */
	tcflush(console, TCIFLUSH);
	list_choices(place);
	for (;;) {
		dprintf(console, "CCS: [default in %lld s] > ", (deadline_ms - now_ms() + 999) / 1000);
		if (!answered(console, deadline_ms, answer, sizeof(answer))) {
			dprintf(console, "\r\n");
			say("no answer: taking the default");
			return "default";
		}
		if (!*answer)
			return "default";
		if (!strcmp(answer, "default") || !strcmp(answer, "disabled") || choice_exists(place, answer)) {
			say("%s was chosen at the console", answer);
			return answer;
		}
		say("there is no '%s'", answer);
	}
}

static void become_hook(const char *path, int console)
{
	char *const argv[] = { (char *)path, NULL };
	char *const envp[] = { "HOME=/", "PATH=/sbin:/bin:/usr/sbin:/usr/bin", NULL };
	int input = open("/dev/null", O_RDONLY);

	setsid();
	if (input >= 0)
		dup2(input, 0);
	if (console >= 0) {
		dup2(console, 1);
		dup2(console, 2);
	}
	execve(path, argv, envp);
	_exit(127);
}

/* Run the administrator's hook, if there is one, and wait for it, but not for ever. */
void run_hook(const char *path, int console, unsigned int limit_s)
{
	struct timespec limit = { .tv_sec = limit_s };
	struct stat st;
	sigset_t child_ended, before;
	int status = 0;
	pid_t child;

	if (stat(path, &st) || access(path, X_OK))
		return;
	if (!S_ISREG(st.st_mode) || st.st_uid || st.st_mode & S_IWOTH) {
		say("warning: %s was not run - it must be a regular file of root's that others cannot write",
		    path);
		return;
	}
	sigemptyset(&child_ended);
	sigaddset(&child_ended, SIGCHLD);
	/* The kernel starts us with SIGCHLD ignored or not: a child must be there to be waited for. */
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &child_ended, &before);
	child = fork();
	if (!child) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		become_hook(path, console);
	}
	if (child < 0) {
		say("warning: %s could not be started", path);
	} else if (sigtimedwait(&child_ended, NULL, &limit) < 0) {
		kill(-child, SIGKILL);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		say("warning: %s was ended after %u s", path, limit_s);
	} else if (waitpid(child, &status, 0) == child && status) {
		say("warning: %s failed (%s %d)", path, WIFEXITED(status) ? "status" : "signal",
		    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
}
