/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A pod that reaches itself through a Service. It would refuse packets from
 * its own address, so they come from its gateway's, and it answers there. */
#pragma once

#include "service.h"

/* 169.254.7.1, every pod's default gateway (package cni); nothing else has it. */
#define GATEWAY bpf_htonl(0xa9fe0701)

static __always_inline bool to_itself(struct context *c)
{
	return addr_equal(&c->src, &c->dst);
}

/* The address that stands for the pod itself: its gateway's; of IPv6 number 0
 * of the node's pod /64, which no one has either. */
static __always_inline void own_stand_in(struct context *c, struct addr *a)
{
	if (c->v6)
		addr_from_halves(a, own_prefix6, 0);
	else
		addr_from_v4(a, GATEWAY);
}

static __always_inline bool to_stand_in(struct context *c)
{
	const __u64 *halves = (const __u64 *)c->dst.bytes;

	return c->v6 ? !halves[1] && halves[0] == own_prefix6 : addr_v4(&c->dst) == GATEWAY;
}

/* What a pod sends to its stand-in is an answer to itself. */
static __noinline int answer_itself(struct __sk_buff *skb, struct context *c)
{
	struct rewrite r = {
		.from = c->dst,
		.to = c->src,
		.from_port = c->dst_port,
		.to_port = c->dst_port,
	};

	if (c->related || !has_ports(c->protocol))
		return REASON_NO_ENDPOINT;
	c->dst = c->src;
	return rewrite_end(skb, c, &r);
}

static __always_inline int from_gateway(struct __sk_buff *skb, struct context *c)
{
	return to_stand_in(c) ? answer_itself(skb, c) : REASON_NONE;
}

/* The asking direction gets the stand-in as its source. */
static __noinline int ask_itself(struct __sk_buff *skb, struct context *c)
{
	struct rewrite r = {
		.from = c->src,
		.from_port = c->src_port,
		.to_port = c->src_port,
		.source = true,
	};

	own_stand_in(c, &r.to);
	return rewrite_end(skb, c, &r);
}

static __always_inline int hide_own_address(struct __sk_buff *skb, struct context *c)
{
	return to_itself(c) && !c->reply ? ask_itself(skb, c) : REASON_NONE;
}
