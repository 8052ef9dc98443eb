/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Headers into the context. Whatever cannot be read in full is refused. */
#pragma once

#include "icmp.h"
#include "ipv4.h"
#include "ipv6.h"

static __always_inline struct context *context_new(struct __sk_buff *skb, __u8 hook)
{
	__u32 zero = 0;
	struct context *c = bpf_map_lookup_elem(&scratch, &zero);
	struct state *state = bpf_map_lookup_elem(&policy_state, &zero);

	if (!c || !state)
		return NULL;
	__builtin_memset(c, 0, offsetof(struct context, now));
	c->hook = hook;
	c->now = bpf_ktime_get_coarse_ns();
	c->segments = skb->gso_segs ? skb->gso_segs : 1;
	c->revision = *(volatile __u32 *)&state->revision;
	return c;
}

/* Needs src, dst, protocol, fragment, l4 and payload_len. */
static __always_inline int parse_l4(struct __sk_buff *skb, struct context *c)
{
	if (fragment_refused(c))
		return REASON_MALFORMED;
	if (c->fragment == FRAGMENT_LATER)
		return parse_later_fragment(c);
	if (c->protocol == IPPROTO_TCP)
		return parse_tcp(skb, c);
	if (c->protocol == icmp_protocol(c))
		return parse_icmp(skb, c);
	return has_ports(c->protocol) ? parse_ports(skb, c) : REASON_NONE;
}

/* A packet whose IP header is at c->l3. */
static __always_inline int parse(struct __sk_buff *skb, struct context *c)
{
	int reason = REASON_UNSUPPORTED_PROTOCOL;

	if (skb->protocol == bpf_htons(ETH_P_IP))
		reason = parse_ipv4(skb, c);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		reason = parse_ipv6(skb, c);
	return reason ? reason : parse_l4(skb, c);
}
