// SPDX-License-Identifier: GPL-2.0-only
/*
 * detachedcalls - attach mounts in the ways that came after 6.12.
 *
 *	detachedcalls new WAY [SOURCE] DIR
 *
 * Prints "OK" and exits 0, or prints "ERRNO EPERM" (or another name, or a
 * number) and exits 1; which call failed is on stderr. Wrong arguments exit 2.
 *
 *	clone SOURCE DIR	the clone of a clone
 *	attr SOURCE DIR		a clone that open_tree_attr() made
 *	fsclone DIR		the clone of a detached tmpfs
 *	fssub DIR		the clone of a directory in a detached tmpfs
 *	onto DIR		a tmpfs on a directory of a detached tmpfs
 *	oldmove DIR		mount(MS_MOVE) of a detached tmpfs
 *	oldbind DIR		mount(MS_BIND) of a detached tmpfs
 *	ns SOURCE		a mount namespace made of SOURCE
 *	nsrec SOURCE		a mount namespace made of SOURCE and what is mounted below it
 *	nsclone SOURCE		a mount namespace made of a clone
 *	nsfs			a mount namespace made by fsmount()
 *	nsfsclone		a mount namespace made of a detached tmpfs
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* System calls and their arguments, from the kernel's include/uapi; the same on all architectures. */
enum {
	NR_OPEN_TREE = 428,
	NR_MOVE_MOUNT,
	NR_FSOPEN,
	NR_FSCONFIG,
	NR_FSMOUNT,
	NR_OPEN_TREE_ATTR = 467,
};

enum {
	CLONE_TREE = 1,
	NEW_NAMESPACE = 2,
	EMPTY_PATH = 0x1000,
	RECURSIVE = 0x8000,
	FROM_EMPTY_PATH = 4,
	SET_STRING = 1,
	CMD_CREATE = 6,
	MOUNT_IN_NAMESPACE = 2,
	ATTR_NODEV = 4,
};

/* struct mount_attr of the kernel. */
struct attributes {
	unsigned long long set, clr, propagation, userns_fd;
};

/* Ends the program unless @result is a success. */
static int must(const char *call, long result)
{
	static const struct {
		int number;
		const char *name;
	} errors[] = {
		{ EPERM, "EPERM" },
		{ EINVAL, "EINVAL" },
		{ ENOSYS, "ENOSYS" },
	};
	const int error = errno;
	size_t i;

	if (result >= 0)
		return result;
	fprintf(stderr, "detachedcalls: %s: %s\n", call, strerror(error));
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].number == error) {
			printf("ERRNO %s\n", errors[i].name);
			exit(1);
		}
	printf("ERRNO %d\n", error);
	exit(1);
}

static int tmpfs(unsigned int flags)
{
	const int fs = must("fsopen", syscall(NR_FSOPEN, "tmpfs", 0));

	must("fsconfig", syscall(NR_FSCONFIG, fs, SET_STRING, "source", "some", 0));
	must("fsconfig", syscall(NR_FSCONFIG, fs, CMD_CREATE, NULL, NULL, 0));
	return must("fsmount", syscall(NR_FSMOUNT, fs, flags, 0));
}

/* A tmpfs that has a directory "sub". */
static int tmpfs_with_sub(void)
{
	const int mnt = tmpfs(0);

	must("mkdir", mkdirat(mnt, "sub", 0755));
	return mnt;
}

static int tree_of(int dir, const char *name, unsigned int flags)
{
	return must("open_tree", syscall(NR_OPEN_TREE, dir, name, flags));
}

static void attach(int from, int dir, const char *name)
{
	must("move_mount", syscall(NR_MOVE_MOUNT, from, "", dir, name, FROM_EMPTY_PATH));
}

/* The old call, with the magic link of a file descriptor as source. */
static void old(int from, const char *dir, unsigned long flags)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", from);
	must("mount", mount(link, dir, NULL, flags, NULL));
}

int main(int argc, char *argv[])
{
	const char *way = argc > 2 ? argv[2] : "";
	const char *first = argc > 3 ? argv[3] : NULL, *second = argc > 4 ? argv[4] : NULL;
	struct attributes nodev = { .set = ATTR_NODEV };

	if (!strcmp(way, "clone") && second) {
		const int mnt = tree_of(AT_FDCWD, first, CLONE_TREE);

		attach(tree_of(mnt, "", CLONE_TREE | EMPTY_PATH), AT_FDCWD, second);
	} else if (!strcmp(way, "attr") && second) {
		attach(must("open_tree_attr", syscall(NR_OPEN_TREE_ATTR, AT_FDCWD, first, CLONE_TREE, &nodev,
						      sizeof(nodev))), AT_FDCWD, second);
	} else if (!strcmp(way, "fsclone") && first) {
		attach(tree_of(tmpfs(0), "", CLONE_TREE | EMPTY_PATH), AT_FDCWD, first);
	} else if (!strcmp(way, "fssub") && first) {
		attach(tree_of(tmpfs_with_sub(), "sub", CLONE_TREE), AT_FDCWD, first);
	} else if (!strcmp(way, "onto") && first) {
		attach(tmpfs(0), tmpfs_with_sub(), "sub");
	} else if (!strcmp(way, "oldmove") && first) {
		old(tmpfs(0), first, MS_MOVE);
	} else if (!strcmp(way, "oldbind") && first) {
		old(tmpfs(0), first, MS_BIND);
	} else if (!strcmp(way, "ns") && first) {
		tree_of(AT_FDCWD, first, NEW_NAMESPACE);
	} else if (!strcmp(way, "nsrec") && first) {
		tree_of(AT_FDCWD, first, NEW_NAMESPACE | RECURSIVE);
	} else if (!strcmp(way, "nsclone") && first) {
		tree_of(tree_of(AT_FDCWD, first, CLONE_TREE), "", NEW_NAMESPACE | EMPTY_PATH);
	} else if (!strcmp(way, "nsfs")) {
		tmpfs(MOUNT_IN_NAMESPACE);
	} else if (!strcmp(way, "nsfsclone")) {
		tree_of(tmpfs(0), "", NEW_NAMESPACE | EMPTY_PATH);
	} else {
		fputs("usage: detachedcalls new WAY [SOURCE] DIR\n", stderr);
		return 2;
	}
	puts("OK");
	return 0;
}
