/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What processes do and whom they talk to, told by the kernel itself.
 *
 * BTF-typed tracepoints only: they need neither tracefs nor bpffs, no trampolines and no kprobes, and two capabilities
 * (CAP_BPF, CAP_PERFMON). Nothing here is called for every system call. Whatever cannot be told is counted. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "records.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Which source this was built from: the loader takes a probe of its own version only. Set by the one who builds it. */
#ifndef PROBE_VERSION
#define PROBE_VERSION "unknown"
#endif
const char VERSION[] SEC("redoubt.probe") = "redoubt probe " PROBE_VERSION;

#define AF_INET 2
#define AF_INET6 10
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define UDP_PROTOCOL 17
#define TCP_PROTOCOL 6
#define BOUND_PORT 8 /* SOCK_BINDPORT_LOCK of include/net/sock.h */
#define V1 (1ULL << 63)
#define DEPTH 256 /* of cgroups, of which the first LEVELS are told */
#define IDENTIFIER 64 /* hexadecimal digits that name a container */

/* Set by the loader before the probe is loaded; see redoubt.collector.loader. */
struct settings {
	__u32 only_containers;
	__u32 most_arguments;
	__u32 host_network;
	__u32 udp_again; /* seconds until a flow that goes on is told again */
};
const volatile struct settings settings SEC(".rodata.settings") = {
	.most_arguments = MOST_ARGUMENTS,
	.udp_again = 30,
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

/* [kind]: records made; [16 + kind]: of these, found no room. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 32);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

#define SCRATCH 16384
struct scratch {
	char bytes[SCRATCH];
};
/* on_exec's alone: the kernel doesn't run a program within itself. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Cgroups whose names were told, with CONTAINED or 0. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u32);
} scopes SEC(".maps");

struct owner {
	__u64 cgroup;
	__u32 process, parent, uid, gid, flags, reserved;
};
/* Whose a socket is, by its address in the kernel. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, __u64);
	__type(value, struct owner);
} owners SEC(".maps");

/* Changes that on_state has told, until on_state_missed has seen that. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u32);
} marks SEC(".maps");

struct listener {
	__u32 network;
	__u16 port, family;
	__u8 local[16];
};
/* Who listens: what is accepted belongs to them. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct listener);
	__type(value, struct owner);
} listeners SEC(".maps");

struct flow {
	__u32 network;
	__u16 local_port, remote_port;
	__u8 local[16], remote[16];
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow);
	__type(value, __u64);
} flows SEC(".maps");

/* Atomic, though each CPU has its own: a packet may come in between reading and writing. */
static __always_inline void count(__u32 which)
{
	__u64 *value = bpf_map_lookup_elem(&counts, &which);
	if (value)
		__sync_fetch_and_add(value, 1);
}

/* The reader looks every few milliseconds: waking it for each record would cost more than the rest. */
static __always_inline int tell(void *record, __u32 size, __u32 kind)
{
	count(kind);
	if (!bpf_ringbuf_output(&ring, record, size, BPF_RB_NO_WAKEUP))
		return 0;
	count(16 + kind);
	return -1;
}

/* A table, because the verifier would follow both ways of each comparison. */
static const __u8 digits[256] SEC(".rodata.digits") = {
	['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1,
	['8'] = 1, ['9'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1,
};

/* Whether the kernel's text at `name` has digits that may name a container. Global functions (without "static") are
 * verified once, not for each way that leads to them. */
__noinline int looks_contained(__u64 name)
{
	char bytes[LEVEL] = {};
	__u32 run = 0;

	if (bpf_probe_read_kernel_str(bytes, sizeof bytes, (void *)name) < 0)
		return 0;
	for (int i = 0; i < LEVEL; i++) {
		run = (run + 1) * digits[(__u8)bytes[i]];
		if (run >= IDENTIFIER)
			return 1;
	}
	return 0;
}

/* Tell a cgroup's names; gives its flags. */
__noinline int tell_names(__u64 cgroup_at, __u64 scope)
{
	struct cgroup *cgroup = (void *)cgroup_at;
	struct cgroup_name *record;
	__u32 flags = 0;

	count(CGROUP);
	record = bpf_ringbuf_reserve(&ring, sizeof *record, 0);
	if (!record) {
		count(16 + CGROUP);
		return -1;
	}
	__builtin_memset(&record->head, 0, sizeof record->head);
	record->head.kind = CGROUP;
	record->head.size = sizeof *record;
	record->head.time = bpf_ktime_get_boot_ns();
	record->head.cgroup = scope;
	record->levels = 0;
	record->reserved = 0;
	for (int i = 0; i < LEVELS; i++)
		record->names[i][0] = 0;
	for (int i = 0; i < DEPTH; i++) {
		__u32 level = cgroup ? BPF_CORE_READ(cgroup, level) : 0;
		if (!level)
			break;
		const char *name = BPF_CORE_READ(cgroup, kn, name);
		if (level <= LEVELS) {
			if (bpf_probe_read_kernel_str(record->names[level - 1], LEVEL, name) < 0)
				record->names[level - 1][0] = 0;
			if (!record->levels)
				record->levels = level;
			if (looks_contained((__u64)name))
				flags = CONTAINED;
		}
		struct cgroup_subsys_state *above = BPF_CORE_READ(cgroup, self.parent);
		cgroup = above ? (void *)above - bpf_core_field_offset(struct cgroup, self) : 0;
	}
	record->head.flags = flags;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	bpf_map_update_elem(&scopes, &scope, &flags, BPF_ANY);
	return flags;
}

/* A cgroup's number, which is told with its names the first time. The root has none. */
static __always_inline __u64 scope(struct cgroup *cgroup, __u32 *flags)
{
	*flags = 0;
	if (!cgroup || BPF_CORE_READ(cgroup, level) <= 0)
		return 0;
	__u64 number = BPF_CORE_READ(cgroup, kn, id);
	if (BPF_CORE_READ(cgroup, root, hierarchy_id))
		number |= V1;
	__u32 *known = bpf_map_lookup_elem(&scopes, &number);
	if (known) {
		*flags = *known;
		return number;
	}
	int told = tell_names((__u64)cgroup, number);
	if (told > 0)
		*flags = told;
	return number;
}

/* Where container runtimes put a task: the pids controller's hierarchy where that is a v1 one, else v2. */
static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id)) {
		struct cgroup_subsys_state *state = 0;
		bpf_probe_read_kernel(&state, sizeof state,
				      (void *)set + bpf_core_field_offset(struct css_set, subsys) +
					      sizeof(void *) * bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id));
		struct cgroup *cgroup = BPF_CORE_READ(state, cgroup);
		if (cgroup && BPF_CORE_READ(cgroup, root, hierarchy_id))
			return cgroup;
	}
	return BPF_CORE_READ(set, dfl_cgrp);
}

