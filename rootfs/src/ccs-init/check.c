// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is wrong with a configuration, found before anything of it reaches the kernel.
 *
 * ERROR: the kernel would panic, or would run something else than what the administrator wrote.
 * WARNING: what is written works, but less of it than it seems.
 */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ccs-init.h"

#define INIT_POLICY "make the first configuration with the tools of this kernel's version: /usr/lib/ccs/init_policy"
#define CONVERT "convert it: ./inv policy.convert on the host"

const struct part_name part_names[PARTS] = {
	[MANAGER] = { "manager.conf", "manager" },
	[EXCEPTION] = { "exception_policy.conf", "exception_policy" },
	[DOMAIN] = { "domain_policy.conf", "domain_policy" },
	[PROFILE] = { "profile.conf", "profile" },
	[STAT] = { "stat.conf", "stat" },
};

/* First words that end in a space take arguments; the others are whole lines. */
static const char *const exception_words[] = {
	"path_group ", "number_group ", "address_group ", "acl_group ", "aggregator ", "deny_autobind ",
	"reset_domain ", "no_reset_domain ", "initialize_domain ", "no_initialize_domain ", "keep_domain ",
	"no_keep_domain ", NULL,
};
static const char *const domain_words[] = {
	"use_profile ", "use_group ", "file ", "network ", "misc ", "task ", "capability ", "ipc ",
	"quota_exceeded", "transition_failed", NULL,
};
/* Versions before 1.8 and 2.3: the report's accident. */
static const char *const old_exception_words[] = {
	"file_pattern ", "allow_read ", "allow_env ", "deny_rewrite ", "alias ", "initializer ",
	"no_initializer ", "execute_handler ", NULL,
};
static const char *const old_domain_words[] = {
	"allow_", "deny_rewrite ", "ignore_global_allow_", "execute_handler ", NULL,
};
static const char *const stat_words[] = {
	"Memory used by policy:", "Memory used by audit log:", "Memory used by query message:", NULL,
};

static bool one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (starts(text, *words))
			return true;
	return false;
}

/* A namespace's header is cut off the line: what follows is the policy. */
static const char *without_namespace(const char *line)
{
	const char *space = *line == '<' ? strchr(line, ' ') : NULL;

	return space ? space + 1 : line;
}

static void check_exceptions(const struct text *text, struct findings *findings)
{
	size_t shaping = 0;

	for (size_t i = 0; i < text->count; i++) {
		const char *line = without_namespace(text->lines[i].text);
		unsigned int number = text->lines[i].number;

		if (one_of(line, old_exception_words))
			found(findings, ERROR, text->path, number, CONVERT,
			      "written for another version: '%s'", line);
		else if (!one_of(line, exception_words))
			found(findings, WARNING, text->path, number, "correct or delete it",
			      "the kernel will drop '%s'", line);
		else if (!starts(line, "path_group ") && !starts(line, "number_group ") &&
			 !starts(line, "address_group "))
			shaping++;
	}
	if (!text->count)
		found(findings, ERROR, text->path, 0, INIT_POLICY, "is empty: the first configuration was never made");
	else if (!shaping)
		found(findings, WARNING, text->path, 0, INIT_POLICY,
		      "has only groups, no transition and no acl_group: learning will be redundant");
}

/* "<name>" and then paths: each holds a slash before any dot (tomoyo_correct_domain()). */
static bool valid_domain(const char *name)
{
	const char *word = strchr(name, '>');

	if (*name != '<' || !word || word == name + 1 || (word[1] && word[1] != ' '))
		return false;
	for (word = word[1] ? word + 2 : NULL; word && *word;) {
		const char *end = strchrnul(word, ' ');
		const char *slash = memchr(word, '/', end - word);
		const char *dot = memchr(word, '.', end - word);

		if (!slash || (dot && dot < slash))
			return false;
		word = *end ? end + 1 : NULL;
	}
	return true;
}

static void check_domains(const struct text *text, struct findings *findings)
{
	bool in_domain = false;

	for (size_t i = 0; i < text->count; i++) {
		const char *line = text->lines[i].text;
		unsigned int number = text->lines[i].number;
		unsigned int value;

		if (*line == '<') {
			in_domain = true;
			if (!valid_domain(line))
				found(findings, WARNING, text->path, number, "correct or delete it",
				      "not a domain's name, the kernel will drop it and its rules: '%s'", line);
		} else if (one_of(line, old_domain_words) ||
			   (strspn(line, "01234567") == 1 && line[1] == ' ')) {
			found(findings, ERROR, text->path, number, CONVERT,
			      "written for another version: '%s'", line);
		} else if (!one_of(line, domain_words)) {
			found(findings, WARNING, text->path, number, "correct or delete it",
			      "the kernel will drop '%s'", line);
		} else if (!in_domain) {
			found(findings, WARNING, text->path, number, "write it below its '<kernel> ...' line",
			      "belongs to no domain, the kernel will drop '%s'", line);
		} else if ((sscanf(line, "use_profile %u", &value) == 1 ||
			    sscanf(line, "use_group %u", &value) == 1) && value > 255) {
			found(findings, WARNING, text->path, number, "0 to 255 exist",
			      "the kernel will drop '%s'", line);
		}
	}
	if (!text->count)
		found(findings, WARNING, text->path, 0, INIT_POLICY, "is empty: every process has profile 0");
}

