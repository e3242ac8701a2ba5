/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What goes through the ring, as redoubt.collector.records reads it. Little-endian, no holes. */
#ifndef REDOUBT_RECORDS_H
#define REDOUBT_RECORDS_H

enum kind { EXEC = 1, FORK, EXIT, TCP, UDP, CGROUP, KINDS };

#define ANCESTORS 8
#define COMPONENTS 16
#define COMPONENT 128
#define LEVELS 12
#define LEVEL 192
#define MOST_PATH 1024
#define MOST_ARGUMENTS 4096

struct head {
	__u16 kind;
	__u16 size;    /* of the whole record, in bytes */
	__u32 process; /* of whom it is told; 0 where nobody knows */
	__u64 time;    /* nanoseconds since the machine started, sleep counted */
	__u64 cgroup;  /* see scope(); 0 where nobody knows */
	__u32 parent;
	__u32 uid; /* effective, as seen from the machine */
	__u32 gid;
	__u32 flags;
};

#define CONTAINED 1 /* the cgroup looks like a container's */

struct exec {
	struct head head;
	char command[16];
	__u32 ancestors[ANCESTORS]; /* nearest first; 0 ends them */
	__u32 login;                /* audit's user; all ones where nobody logged in */
	__u32 mounts;               /* number of the mount namespace */
	__u32 arguments_whole;      /* bytes that there are, of which the record has the first */
	__u16 path_size;            /* as it was asked for, NUL included */
	__u16 arguments_size;
	__u16 file_size; /* the file's own path, components from the last to the first, each with its NUL */
	__u16 reserved[3];
	char data[]; /* path, file, arguments */
};

struct fork {
	struct head head;
	__u32 child;
	__u32 reserved;
};

struct exit {
	struct head head;
	__u32 code; /* as waitpid(2) gives it */
	__u32 reserved;
};

struct connection {
	struct head head;
	__u64 socket; /* the same number from a connection's opening to its close */
	__u16 family;
	__u16 local_port;
	__u16 remote_port;
	__u8 was; /* TCP's states; for UDP 1 where the socket waits on a port that it chose, and 0 */
	__u8 is;
	__u32 network; /* number of the network namespace */
	__u32 reserved;
	__u8 local[16]; /* IPv4: the first four */
	__u8 remote[16];
};

struct cgroup_name {
	struct head head;
	__u32 levels;
	__u32 reserved;
	char names[LEVELS][LEVEL]; /* from below the root on: what is deeper is in the same container */
};

#endif
