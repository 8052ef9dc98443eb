/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What stands behind the IP headers: ports, and how later fragments get them. */
#pragma once

#include "addr.h"
#include "headers.h"
#include "maps.h"

#define IP_MAX_LEN 0xffff

enum fragment_kind {
	FRAGMENT_NONE = 0,
	FRAGMENT_FIRST = 1,
	FRAGMENT_LATER = 2,
};

static __always_inline bool has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

/* Reads what the packet, and not just its frame, holds behind the IP header. */
#define load_l4(skb, c, offset, to)                                                                \
	((offset) + sizeof(*(to)) > (c)->payload_len || load(skb, (c)->l4 + (offset), to)          \
		 ? REASON_MALFORMED                                                                \
		 : REASON_NONE)

static __always_inline int parse_tcp(struct __sk_buff *skb, struct context *c)
{
	struct tcp_start tcp; /* a shorter first fragment hides the flags */

	if (load_l4(skb, c, 0, &tcp))
		return REASON_MALFORMED;
	c->src_port = tcp.src;
	c->dst_port = tcp.dst;
	c->tcp_flags = tcp.flags;
	c->opening = (c->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	c->has_ports = 1;
	return REASON_NONE;
}

static __always_inline void fragment_key(struct context *c, struct fragment_key *key)
{
	key->src = c->src;
	key->dst = c->dst;
	key->id = c->fragment_id;
	key->protocol = c->protocol;
}

static __noinline int parse_later_fragment(struct context *c)
{
	struct fragment_key key = {};
	struct fragment_ports *ports;

	fragment_key(c, &key);
	ports = bpf_map_lookup_elem(&fragments, &key);
	if (!ports)
		return REASON_FRAGMENT_WITHOUT_FIRST;
	c->src_port = ports->src;
	c->dst_port = ports->dst;
	c->has_ports = has_ports(c->protocol);
	return REASON_NONE;
}

static __noinline void remember_ports(struct context *c)
{
	struct fragment_key key = {};
	struct fragment_ports ports = { .src = c->src_port, .dst = c->dst_port };

	fragment_key(c, &key);
	bpf_map_update_elem(&fragments, &key, &ports, BPF_ANY);
}

/* Notes the ports of a first fragment, once its sender is known to be who it
 * claims to be. */
static __always_inline void remember_fragment(struct context *c)
{
	if (c->fragment == FRAGMENT_FIRST)
		remember_ports(c);
}

/* A piece that is not the last fills whole units of 8 bytes, and none ends
 * behind the largest packet (RFC 791 section 3.2, RFC 8200 section 4.5). */
static __always_inline bool fragment_refused(struct context *c)
{
	__u32 start = (c->fragment_field & IPV4_OFFSET_MASK) * 8;
	__u32 limit = c->v6 ? IP_MAX_LEN : IP_MAX_LEN - IPV4_HEADER_LEN;

	if (c->fragment_field & IPV4_MORE_FRAGMENTS && (!c->payload_len || c->payload_len & 7))
		return true;
	return start + c->payload_len > limit;
}

static __always_inline int parse_ports(struct __sk_buff *skb, struct context *c)
{
	struct {
		__be16 src, dst;
		__be16 tag[2]; /* SCTP's; UDP's length and checksum */
	} header;

	if (load_l4(skb, c, 0, &header))
		return REASON_MALFORMED;
	c->src_port = header.src;
	c->dst_port = header.dst;
	/* Only INIT has a verification tag of zero (RFC 9260 section 8.5.1). */
	c->opening = c->protocol == IPPROTO_SCTP && !header.tag[0] && !header.tag[1];
	c->has_ports = 1;
	return REASON_NONE;
}

/* Takes in a fragment's place, in the form of the IPv4 header's field. */
static __always_inline void set_fragment(struct context *c, __u32 field)
{
	c->fragment_field = field;
	if (field & IPV4_OFFSET_MASK)
		c->fragment = FRAGMENT_LATER;
	else if (field & IPV4_MORE_FRAGMENTS)
		c->fragment = FRAGMENT_FIRST;
}