/* Whether a task's doings are wanted; `head` is filled with whose they are. */
static __always_inline bool fill(struct head *head, __u16 kind, __u16 size, struct task_struct *task)
{
	__u32 flags;
	__u64 number = scope(cgroup_of(task), &flags);
	if (settings.only_containers && !(flags & CONTAINED))
		return false;
	head->kind = kind;
	head->size = size;
	head->time = bpf_ktime_get_boot_ns();
	head->process = BPF_CORE_READ(task, tgid);
	head->parent = BPF_CORE_READ(task, real_parent, tgid);
	head->uid = BPF_CORE_READ(task, cred, euid.val);
	head->gid = BPF_CORE_READ(task, cred, egid.val);
	head->cgroup = number;
	head->flags = flags;
	return true;
}

/* The names from a task's program up to its root, across mounts, last one first. Gives how many bytes. */
static __always_inline __u32 file_names(struct task_struct *task, char *bytes, __u32 at)
{
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	struct dentry *name = BPF_CORE_READ(file, f_path.dentry);
	struct vfsmount *seen = BPF_CORE_READ(file, f_path.mnt);
	struct dentry *root = BPF_CORE_READ(task, fs, root.dentry);
	struct vfsmount *root_seen = BPF_CORE_READ(task, fs, root.mnt);
	__u32 start = at;

	for (int i = 0; i < COMPONENTS; i++) {
		if (!name || (name == root && seen == root_seen))
			break;
		struct dentry *above = BPF_CORE_READ(name, d_parent);
		if (name == BPF_CORE_READ(seen, mnt_root) || name == above) {
			struct mount *mount = (void *)seen - bpf_core_field_offset(struct mount, mnt);
			struct mount *parent = BPF_CORE_READ(mount, mnt_parent);
			if (!parent || parent == mount)
				break;
			name = BPF_CORE_READ(mount, mnt_mountpoint);
			seen = (void *)parent + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		if (at > SCRATCH / 2 - COMPONENT)
			break;
		long size = bpf_probe_read_kernel_str(&bytes[at & (SCRATCH / 2 - 1)], COMPONENT, BPF_CORE_READ(name, d_name.name));
		if (size <= 0)
			break;
		at += size & (2 * COMPONENT - 1);
		name = above;
	}
	return at - start;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old, struct linux_binprm *program)
{
	__u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	if (!scratch)
		return 0;
	struct exec *record = (void *)scratch->bytes;
	if (!fill(&record->head, EXEC, 0, task))
		return 0;
	bpf_get_current_comm(record->command, sizeof record->command);
	struct task_struct *above = BPF_CORE_READ(task, real_parent);
	for (int i = 0; i < ANCESTORS; i++) {
		__u32 process = above ? BPF_CORE_READ(above, tgid) : 0;
		record->ancestors[i] = process;
		above = process ? BPF_CORE_READ(above, real_parent) : 0;
	}
	record->login = bpf_core_field_exists(task->loginuid) ? BPF_CORE_READ(task, loginuid.val) : ~0U;
	record->mounts = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	record->reserved[0] = record->reserved[1] = record->reserved[2] = 0;

	__u32 at = sizeof *record;
	long size = bpf_probe_read_kernel_str(&scratch->bytes[at], MOST_PATH, BPF_CORE_READ(program, filename));
	size = size < 0 ? 0 : size & (2 * MOST_PATH - 1);
	record->path_size = size;
	at += size;
	size = file_names(task, scratch->bytes, at);
	record->file_size = size;
	at += size;

	unsigned long from = BPF_CORE_READ(task, mm, arg_start);
	__u32 whole = BPF_CORE_READ(task, mm, arg_end) - from;
	__u32 some = whole > settings.most_arguments ? settings.most_arguments : whole;
	if (some > MOST_ARGUMENTS - 1)
		some = MOST_ARGUMENTS - 1;
	record->arguments_whole = whole;
	record->arguments_size = 0;
	if (at < SCRATCH / 2 && !bpf_probe_read_user(&scratch->bytes[at & (SCRATCH / 2 - 1)], some & (MOST_ARGUMENTS - 1), (void *)from)) {
		record->arguments_size = some;
		at += some;
	}
	record->head.size = at;
	tell(record, at & (SCRATCH - 1), EXEC);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *task, struct task_struct *child)
{
	struct fork record = {};
	__u32 process = BPF_CORE_READ(child, tgid);
	if (process != BPF_CORE_READ(child, pid)) /* a thread */
		return 0;
	if (!fill(&record.head, FORK, sizeof record, task))
		return 0;
	record.child = process;
	tell(&record, sizeof record, FORK);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct exit record = {};
	if (BPF_CORE_READ(task, tgid) != BPF_CORE_READ(task, pid))
		return 0;
	if (!fill(&record.head, EXIT, sizeof record, task))
		return 0;
	record.code = BPF_CORE_READ(task, exit_code);
	tell(&record, sizeof record, EXIT);
	return 0;
}

static __always_inline bool addresses(struct connection *record, struct sock *sock)
{
	record->socket = (__u64)sock;
	record->family = BPF_CORE_READ(sock, __sk_common.skc_family);
	/* In a closed socket skc_num is 0 already. */
	record->local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sock, inet_sport));
	if (!record->local_port)
		record->local_port = BPF_CORE_READ(sock, __sk_common.skc_num);
	record->remote_port = bpf_ntohs(BPF_CORE_READ(sock, __sk_common.skc_dport));
	record->network = BPF_CORE_READ(sock, __sk_common.skc_net.net, ns.inum);
	if (record->family == AF_INET) {
		BPF_CORE_READ_INTO((__u32 *)record->local, sock, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__u32 *)record->remote, sock, __sk_common.skc_daddr);
		return true;
	}
	if (record->family == AF_INET6) {
		BPF_CORE_READ_INTO(&record->local, sock, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&record->remote, sock, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
		return true;
	}
	return false;
}

