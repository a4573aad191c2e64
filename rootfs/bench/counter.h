// SPDX-License-Identifier: GPL-2.0-only
/* What the programs that count share: the guest's instructions so far, and what is told of many counts. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_CALLS 10000

static uint64_t seen[MAX_CALLS];

static inline uint64_t now(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static int by_value(const void *one, const void *other)
{
	const uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return (a > b) - (a < b);
}

/* Writes "minimum M median M mean M calls CALLS" of what was seen; returns the median. */
static uint64_t tell(int calls, char *line, size_t size)
{
	uint64_t sum = 0;
	int count;

	qsort(seen, calls, sizeof(seen[0]), by_value);
	for (count = 0; count < calls; count++)
		sum += seen[count];
	snprintf(line, size, "minimum %llu median %llu mean %.1f calls %d", (unsigned long long)seen[0],
		 (unsigned long long)seen[calls / 2], (double)sum / calls, calls);
	return seen[calls / 2];
}
