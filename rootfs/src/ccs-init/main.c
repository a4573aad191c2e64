// SPDX-License-Identifier: GPL-2.0-only
/* ccs-init: without arguments the loader that the kernel calls; with --check the same check for a person. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ccs-init.h"

static int check(int argc, char **argv)
{
	struct place place = { "", NULL, NULL };
	struct configuration configuration;
	struct findings findings = { 0 };

	for (int i = 0; i < argc; i++) {
		if (starts(argv[i], "--root="))
			place.root = argv[i] + strlen("--root=");
		else if (starts(argv[i], "--policy="))
			place.choice = argv[i] + strlen("--policy=");
		else if (*argv[i] != '-' && !place.ccs)
			place.ccs = argv[i];
		else
			return 2;
	}
	if (!strcmp(place.root, "/"))
		place.root = "";
	if (!place.ccs)
		place.ccs = format("%s" CCS_DIR, place.root);
	if (place.choice && !choice_exists(&place, place.choice)) {
		found(&findings, ERROR, place.ccs, 0, NULL, "has no policy and no profile '%s'", place.choice);
	} else {
		configuration_check(&configuration, &place, KERNEL_ANY, &findings);
	}
	for (size_t i = 0; i < findings.count; i++)
		printf("%s: %s\n", findings.list[i].severity == ERROR ? "error" : "warning",
		       findings.list[i].text);
	if (fflush(stdout))
		return 1;
	return findings.count ? 1 : 0;
}

int main(int argc, char **argv)
{
	int status = 2;

	if (argc <= 1)
		return boot();
	if (!strcmp(argv[1], "--check"))
		status = check(argc - 2, argv + 2);
	if (status == 2)
		fprintf(stderr, "usage: ccs-init --check [--root=ROOT] [--policy=NAME] [DIR]\n"
				"  without arguments: load the policy (the kernel calls it so at boot)\n"
				"  exit status: 0 without findings, 1 with some (one a line), 2 for wrong usage\n");
	return status;
}
