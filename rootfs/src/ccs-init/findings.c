// SPDX-License-Identifier: GPL-2.0-only
/* The list of what is wrong: one line each, saying where, what and the mend. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ccs-init.h"

/* The finding about a line that has one already: what the kernel said replaces what was foreseen. */
static struct finding *same_line(struct findings *findings, const char *where, unsigned int line)
{
	struct finding *same = NULL;
	char *place = format("%s:%u: ", where, line);

	for (size_t i = 0; line && i < findings->count; i++)
		if (findings->list[i].severity == WARNING && starts(findings->list[i].text, place))
			same = &findings->list[i];
	free(place);
	return same;
}

static struct finding *add(struct findings *findings)
{
	findings->list = must(realloc(findings->list, (findings->count + 1) * sizeof(*findings->list)));
	memset(&findings->list[findings->count], 0, sizeof(*findings->list));
	return &findings->list[findings->count++];
}

/* Note what is wrong; line 0 means the whole file, mend may be NULL. */
void found(struct findings *findings, enum severity severity, const char *where, unsigned int line,
	   const char *mend, const char *what, ...)
{
	struct finding *finding;
	char *said, *number;
	va_list args;

	va_start(args, what);
	if (vasprintf(&said, what, args) < 0)
		said = must(NULL);
	va_end(args);
	number = line ? format(":%u", line) : format("%s", "");
	finding = same_line(findings, where, line);
	if (!finding)
		finding = add(findings);
	free(finding->text);
	finding->severity = severity;
	finding->text = format("%s%s: %s%s%s", where, number, said, mend ? " - " : "", mend ? mend : "");
	if (severity == ERROR)
		findings->errors++;
	free(number);
	free(said);
}
