/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ccs-init - the policy loader of a TOMOYO kernel.
 *
 * The data's way: text (files into lines) -> check (lines into findings) -> load (lines into the
 * kernel, what it dropped into findings); boot is what surrounds it when the kernel calls us.
 */
#ifndef CCS_INIT_H
#define CCS_INIT_H

#include <stdbool.h>
#include <stddef.h>

#define CCS_DIR "/etc/ccs"

/* findings.c: what is wrong, in the order it was found. */

enum severity {
	WARNING, /* the policy is loaded, and this is said */
	ERROR, /* nothing of this configuration is loaded */
};

struct finding {
	enum severity severity;
	char *text; /* "where: what - mend" */
};

struct findings {
	struct finding *list;
	size_t count;
	size_t errors;
};

void found(struct findings *findings, enum severity severity, const char *where, unsigned int line,
	   const char *mend, const char *what, ...) __attribute__((format(printf, 6, 7)));

/* text.c: a policy file as the kernel would see it. */

struct line {
	unsigned int number; /* in the file, from 1 */
	char *text; /* words separated by one space each */
};

struct text {
	char *path;
	struct line *lines; /* neither empty ones nor comments */
	size_t count;
};

enum text_state { TEXT_READ, TEXT_ABSENT, TEXT_DEFECTIVE };

void *must(void *memory);
char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *slurp(const char *path, size_t *size);
enum text_state text_read(struct text *text, const char *path, enum severity severity,
			  struct findings *findings);
bool starts(const char *text, const char *with);
bool safe_directory(const char *path, struct findings *findings);

/* check.c: a configuration, and what is wrong with it. */

/* In the order of loading: what the profiles refer to comes first. */
enum part { MANAGER, EXCEPTION, DOMAIN, PROFILE, STAT, PARTS };

struct part_name {
	const char *file; /* in the policy directory; stat.conf is one level up */
	const char *interface;
};

extern const struct part_name part_names[PARTS];

struct configuration {
	char *directory; /* of the policy in use */
	struct text text[PARTS];
};

/* Where a configuration lies: the directory, and the choice among its policies (NULL: the default). */
struct place {
	const char *root; /* "" in the guest itself */
	const char *ccs; /* root + /etc/ccs */
	const char *choice;
};

#define KERNEL_ANY 0 /* no kernel to compare with */

bool valid_choice(const char *name);
bool choice_exists(const struct place *place, const char *name);
void configuration_check(struct configuration *configuration, const struct place *place,
			 unsigned int kernel_version, struct findings *findings);
void check_profiles(const struct text *profile, const struct text *domain, unsigned int kernel_version,
		    struct findings *findings);

/* load.c: the kernel's interface. */

struct loaded {
	size_t domains, rules, profiles;
	unsigned int memory_bytes; /* used by the policy */
	unsigned int total_bytes;
};

unsigned int kernel_profile_version(const char *interface, char release[32]);
bool already_active(const char *interface);
bool load(const char *interface, const struct configuration *configuration, struct findings *findings);
bool load_nothing(const char *interface);
bool profile_defined(const char *interface, unsigned int number);
void measure(const char *interface, struct loaded *loaded);

/* boot.c: called by the kernel. */

int boot(void);

#endif
