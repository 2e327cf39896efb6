// SPDX-License-Identifier: GPL-2.0
/*
 * fuse_unserved DIR: a file system of FUSE at DIR whose files are never read to an end.
 * Prints "mounted"; SIGTERM unmounts it.
 *
 * DIR/NUMBER   files of FUSE_FILE bytes. A READ is not answered until somebody writes to
 *              DIR/control; what is written to them is forgotten
 * DIR/control  reads as the number of READs that wait; a write answers those, with zeros,
 *              but not the next ones
 */

#define _FILE_OFFSET_BITS 64
#define FUSE_USE_VERSION 35

#include <errno.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fuse.h"
#include "lib/odp.h"

#define CONTROL		2	/* inode numbers */
#define FIRST_FILE	16
#define FOR_EVER	1e6	/* seconds that the kernel need not ask again */
#define WAITING		16384

struct waiting {
	fuse_req_t req;
	size_t len;
};

static struct waiting waiting[WAITING];
static size_t waiting_count;
static char zeros[1 << 20];

static struct stat attributes(fuse_ino_t ino)
{
	struct stat st = {
		.st_ino = ino, .st_nlink = 1, .st_mode = S_IFREG | 0600, .st_size = FUSE_FILE,
	};

	if (ino == FUSE_ROOT_ID)
		st = (struct stat){ .st_ino = ino, .st_nlink = 2, .st_mode = S_IFDIR | 0700 };
	else if (ino == CONTROL)
		st.st_size = 0;
	return st;
}

/* READs that wait keep no other from coming here. */
static void init(void *data, struct fuse_conn_info *connection)
{
	(void)data;
	connection->max_background = WAITING;
	connection->congestion_threshold = WAITING;
}

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .attr_timeout = FOR_EVER, .entry_timeout = FOR_EVER };
	char *end;

	(void)parent;
	entry.ino = FIRST_FILE + strtoul(name, &end, 10);
	if (!strcmp(name, FUSE_CONTROL)) {
		entry.ino = CONTROL;
	} else if (*end || end == name) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	entry.attr = attributes(entry.ino);
	fuse_reply_entry(req, &entry);
}

static void getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	const struct stat st = attributes(ino);

	(void)file;
	fuse_reply_attr(req, &st, FOR_EVER);
}

static void setattr(fuse_req_t req, fuse_ino_t ino, struct stat *to, int what,
		    struct fuse_file_info *file)
{
	(void)to;
	(void)what;
	getattr(req, ino, file);
}

static void open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	file->direct_io = ino == CONTROL;
	fuse_reply_open(req, file);
}

static void read_file(fuse_req_t req, fuse_ino_t ino, size_t len, off_t offset,
		      struct fuse_file_info *file)
{
	char text[24];

	(void)file;
	if (ino == CONTROL) {
		snprintf(text, sizeof(text), "%zu\n", waiting_count);
		fuse_reply_buf(req, text, offset ? 0 : strlen(text));
	} else if (waiting_count == WAITING) {
		fuse_reply_err(req, ENOSPC);
	} else {
		waiting[waiting_count++] = (struct waiting){ req, len };
	}
}

static void write_file(fuse_req_t req, fuse_ino_t ino, const char *data, size_t len,
		       off_t offset, struct fuse_file_info *file)
{
	(void)data;
	(void)offset;
	(void)file;
	while (ino == CONTROL && waiting_count) {
		struct waiting *w = &waiting[--waiting_count];

		fuse_reply_buf(w->req, zeros, w->len < sizeof(zeros) ? w->len : sizeof(zeros));
	}
	fuse_reply_write(req, len);
}

static const struct fuse_lowlevel_ops operations = {
	.init = init,
	.lookup = lookup,
	.getattr = getattr,
	.setattr = setattr,
	.open = open_file,
	.read = read_file,
	.write = write_file,
};

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *session;
	int err;

	if (argc != 2)
		odp_die(0, "usage: fuse_unserved DIR");
	session = fuse_session_new(&args, &operations, sizeof(operations), NULL);
	if (!session || fuse_set_signal_handlers(session) ||
	    fuse_session_mount(session, argv[1]))
		odp_die(0, "no FUSE file system at %s", argv[1]);
	printf("mounted\n");
	fflush(stdout);
	/* A single thread: nothing here waits */
	err = fuse_session_loop(session);
	fuse_session_unmount(session);
	/* Not destroyed: it would answer who waits */
	return err < 0 ? ODP_ERROR : ODP_OK;
}
