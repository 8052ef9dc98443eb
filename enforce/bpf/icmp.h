/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP and ICMPv6: echoes are flows, errors belong to the flow that they
 * quote, and what is about the link is no pod's business. */
#pragma once

#include "l4.h"

enum icmp_kind {
	ICMP_KIND_OTHER,
	ICMP_KIND_ASK, /* echo */
	ICMP_KIND_ANSWER,
	ICMP_KIND_ERROR,
	ICMP_KIND_REDIRECT,
	ICMP_KIND_LINK,
};

static __always_inline __u8 icmp_protocol(struct context *c)
{
	return c->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

static __always_inline enum icmp_kind icmp_kind(__u8 type)
{
	switch (type) {
	case ICMP_ECHO:
		return ICMP_KIND_ASK;
	case ICMP_ECHO_REPLY:
		return ICMP_KIND_ANSWER;
	case ICMP_REDIRECT:
		return ICMP_KIND_REDIRECT;
	case ICMP_UNREACHABLE:
	case ICMP_SOURCE_QUENCH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER_PROBLEM:
		return ICMP_KIND_ERROR;
	}
	return ICMP_KIND_OTHER;
}

/* Errors are those of RFC 4443. Multicast listeners (130 to 132, 143, 151 to
 * 153), neighbours, routers and redirects (133 to 137, 141, 142, 148, 149)
 * never leave their link. */
static __always_inline enum icmp_kind icmpv6_kind(__u8 type)
{
	if (type == ICMPV6_ECHO)
		return ICMP_KIND_ASK;
	if (type == ICMPV6_ECHO_REPLY)
		return ICMP_KIND_ANSWER;
	if (type >= ICMPV6_UNREACHABLE && type <= ICMPV6_PARAMETER_PROBLEM)
		return ICMP_KIND_ERROR;
	if ((type >= 130 && type <= 137) || (type >= 141 && type <= 143) || type == 148 ||
	    type == 149 || (type >= 151 && type <= 153))
		return ICMP_KIND_LINK;
	return ICMP_KIND_OTHER;
}

/* Ports of an echo: the identifier at the asking end, at the other the type
 * of what is asked. */
static __always_inline void echo_ports(struct context *c, __u8 type, __be16 id)
{
	__be16 echo = bpf_htons(c->v6 ? ICMPV6_ECHO : ICMP_ECHO);
	bool asks = bpf_htons(type) == echo;

	c->src_port = asks ? id : echo;
	c->dst_port = asks ? echo : id;
}

static __always_inline int parse_quoted_ipv4(struct __sk_buff *skb, struct context *c)
{
	struct ipv4 ip;

	if (load_l4(skb, c, ICMP_HEADER_LEN, &ip))
		return REASON_MALFORMED;
	c->quoted_words = ip.version_words & 0xf;
	if (ip.version_words >> 4 != 4 || c->quoted_words < 5)
		return REASON_MALFORMED;
	addr_from_v4(&c->quoted_src, ip.src);
	addr_from_v4(&c->quoted_dst, ip.dst);
	c->quoted_protocol = ip.protocol;
	return bpf_ntohs(ip.fragment) & IPV4_OFFSET_MASK ? REASON_ICMP_UNRELATED : REASON_NONE;
}

static __always_inline int parse_quoted_ipv6(struct __sk_buff *skb, struct context *c)
{
	struct fragment_header fragment;
	struct ipv6 ip;

	if (load_l4(skb, c, ICMP_HEADER_LEN, &ip) || bpf_ntohl(ip.version_class) >> 28 != 6)
		return REASON_MALFORMED;
	c->quoted_words = IPV6_HEADER_LEN / 4;
	c->quoted_src = ip.src;
	c->quoted_dst = ip.dst;
	c->quoted_protocol = ip.next_header;
	if (ip.next_header != FRAGMENT_HEADER)
		return REASON_NONE;
	if (load_l4(skb, c, ICMP_HEADER_LEN + sizeof(ip), &fragment))
		return REASON_MALFORMED;
	c->quoted_words += FRAGMENT_HEADER_LEN / 4;
	c->quoted_protocol = fragment.next_header;
	return bpf_ntohs(fragment.offset_more) >> 3 ? REASON_ICMP_UNRELATED : REASON_NONE;
}

/* The header that an ICMP error quotes (RFC 792, RFC 4443): its flow is the
 * error's. */
static __noinline int parse_quoted(struct __sk_buff *skb, struct context *c)
{
	union {
		struct icmp icmp;
		__be16 ports[2];
	} quoted;
	int reason = c->v6 ? parse_quoted_ipv6(skb, c) : parse_quoted_ipv4(skb, c);

	if (reason)
		return reason;
	if (load_l4(skb, c, ICMP_HEADER_LEN + c->quoted_words * 4, &quoted))
		return REASON_MALFORMED;
	if (has_ports(c->quoted_protocol)) {
		c->src_port = quoted.ports[0];
		c->dst_port = quoted.ports[1];
	} else if (c->quoted_protocol == icmp_protocol(c)) {
		echo_ports(c, quoted.icmp.type, quoted.icmp.id);
	}
	c->related = 1;
	return addr_equal(&c->quoted_src, &c->dst) ? REASON_NONE : REASON_ICMP_UNRELATED;
}

static __noinline int parse_icmp(struct __sk_buff *skb, struct context *c)
{
	struct icmp icmp;

	if (load_l4(skb, c, 0, &icmp))
		return REASON_MALFORMED;
	switch (c->v6 ? icmpv6_kind(icmp.type) : icmp_kind(icmp.type)) {
	case ICMP_KIND_LINK:
		return REASON_LINK_LOCAL;
	case ICMP_KIND_REDIRECT:
		return REASON_ICMP_UNRELATED;
	case ICMP_KIND_ERROR:
		return parse_quoted(skb, c);
	case ICMP_KIND_ASK:
	case ICMP_KIND_ANSWER:
		echo_ports(c, icmp.type, icmp.id);
		break;
	case ICMP_KIND_OTHER:
		break;
	}
	return REASON_NONE;
}