static __always_inline bool is_tcp(struct sock *sock)
{
	return BPF_CORE_READ_BITFIELD_PROBED(sock, sk_protocol) == TCP_PROTOCOL;
}

static __always_inline void own(struct sock *sock, struct owner *owner)
{
	struct head head = {};
	fill(&head, 0, 0, (void *)bpf_get_current_task());
	if (!head.process) { /* not wanted: remembered all the same, so that its close is not taken for somebody's */
		head.process = bpf_get_current_pid_tgid() >> 32;
	}
	owner->process = head.process;
	owner->parent = head.parent;
	owner->uid = head.uid;
	owner->gid = head.gid;
	owner->cgroup = head.cgroup;
	owner->flags = head.flags;
	__u64 key = (__u64)sock;
	bpf_map_update_elem(&owners, &key, owner, BPF_ANY);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state_owner, struct sock *sock, int was, int is)
{
	struct owner owner = {};
	if ((is != TCP_SYN_SENT && is != TCP_LISTEN) || !is_tcp(sock))
		return 0; /* only these are made by the process that runs */
	own(sock, &owner);
	struct connection ends = {};
	if (is == TCP_LISTEN && addresses(&ends, sock)) {
		struct listener key = {.network = ends.network, .port = ends.local_port, .family = ends.family};
		__builtin_memcpy(key.local, ends.local, 16);
		bpf_map_update_elem(&listeners, &key, &owner, BPF_ANY);
	}
	return 0;
}

