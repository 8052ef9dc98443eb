/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The IPv6 header into the context, of a pod's packet and of a tunnel's. */
#pragma once

#include "l4.h"

/* What IPv6 pods and hosts may not put before what they carry. Options could
 * hide it, a routing header leads elsewhere (RFC 5095), the others change
 * whose packet it is. */
static __always_inline bool extension_refused(__u8 next_header)
{
	switch (next_header) {
	case HOP_BY_HOP_HEADER:
	case ROUTING_HEADER:
	case FRAGMENT_HEADER: /* in another one */
	case AUTHENTICATION_HEADER:
	case OPTIONS_HEADER:
	case MOBILITY_HEADER:
	case HIP_HEADER:
	case SHIM6_HEADER:
		return true;
	}
	return false;
}

/* All but the addresses. */
static __always_inline int parse_ipv6_header(struct __sk_buff *skb, struct context *c,
					     struct ipv6 *ip)
{
	if (load(skb, c->l3, ip))
		return REASON_MALFORMED;
	c->payload_len = bpf_ntohs(ip->payload_len);
	if (bpf_ntohl(ip->version_class) >> 28 != 6 ||
	    c->l3 + IPV6_HEADER_LEN + c->payload_len > skb->len)
		return REASON_MALFORMED;
	c->traffic_class = bpf_ntohl(ip->version_class) >> 20;
	c->ttl = ip->hop_limit;
	c->protocol = ip->next_header;
	c->l4 = c->l3 + IPV6_HEADER_LEN;
	c->length = c->payload_len + IPV6_HEADER_LEN;
	return REASON_NONE;
}

/* IPv6's Fragment header; one that stands for an IPv4 header's fields says no
 * more than these can. */
static __always_inline int parse_fragment_header(struct __sk_buff *skb, struct context *c)
{
	struct fragment_header header;
	__u16 offset_more;

	if (load_l4(skb, c, 0, &header))
		return REASON_MALFORMED;
	offset_more = bpf_ntohs(header.offset_more);
	if (header.reserved || offset_more & IPV6_RESERVED_FLAGS ||
	    header.next_header == FRAGMENT_HEADER)
		return REASON_MALFORMED;
	c->fragment_id = bpf_ntohl(header.id);
	c->protocol = header.next_header;
	c->l4 += FRAGMENT_HEADER_LEN;
	c->payload_len -= FRAGMENT_HEADER_LEN;
	set_fragment(c, offset_more >> 3 |
				(offset_more & IPV6_MORE_FRAGMENTS ? IPV4_MORE_FRAGMENTS : 0));
	if (!c->v6 && (!c->fragment || c->fragment_id > 0xffff))
		return REASON_MALFORMED;
	return REASON_NONE;
}

/* An IPv6 packet's only extension header is a Fragment header. */
static __always_inline int parse_extensions(struct __sk_buff *skb, struct context *c)
{
	int reason = REASON_NONE;

	if (c->protocol == FRAGMENT_HEADER)
		reason = parse_fragment_header(skb, c);
	if (!reason && extension_refused(c->protocol))
		return REASON_EXTENSION_HEADER;
	return reason;
}

/* Link-local and multicast packets, as neighbour discovery sends them. The
 * host itself may have a link-local address only. */
static __always_inline bool link_local(struct __sk_buff *skb, struct context *c)
{
	bool by_host = c->hook == HOOK_TO_POD && !skb->ingress_ifindex;

	return addr_is_multicast(&c->dst) || addr_is_link_local(&c->dst) ||
	       (addr_is_link_local(&c->src) && !by_host);
}

/* An IPv6 packet whose header is at c->l3. IPv4-mapped addresses, which stand
 * for IPv4's in the maps, have no place on a wire. */
static __noinline int parse_ipv6(struct __sk_buff *skb, struct context *c)
{
	struct ipv6 ip;
	int reason = parse_ipv6_header(skb, c, &ip);

	if (reason)
		return reason;
	c->v6 = 1;
	c->src = ip.src;
	c->dst = ip.dst;
	if (addr_is_v4(&c->src) || addr_is_v4(&c->dst))
		return REASON_MALFORMED;
	if (link_local(skb, c))
		return REASON_LINK_LOCAL;
	return parse_extensions(skb, c);
}
