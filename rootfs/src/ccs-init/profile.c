// SPDX-License-Identifier: GPL-2.0-only
/*
 * Profiles: the one part whose defects stop the machine.  After the loader, tomoyo_check_profile()
 * panics if the version is not its own or a domain's profile is not defined; and a mode it does not
 * know leaves the mode before it, so a misspelt "enforcing" runs disabled without a word.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ccs-init.h"

#define CURRENT_VERSION 20150505
#define CONVERTED_VERSION 20110903 /* the kernel takes it for CURRENT_VERSION */

struct space {
	char *name; /* "<kernel>" */
	unsigned int version; /* 0: the file does not say */
	bool defined[256];
};

struct spaces {
	struct space *list;
	size_t count;
};

static struct space *space_of(struct spaces *spaces, const char *line, bool make)
{
	size_t length = *line == '<' ? strcspn(line, " ") : 0;
	char *name = length ? must(strndup(line, length)) : must(strdup("<kernel>"));
	struct space *space;

	for (size_t i = 0; i < spaces->count; i++) {
		if (!strcmp(spaces->list[i].name, name)) {
			free(name);
			return &spaces->list[i];
		}
	}
	if (!make) {
		free(name);
		return NULL;
	}
	spaces->list = must(realloc(spaces->list, (spaces->count + 1) * sizeof(*spaces->list)));
	space = &spaces->list[spaces->count++];
	memset(space, 0, sizeof(*space));
	space->name = name;
	return space;
}

static bool known_mode(const char *mode)
{
	static const char *const modes[] = { "disabled", "learning", "permissive", "enforcing" };

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (starts(mode, modes[i]) && (mode[strlen(modes[i])] == ' ' || !mode[strlen(modes[i])]))
			return true;
	return false;
}

/* KEY=VALUE behind "N-"; the kernel has the last word on names of controls, by dropping the line. */
static void check_entry(const struct text *text, const struct line *line, const char *key,
			struct findings *findings)
{
	const char *value = strchr(key, '=');
	const char *mode;

	if (starts(key, "MAC_FOR_") || starts(key, "MAX_ACCEPT_ENTRY") || starts(key, "TOMOYO_VERBOSE")) {
		found(findings, ERROR, text->path, line->number, "convert it: ./inv policy.convert on the host",
		      "written for another version: '%s'", line->text);
		return;
	}
	if (!value || (!starts(key, "COMMENT=") && !starts(key, "PREFERENCE=") && !starts(key, "CONFIG=") &&
		       !starts(key, "CONFIG::"))) {
		found(findings, WARNING, text->path, line->number, "correct or delete it",
		      "the kernel will drop '%s'", line->text);
		return;
	}
	if (!starts(key, "CONFIG"))
		return;
	mode = strstr(value, "mode=");
	if (mode ? !known_mode(mode + strlen("mode=")) : !strstr(value, "use_default"))
		found(findings, ERROR, text->path, line->number,
		      "write mode=disabled, learning, permissive or enforcing",
		      "%s, so the kernel would keep the mode it had: '%s'",
		      mode ? "no such mode" : "no mode", line->text);
}

static void read_profiles(const struct text *text, struct spaces *spaces, unsigned int kernel_version,
			  struct findings *findings)
{
	space_of(spaces, "<kernel>", true);
	for (size_t i = 0; i < text->count; i++) {
		const struct line *line = &text->lines[i];
		struct space *space = space_of(spaces, line->text, true);
		const char *entry = *line->text == '<' ? strchr(line->text, ' ') : line->text;
		unsigned long number;
		char *end;

		entry = !entry ? "" : *entry == ' ' ? entry + 1 : entry;
		if (sscanf(entry, "PROFILE_VERSION=%u", &space->version) == 1) {
			if (space->version != CURRENT_VERSION && space->version != CONVERTED_VERSION)
				found(findings, ERROR, text->path, line->number,
				      "make it with the tools of this kernel's version: /usr/lib/ccs/init_policy",
				      "PROFILE_VERSION=%u is not this kernel's (%u): wrong version of the tools",
				      space->version, kernel_version ? kernel_version : CURRENT_VERSION);
			continue;
		}
		number = strtoul(entry, &end, 10);
		if (end == entry || *end != '-' || number > 255) {
			found(findings, WARNING, text->path, line->number, "profiles are 0 to 255",
			      "the kernel will drop '%s'", line->text);
			continue;
		}
		space->defined[number] = true;
		check_entry(text, line, end + 1, findings);
	}
	if (!text->count)
		found(findings, ERROR, text->path, 0,
		      "make the first configuration with /usr/lib/ccs/init_policy", "is empty: no profile exists");
	else if (!spaces->list[0].version)
		found(findings, ERROR, text->path, 0,
		      "make it with the tools of this kernel's version: /usr/lib/ccs/init_policy",
		      "has no PROFILE_VERSION: cut off, or written for another version");
}

/* Every profile in use must be defined, in the namespace of the domain that uses it. */
void check_profiles(const struct text *profile, const struct text *domain, unsigned int kernel_version,
		    struct findings *findings)
{
	struct spaces spaces = { NULL, 0 };
	const char *name = "<kernel>";
	bool kernel_seen = false;
	size_t i = 0;

	read_profiles(profile, &spaces, kernel_version, findings);
	if (!profile->count)
		return;
	while (i <= domain->count) {
		/* The lines of one domain; before the first one and after the last, <kernel> itself. */
		unsigned int use = 0, value, where = i < domain->count ? domain->lines[i].number : 0;
		bool last = i == domain->count;
		const struct space *space;

		if (last && kernel_seen)
			break;
		if (last)
			name = "<kernel>";
		else if (*domain->lines[i].text != '<') {
			i++;
			continue;
		} else
			name = domain->lines[i].text;
		kernel_seen = kernel_seen || !strcmp(name, "<kernel>");
		for (i++; i < domain->count && *domain->lines[i].text != '<'; i++)
			if (sscanf(domain->lines[i].text, "use_profile %u", &value) == 1 && value < 256) {
				use = value;
				where = domain->lines[i].number;
			}
		space = space_of(&spaces, name, false);
		if (!space || !space->defined[use])
			found(findings, ERROR, domain->path, where, "define it in profile.conf, or use another",
			      "profile %u of '%s' is not defined: the kernel would panic", use, name);
		if (last)
			break;
	}
}