/* Who listens where this connection came in: at its very address, at all of its family, or at all of both. */
static __always_inline struct owner *listening(struct connection *record)
{
	struct listener key = {.network = record->network, .port = record->local_port, .family = record->family};
	struct owner *owner;

	__builtin_memcpy(key.local, record->local, 16);
	owner = bpf_map_lookup_elem(&listeners, &key);
	if (owner)
		return owner;
	__builtin_memset(key.local, 0, 16);
	owner = bpf_map_lookup_elem(&listeners, &key);
	if (owner)
		return owner;
	key.family = AF_INET6;
	return bpf_map_lookup_elem(&listeners, &key);
}

static __always_inline int tell_state(struct sock *sock, int was, int is)
{
	struct connection record = {};
	__u64 key = (__u64)sock;
	struct owner *owner = bpf_map_lookup_elem(&owners, &key);

	if (!is_tcp(sock) || !addresses(&record, sock))
		return 0;
	if (!owner && was == TCP_SYN_RECV && is == TCP_ESTABLISHED) {
		owner = listening(&record);
		if (owner)
			bpf_map_update_elem(&owners, &key, owner, BPF_ANY);
	}
	if (owner) {
		record.head.process = owner->process;
		record.head.parent = owner->parent;
		record.head.uid = owner->uid;
		record.head.gid = owner->gid;
		record.head.cgroup = owner->cgroup;
		record.head.flags = owner->flags;
	} else if (bpf_core_field_exists(sock->sk_cgrp_data.cgroup)) {
		__u32 flags;
		record.head.cgroup = scope(BPF_CORE_READ(sock, sk_cgrp_data.cgroup), &flags);
		record.head.flags = flags;
	}
	if (is == TCP_CLOSE)
		bpf_map_delete_elem(&owners, &key);
	/* What nobody owns is told where it is in another network than the machine's: a container's then. */
	if (settings.only_containers && !(record.head.flags & CONTAINED) &&
	    (owner || record.network == settings.host_network))
		return 0;
	record.head.kind = TCP;
	record.head.size = sizeof record;
	record.head.time = bpf_ktime_get_boot_ns();
	record.was = was;
	record.is = is;
	tell(&record, sizeof record, TCP);
	return 0;
}

