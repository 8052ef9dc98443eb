/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The verdict on one packet between two identities. The number of lookups is
 * fixed, whatever the number of policies (policy.Table documents the rows). */
#pragma once

#include "locate.h"
#include "parse.h"

#define CLASS_ANY_POD 1
#define CLASS_NON_POD 2

static __always_inline __u32 all_flag(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return PORTS_ALL_TCP;
	case IPPROTO_UDP:
		return PORTS_ALL_UDP;
	case IPPROTO_SCTP:
		return PORTS_ALL_SCTP;
	}
	return 0;
}

/* Does one of the names of the destination's port stand in the set? */
static __noinline bool named_port_admits(struct context *c, __u64 set)
{
	struct pod_port_key port = { .addr = c->dst, .port = c->dst_port, .protocol = c->protocol };
	struct name_key key = { .set = set, .protocol = c->protocol };
	struct pod_port_names *names = bpf_map_lookup_elem(&pod_ports, &port);

	if (!names)
		return false;
	for (int i = 0; i < MAX_PORT_NAMES; i++) {
		key.name = names->names[i];
		if (key.name && bpf_map_lookup_elem(&port_names, &key))
			return true;
	}
	return false;
}

static __noinline bool number_admits(struct context *c, __u64 set)
{
	__u32 port = bpf_ntohs(c->dst_port);
	struct chunk_key key = { .set = set, .protocol = c->protocol, .chunk = port >> 9 };
	struct chunk *chunk = bpf_map_lookup_elem(&port_chunks, &key);

	return chunk && chunk->words[(port >> 6) & 7] >> (port & 63) & 1;
}

static __noinline bool ports_admit(struct context *c, struct ports *ports)
{
	__u32 all = all_flag(c->protocol);

	if (!ports)
		return false;
	if (ports->flags & PORTS_ALL_TRAFFIC)
		return true;
	if (!all)
		return false;
	if (ports->flags & all)
		return true;
	if (!c->has_ports)
		return false;
	/* SOME_x stands three bits above ALL_x. */
	if (ports->flags & (all << 3) && number_admits(c, ports->set))
		return true;
	return ports->flags & PORTS_NAMED && named_port_admits(c, ports->set);
}

static __noinline bool block_admits(struct context *c, __u64 rule_set, const struct addr *peer)
{
	struct rule_cidr_key key = { .prefix_len = 224, .family = { addr_is_v4(peer) ? 4 : 6 } };

	__builtin_memcpy(key.rule_set, &rule_set, 8);
	__builtin_memcpy(key.addr, peer->bytes, 16);
	return ports_admit(c, bpf_map_lookup_elem(&rule_cidrs, &key));
}

static __noinline bool class_admits(struct context *c, __u64 rule_set, __u64 class)
{
	struct rule_key key = { .rule_set = rule_set, .class = class };
	struct ports *ports = bpf_map_lookup_elem(&rules, &key);

	if (!ports && class != CLASS_NON_POD) {
		key.class = CLASS_ANY_POD;
		ports = bpf_map_lookup_elem(&rules, &key);
	}
	return ports_admit(c, ports);
}

/* NULL if the identity is not known. */
static __always_inline struct side *side_of(__u32 identity, __u32 revision)
{
	struct identity_key key = { .identity = identity, .side = revision & 1 };

	return bpf_map_lookup_elem(&identities, &key);
}

/* Is what the subject's policies deny only noted? The first reason is kept. */
static __always_inline bool audited(struct context *c, struct side *subject, __u8 reason)
{
	if (!(subject->flags & SIDE_AUDIT))
		return false;
	if (!c->audit)
		c->audit = reason;
	return true;
}

/* Egress of the source and ingress of the destination, both under
 * c->revision. Needs src_identity and dst_identity. */
static __noinline int judge(struct context *c)
{
	struct side *src, *dst;

	if (!c->revision)
		return REASON_NOT_READY;
	src = side_of(c->src_identity, c->revision);
	dst = side_of(c->dst_identity, c->revision);
	if (!src || !dst)
		return REASON_UNKNOWN_IDENTITY;
	if (addr_equal(&c->src, &c->dst))
		return REASON_NONE; /* a pod may always reach itself */
	if (src->egress && !class_admits(c, src->egress, dst->class) &&
	    !(src->flags & SIDE_EGRESS_CIDRS && block_admits(c, src->egress, &c->dst)) &&
	    !audited(c, src, REASON_POLICY_EGRESS))
		return REASON_POLICY_EGRESS;
	if (c->src_identity == IDENTITY_HOST)
		return REASON_NONE; /* the local node reaches its pods: probes */
	if (dst->ingress && !class_admits(c, dst->ingress, src->class) &&
	    !(dst->flags & SIDE_INGRESS_CIDRS && block_admits(c, dst->ingress, &c->src)) &&
	    !audited(c, dst, REASON_POLICY_INGRESS))
		return REASON_POLICY_INGRESS;
	return REASON_NONE;
}
