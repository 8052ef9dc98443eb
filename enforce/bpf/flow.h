/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flow table: what was admitted, by which end it was opened, and how the
 * far end is reached. One lookup finds a flow from either direction. */
#pragma once

#include "maps.h"
#include "parse.h"

static __always_inline __u64 idle_limit(__u8 protocol, __u8 flags)
{
	switch (protocol) {
	case IPPROTO_TCP:
		if (flags & FLOW_SERVICE)
			return IDLE_TCP_ESTABLISHED * NS_PER_SECOND;
		return (flags & FLOW_ANSWERED && !(flags & FLOW_CLOSING) ? IDLE_TCP_ESTABLISHED
									 : IDLE_TCP_OTHER) *
		       NS_PER_SECOND;
	case IPPROTO_UDP:
		return IDLE_UDP * NS_PER_SECOND;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return IDLE_ICMP * NS_PER_SECOND;
	}
	return IDLE_OTHER * NS_PER_SECOND;
}

/* Is the source the low end of the key? */
static __always_inline bool source_is_low(const struct addr *src, const struct addr *dst,
					  __be16 src_port, __be16 dst_port)
{
	int order = addr_compare(src, dst);

	return order < 0 || (order == 0 && src_port <= dst_port);
}

/* Tells whether the source is the low end. */
static __always_inline bool flow_key_set(struct flow_key *key, const struct addr *src,
					 const struct addr *dst, __be16 src_port, __be16 dst_port,
					 __u8 protocol)
{
	bool low = source_is_low(src, dst, src_port, dst_port);

	key->low = low ? *src : *dst;
	key->high = low ? *dst : *src;
	key->low_port = low ? src_port : dst_port;
	key->high_port = low ? dst_port : src_port;
	key->protocol = protocol;
	return low;
}

/* Sets c->key and c->low to the packet's flow, for an ICMP error to the quoted
 * one, whose responder the error's sender speaks for. */
static __always_inline void flow_key_of(struct context *c)
{
	if (c->related)
		c->low = !flow_key_set(&c->key, &c->quoted_src, &c->quoted_dst, c->src_port,
				       c->dst_port, c->quoted_protocol);
	else
		c->low = flow_key_set(&c->key, &c->src, &c->dst, c->src_port, c->dst_port,
				      c->protocol);
}

/* The packet's flow, NULL if there is none or it has been idle for too long. */
static __always_inline struct flow *flow_find(struct context *c)
{
	struct flow *flow;

	flow_key_of(c);
	flow = bpf_map_lookup_elem(&flows, &c->key);
	/* seen may be ahead: another CPU's clock tick. */
	if (!flow || (__s64)(c->now - flow->seen) > (__s64)idle_limit(c->key.protocol, flow->flags))
		return NULL;
	return flow;
}

/* Did the packet's sender open the flow? */
static __always_inline bool opened_by_source(const struct context *c, const struct flow *flow)
{
	return !!(flow->flags & FLOW_LOW_OPENED) == c->low;
}

/* A packet that is one of its flow's at several hooks counts at the first: at
 * to_pod only what came through the host's own stack. What stands for several
 * packets (segmentation offload) counts as these, but its headers once. */
static __always_inline bool counts_here(struct context *c, __u8 path)
{
	return !c->counted && (c->hook != HOOK_TO_POD || path == PATH_STACK);
}

static __always_inline void flow_count(struct context *c, struct flow *flow, bool reply)
{
	if (!counts_here(c, flow->path))
		return;
	if (reply) {
		__sync_fetch_and_add(&flow->packets[1], c->segments);
		__sync_fetch_and_add(&flow->bytes[1], c->length);
	} else {
		__sync_fetch_and_add(&flow->packets[0], c->segments);
		__sync_fetch_and_add(&flow->bytes[0], c->length);
	}
}

/* Notes a packet of the flow that was let through. */
static __always_inline void flow_touch(struct context *c, struct flow *flow, bool reply)
{
	__u8 flags = flow->flags;

	if (reply)
		flags |= FLOW_ANSWERED;
	if (c->tcp_flags & (TCP_FIN | TCP_RST))
		flags |= FLOW_CLOSING;
	if (flags != flow->flags)
		flow->flags = flags;
	if (c->now - flow->seen > NS_PER_SECOND / 10)
		flow->seen = c->now;
	flow_count(c, flow, reply);
}

/* Takes over which address the flow's client asked for. */
static __always_inline void flow_translation(struct context *c, struct flow *flow)
{
	if (!(flow->flags & FLOW_TRANSLATED))
		return;
	c->translated = 1;
	c->nat_addr = flow->nat_addr;
	c->nat_port = flow->nat_port;
	c->to_client = opened_by_source(c, flow) == !!(flow->flags & FLOW_CROSSED);
}

/* Takes over what the flow knows of the way. */
static __always_inline void flow_use(struct context *c, struct flow *flow, bool reply)
{
	c->path = flow->path;
	c->prefix = flow->prefix;
	c->reply = reply;
	flow_translation(c, flow);
	if (!c->related)
		flow_touch(c, flow, reply);
}

/* A flow that goes on under another verdict keeps its counters. Between this
 * and flow_open packets on other CPUs may be missed. */
static __always_inline void keep_counters(struct context *c, struct flow *flow)
{
	c->stale = 1;
	c->again = 1;
	c->flow.opened = flow->opened;
	c->flow.packets[0] = flow->packets[0];
	c->flow.packets[1] = flow->packets[1];
	c->flow.bytes[0] = flow->bytes[0];
	c->flow.bytes[1] = flow->bytes[1];
}

static __always_inline void first_counters(struct context *c, struct flow *flow)
{
	bool counts = counts_here(c, c->path);

	flow->opened = flow->seen;
	flow->packets[0] = counts ? c->segments : 0;
	flow->bytes[0] = counts ? c->length : 0;
	flow->packets[1] = 0;
	flow->bytes[1] = 0;
}

/* Writes the packet's flow, opened by its sender. */
static __noinline int flow_open(struct context *c, __u32 flags)
{
	struct flow *flow = &c->flow;

	flow_key_of(c);
	flow->seen = c->now;
	flow->prefix = c->prefix;
	flow->nat_addr = c->nat_addr;
	flow->nat_port = c->nat_port;
	flow->flags = flags | c->kept_flags | (c->low ? FLOW_LOW_OPENED : 0) |
		      (c->translated ? FLOW_TRANSLATED : 0);
	flow->path = c->path;
	flow->revision = c->revision;
	flow->src_identity = c->src_identity;
	flow->dst_identity = c->dst_identity;
	if (!c->stale)
		first_counters(c, flow);
	return bpf_map_update_elem(&flows, &c->key, flow, BPF_ANY);
}