/* The kernel compares the real path of a program, so a link in the manager never matches. */
static void check_manager(const struct text *text, const char *root, struct findings *findings)
{
	size_t usable = 0;

	for (size_t i = 0; i < text->count; i++) {
		const char *line = text->lines[i].text;
		unsigned int number = text->lines[i].number;
		char *path, *real;

		if (!strcmp(line, "manage_by_non_root"))
			continue;
		if (*line == '<') {
			if (valid_domain(line))
				usable++;
			else
				found(findings, WARNING, text->path, number, "correct or delete it",
				      "not a domain's name: '%s'", line);
			continue;
		}
		path = format("%s%s", root, line);
		real = realpath(path, NULL);
		if (*line != '/' || !real || access(real, X_OK))
			found(findings, WARNING, text->path, number, "install it, or delete the line",
			      "no such program: '%s'", line);
		else if (starts(real, root) && strcmp(real + strlen(root), line))
			found(findings, WARNING, text->path, number, "name the real path",
			      "'%s' is a link, the kernel sees '%s'", line, real + strlen(root));
		else
			usable++;
		free(real);
		free(path);
	}
	if (!usable)
		found(findings, WARNING, text->path, 0, INIT_POLICY,
		      "names no program that exists: once active, nobody can change the policy");
}

static void check_stat(const struct text *text, struct findings *findings)
{
	for (size_t i = 0; i < text->count; i++)
		if (!one_of(text->lines[i].text, stat_words))
			found(findings, WARNING, text->path, text->lines[i].number, "correct or delete it",
			      "the kernel will ignore '%s'", text->lines[i].text);
}

/* A name on the kernel's command line or typed at the console chooses a file: nothing but a plain name. */
bool valid_choice(const char *name)
{
	return *name && *name != '.' && strlen(name) < 64 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-") == strlen(name);
}

static bool exists(char *path)
{
	bool there = !access(path, F_OK);

	free(path);
	return there;
}

/* NAME is a policy of its own, or a profile table beside the default one. */
bool choice_exists(const struct place *place, const char *name)
{
	return valid_choice(name) && (exists(format("%s/policy/%s/profile.conf", place->ccs, name)) ||
				      exists(format("%s/policy/current/profile-%s.conf", place->ccs, name)));
}

/* Read and check everything; what is defective is in findings, what could be read in configuration. */
void configuration_check(struct configuration *configuration, const struct place *place,
			 unsigned int kernel_version, struct findings *findings)
{
	char *profile = format("%s", part_names[PROFILE].file);
	bool complete = true;

	memset(configuration, 0, sizeof(*configuration));
	configuration->directory = format("%s/policy/current", place->ccs);
	/* The layout of 2.5 and before: the four files in the directory itself. */
	if (!place->choice && access(configuration->directory, F_OK) &&
	    exists(format("%s/profile.conf", place->ccs)))
		configuration->directory = format("%s", place->ccs);
	if (place->choice && exists(format("%s/policy/%s/profile.conf", place->ccs, place->choice)))
		configuration->directory = format("%s/policy/%s", place->ccs, place->choice);
	else if (place->choice)
		profile = format("profile-%s.conf", place->choice);

	if (!safe_directory(place->ccs, findings) || !safe_directory(configuration->directory, findings))
		return;
	for (enum part part = 0; part < PARTS; part++) {
		enum severity severity = part == STAT || part == MANAGER ? WARNING : ERROR;
		char *path = format("%s/%s", part == STAT ? place->ccs : configuration->directory,
				    part == PROFILE ? profile : part_names[part].file);
		enum text_state state = text_read(&configuration->text[part], path, severity, findings);

		if (state == TEXT_ABSENT && part != STAT && part != MANAGER)
			found(findings, ERROR, path, 0, INIT_POLICY, "does not exist");
		if (state != TEXT_READ && severity == ERROR)
			complete = false;
		free(path);
	}
	check_manager(&configuration->text[MANAGER], place->root, findings);
	check_stat(&configuration->text[STAT], findings);
	if (!complete)
		return;
	check_exceptions(&configuration->text[EXCEPTION], findings);
	check_domains(&configuration->text[DOMAIN], findings);
	check_profiles(&configuration->text[PROFILE], &configuration->text[DOMAIN], kernel_version, findings);
}