/* The kernel runs no program within itself. A packet that comes in while the program runs for one socket's change would make
 * it miss the change of another. So there are two, one after the other: whichever was running, the other one was not. A
 * socket's own changes come one after another. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sock, int was, int is)
{
	__u64 key = (__u64)sock;
	__u32 mark = was << 8 | is;
	if (is != TCP_ESTABLISHED && is != TCP_LISTEN && is != TCP_CLOSE)
		return 0;
	bpf_map_update_elem(&marks, &key, &mark, BPF_ANY);
	return tell_state(sock, was, is);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state_missed, struct sock *sock, int was, int is)
{
	__u64 key = (__u64)sock;
	if (is != TCP_ESTABLISHED && is != TCP_LISTEN && is != TCP_CLOSE)
		return 0;
	__u32 *mark = bpf_map_lookup_elem(&marks, &key);
	if (mark && *mark == (was << 8 | is)) {
		bpf_map_delete_elem(&marks, &key);
		return 0;
	}
	return tell_state(sock, was, is);
}

/* UDP has no states, and no tracepoint that names both ends: a packet that leaves its socket does. Each flow is told once
 * in a while. */
SEC("tp_btf/net_dev_queue")
int BPF_PROG(on_packet, struct sk_buff *packet)
{
	struct sock *sock = BPF_CORE_READ(packet, sk);
	if (!sock || BPF_CORE_READ_BITFIELD_PROBED(sock, sk_protocol) != UDP_PROTOCOL)
		return 0;
	__u16 protocol = bpf_ntohs(BPF_CORE_READ(packet, protocol));
	unsigned char *at = BPF_CORE_READ(packet, head) + BPF_CORE_READ(packet, network_header);
	struct flow flow = {};
	__u8 network[40];
	__u16 ports[2];
	if (protocol == ETH_P_IP) {
		if (bpf_probe_read_kernel(network, 20, at) || network[9] != UDP_PROTOCOL)
			return 0;
		if (network[6] & 0x1f || network[7]) /* a later fragment has no ports */
			return 0;
		__builtin_memcpy(flow.local, network + 12, 4);
		__builtin_memcpy(flow.remote, network + 16, 4);
		at += (network[0] & 15) * 4;
	} else if (protocol == ETH_P_IPV6) {
		if (bpf_probe_read_kernel(network, 40, at) || network[6] != UDP_PROTOCOL)
			return 0;
		__builtin_memcpy(flow.local, network + 8, 16);
		__builtin_memcpy(flow.remote, network + 24, 16);
		at += 40;
	} else
		return 0;
	if (bpf_probe_read_kernel(ports, sizeof ports, at))
		return 0;
	flow.local_port = bpf_ntohs(ports[0]);
	flow.remote_port = bpf_ntohs(ports[1]);
	if (flow.local_port != bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sock, inet_sport)))
		return 0; /* a tunnel's outer packet */
	flow.network = BPF_CORE_READ(sock, __sk_common.skc_net.net, ns.inum);

	__u64 now = bpf_ktime_get_boot_ns();
	__u64 *told = bpf_map_lookup_elem(&flows, &flow);
	if (told && now - *told < settings.udp_again * 1000000000ULL)
		return 0;
	struct connection record = {};
	if (!fill(&record.head, UDP, sizeof record, (void *)bpf_get_current_task()))
		return 0;
	record.socket = (__u64)sock;
	record.family = protocol == ETH_P_IP ? AF_INET : AF_INET6;
	record.local_port = flow.local_port;
	record.remote_port = flow.remote_port;
	record.network = flow.network;
	/* It chose its port and has no other end: it waits for others. */
	record.was = (BPF_CORE_READ_BITFIELD_PROBED(sock, sk_userlocks) & BOUND_PORT) &&
		     !BPF_CORE_READ(sock, __sk_common.skc_dport);
	__builtin_memcpy(record.local, flow.local, 16);
	__builtin_memcpy(record.remote, flow.remote, 16);
	if (!tell(&record, sizeof record, UDP))
		bpf_map_update_elem(&flows, &flow, &now, BPF_ANY);
	return 0;
}
