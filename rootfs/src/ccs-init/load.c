// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lines into the kernel, and what became of them.
 *
 * write(2) succeeds whatever the kernel thinks of a line, but stat's "Policy update:" counts the lines
 * it took.  So a file is written whole; only if the count is short is it written again line by line
 * (adding what is there already counts as taken), which names the dropped ones exactly, without this
 * program having to know how the kernel prints a rule.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ccs-init.h"

#define NO_PROFILE_0 \
	"PROFILE_VERSION=20150505\n" \
	"0-COMMENT=disabled by ccs-init\n" \
	"0-CONFIG={ mode=disabled grant_log=no reject_log=no }\n"

static unsigned int stat_value(const char *interface, const char *name)
{
	char *path = format("%s/stat", interface);
	char *stat = slurp(path, NULL);
	char *at = stat ? strstr(stat, name) : NULL;
	unsigned int value = 0;

	if (at)
		sscanf(at + strlen(name), "%u", &value);
	free(stat);
	free(path);
	return value;
}

static unsigned int taken(const char *interface)
{
	return stat_value(interface, "Policy update:");
}

static int interface_open(const char *interface, const char *name)
{
	char *path = format("%s/%s", interface, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	free(path);
	return fd;
}

static bool put(int fd, const char *line)
{
	char *text = format("%s\n", line);
	size_t length = strlen(text);
	ssize_t done;

	do
		done = write(fd, text, length);
	while (done < 0 && errno == EINTR);
	free(text);
	return done == (ssize_t)length;
}

/* Lines that only move the cursor are not counted by the kernel. */
static bool counted(const char *line)
{
	return !starts(line, "select ") && strcmp(line, "reset");
}

static bool load_part(const char *interface, const char *name, const struct text *text,
		      struct findings *findings)
{
	unsigned int before = taken(interface), expected = 0;
	int fd = interface_open(interface, name);

	if (fd < 0) {
		found(findings, ERROR, interface, 0, NULL, "%s cannot be opened: %s", name, strerror(errno));
		return false;
	}
	for (size_t i = 0; i < text->count; i++) {
		if (!put(fd, text->lines[i].text)) {
			found(findings, ERROR, text->path, text->lines[i].number, NULL,
			      "the kernel refuses to load it: %s", strerror(errno));
			close(fd);
			return false;
		}
		expected += counted(text->lines[i].text);
	}
	close(fd);
	if (taken(interface) - before == expected)
		return true;
	fd = interface_open(interface, name);
	if (fd < 0)
		return true;
	for (size_t i = 0; i < text->count; i++) {
		before = taken(interface);
		put(fd, text->lines[i].text);
		if (counted(text->lines[i].text) && taken(interface) == before)
			found(findings, WARNING, text->path, text->lines[i].number,
			      "correct it, or delete it if this kernel lacks the control",
			      "the kernel dropped '%s'", text->lines[i].text);
	}
	close(fd);
	return true;
}

static char *read_interface(const char *interface, const char *name)
{
	char *path = format("%s/%s", interface, name);
	char *text = slurp(path, NULL);

	free(path);
	return text;
}

/* A domain's name is counted even if the kernel did not make the domain: look whether it is there. */
static void read_back_domains(const char *interface, const struct text *text, struct findings *findings)
{
	char *back = read_interface(interface, "domain_policy");

	for (size_t i = 0; back && i < text->count; i++) {
		char *line, *at;

		if (*text->lines[i].text != '<')
			continue;
		line = format("\n%s\n", text->lines[i].text);
		at = strstr(back, line);
		if (!at && !starts(back, line + 1))
			found(findings, WARNING, text->path, text->lines[i].number, "correct or delete it",
			      "the kernel dropped the domain '%s'", text->lines[i].text);
		free(line);
	}
	free(back);
}

/*
 * Whether the policy is active, so that only managers may change it.  An empty line is no policy, and
 * whether its writer may write at all is looked at first.
 */
bool already_active(const char *interface)
{
	int fd = interface_open(interface, part_names[MANAGER].interface);
	bool refused = fd >= 0 && !put(fd, "") && errno == EPERM;

	if (fd >= 0)
		close(fd);
	return refused;
}

/* Load all five parts; false when the kernel refused one (found as an ERROR). */
bool load(const char *interface, const struct configuration *configuration, struct findings *findings)
{
	for (enum part part = 0; part < PARTS; part++)
		if (!load_part(interface, part_names[part].interface, &configuration->text[part], findings))
			return false;
	read_back_domains(interface, &configuration->text[DOMAIN], findings);
	return true;
}

bool profile_defined(const char *interface, unsigned int number)
{
	char *profile = read_interface(interface, "profile");
	char *entry = format("\n%u-", number);
	bool defined = profile && strstr(profile, entry);

	free(entry);
	free(profile);
	return defined;
}

/* Profile 0, disabled, for every domain: without it the kernel panics after the loader. */
bool load_nothing(const char *interface)
{
	char *back = read_interface(interface, "domain_policy");
	int fd = interface_open(interface, "profile");
	bool done = fd >= 0 && write(fd, NO_PROFILE_0, strlen(NO_PROFILE_0)) == (ssize_t)strlen(NO_PROFILE_0);
	char *rest = back, *line;

	if (fd >= 0)
		close(fd);
	fd = interface_open(interface, "domain_policy");
	if (fd < 0)
		return false;
	while ((line = strsep(&rest, "\n")))
		if (*line == '<')
			done = put(fd, line) && put(fd, "use_profile 0") && done;
	close(fd);
	free(back);
	return done;
}

/* What this kernel's profiles must be; 0 when its release says nothing we know. */
unsigned int kernel_profile_version(const char *interface, char release[32])
{
	char *version = read_interface(interface, "version");

	snprintf(release, 32, "%s", version ? version : "?");
	release[strcspn(release, "\n")] = '\0';
	free(version);
	return starts(release, "2.6") || starts(release, "1.8") ? 20150505 : KERNEL_ANY;
}

void measure(const char *interface, struct loaded *loaded)
{
	char *text = read_interface(interface, "domain_policy");
	char *rest = text, *line;
	bool seen[256] = { false };
	unsigned int number;

	memset(loaded, 0, sizeof(*loaded));
	while ((line = strsep(&rest, "\n"))) {
		if (*line == '<')
			loaded->domains++;
		else if (*line && !starts(line, "use_") && strcmp(line, "quota_exceeded") &&
			 strcmp(line, "transition_failed"))
			loaded->rules++;
	}
	free(text);
	rest = text = read_interface(interface, "profile");
	while ((line = strsep(&rest, "\n")))
		if (sscanf(line, "%u-", &number) == 1 && number < 256 && !seen[number]) {
			seen[number] = true;
			loaded->profiles++;
		}
	free(text);
	loaded->memory_bytes = stat_value(interface, "Memory used by policy:");
	loaded->total_bytes = stat_value(interface, "Total memory used:");
}
