/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The IPv4 header into the context. */
#pragma once

#include "l4.h"

#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_LOOSE_ROUTE 131
#define OPTION_STRICT_ROUTE 137

/* A source route that has hops left would take the packet past the verdict
 * (RFC 791 section 3.1; RFC 7915 section 4.1 refuses it too). */
static __noinline int source_route(struct __sk_buff *skb, __u32 offset, __u32 end)
{
	for (int i = 0; i < 40; i++) {
		__u8 option[3] = {};

		if (offset >= end || bpf_skb_load_bytes(skb, offset, option, 1) ||
		    option[0] == OPTION_END)
			return REASON_NONE;
		if (option[0] == OPTION_NOP) {
			offset++;
			continue;
		}
		if (offset + 2 > end || bpf_skb_load_bytes(skb, offset, option, 2) ||
		    option[1] < 2 || offset + option[1] > end)
			return REASON_MALFORMED;
		if (option[0] == OPTION_LOOSE_ROUTE || option[0] == OPTION_STRICT_ROUTE) {
			if (option[1] < 3 || bpf_skb_load_bytes(skb, offset, option, 3))
				return REASON_MALFORMED;
			if (option[2] <= option[1])
				return REASON_SOURCE_ROUTE;
		}
		offset += option[1];
	}
	return REASON_NONE;
}

/* Protocol numbers that IPv6 reads as extension headers could not cross the
 * tunnel unambiguously (RFC 8200 section 4). */
static __always_inline bool protocol_refused(__u8 protocol)
{
	return protocol == HOP_BY_HOP_HEADER || protocol == ROUTING_HEADER ||
	       protocol == FRAGMENT_HEADER || protocol == OPTIONS_HEADER;
}

/* An IPv4 packet whose header is at c->l3. */
static __always_inline int parse_ipv4(struct __sk_buff *skb, struct context *c)
{
	struct ipv4 ip;
	__u32 header_len, total_len;

	if (load(skb, c->l3, &ip))
		return REASON_MALFORMED;
	header_len = (ip.version_words & 0xf) * 4;
	total_len = bpf_ntohs(ip.total_len);
	if (ip.version_words >> 4 != 4 || header_len < IPV4_HEADER_LEN || total_len < header_len ||
	    c->l3 + total_len > skb->len || bpf_ntohs(ip.fragment) & IPV4_RESERVED_FLAG)
		return REASON_MALFORMED;
	if (protocol_refused(ip.protocol))
		return REASON_UNSUPPORTED_PROTOCOL;
	if (header_len > IPV4_HEADER_LEN) {
		int reason = source_route(skb, c->l3 + IPV4_HEADER_LEN, c->l3 + header_len);

		if (reason)
			return reason;
	}
	addr_from_v4(&c->src, ip.src);
	addr_from_v4(&c->dst, ip.dst);
	c->protocol = ip.protocol;
	c->traffic_class = ip.tos;
	c->ttl = ip.ttl;
	c->header_words = ip.version_words & 0xf;
	c->fragment_id = bpf_ntohs(ip.id);
	c->payload_len = total_len - header_len;
	c->l4 = c->l3 + header_len;
	c->length = c->payload_len + IPV4_HEADER_LEN;
	c->dont_fragment = !!(bpf_ntohs(ip.fragment) & IPV4_DONT_FRAGMENT);
	set_fragment(c, bpf_ntohs(ip.fragment));
	return REASON_NONE;
}
