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

/* What a pod sends to its gateway is an answer to itself. */
static __noinline int from_gateway(struct __sk_buff *skb, struct context *c)
{
	struct rewrite r = {
		.from_addr = GATEWAY,
		.to_addr = addr_v4(&c->src),
		.from_port = c->dst_port,
		.to_port = c->dst_port,
		.addr_offset = offsetof(struct ipv4, dst),
		.port_offset = 2,
	};

	if (addr_v4(&c->dst) != GATEWAY)
		return REASON_NONE;
	if (c->related || !has_ports(c->protocol))
		return REASON_NO_ENDPOINT;
	c->dst = c->src;
	return rewrite_end(skb, c, &r);
}

/* The asking direction gets the gateway as its source. */
static __noinline int hide_own_address(struct __sk_buff *skb, struct context *c)
{
	struct rewrite r = {
		.from_addr = addr_v4(&c->src),
		.to_addr = GATEWAY,
		.from_port = c->src_port,
		.to_port = c->src_port,
		.addr_offset = offsetof(struct ipv4, src),
		.port_offset = 0,
	};

	if (!to_itself(c) || c->reply)
		return REASON_NONE;
	return rewrite_end(skb, c, &r);
}
