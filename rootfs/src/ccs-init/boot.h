/* SPDX-License-Identifier: GPL-2.0-only */
/* What the boot's parts tell each other. */
#ifndef CCS_INIT_BOOT_H
#define CCS_INIT_BOOT_H

#include "ccs-init.h"

struct parameters {
	const char *choice; /* of CCS= or TOMOYO=: ask, default, disabled or a name */
	bool noload;
	unsigned int limit_s; /* for an answer at the console, and for the hook */
};

void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *ask(int console, const struct place *place, unsigned int limit_s);
void run_hook(const char *path, int console, unsigned int limit_s);

#endif
