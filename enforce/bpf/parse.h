/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Headers into the context. Whatever cannot be read in full is refused. */
#pragma once

#include "maps.h"

#define IPV4_RESERVED_FLAG 0x8000
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_OFFSET_MASK 0x1fff
#define IPV4_HEADER_LEN 20
#define IPV4_MAX_PAYLOAD (0xffff - IPV4_HEADER_LEN)

#define ICMP_HEADER_LEN 8
#define ICMP_ECHO_REPLY 0
#define ICMP_UNREACHABLE 3
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMP_REDIRECT 5
#define ICMP_SOURCE_QUENCH 4

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_LOOSE_ROUTE 131
#define OPTION_STRICT_ROUTE 137

enum fragment_kind {
	FRAGMENT_NONE = 0,
	FRAGMENT_FIRST = 1,
	FRAGMENT_LATER = 2,
};

/* RFC 791 section 3.1. */
struct ipv4 {
	__u8 version_words;
	__u8 tos;
	__be16 total_len;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__u16 checksum;
	__be32 src;
	__be32 dst;
};

static __always_inline void addr_from_v4(struct addr *a, __be32 v4)
{
	__u32 *words = (__u32 *)a->bytes;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = v4;
}

static __always_inline __be32 addr_v4(const struct addr *a)
{
	return ((const __u32 *)a->bytes)[3];
}

static __always_inline bool addr_is_v4(const struct addr *a)
{
	const __u32 *words = (const __u32 *)a->bytes;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

static __always_inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	const __u64 *x = (const __u64 *)a->bytes, *y = (const __u64 *)b->bytes;

	return x[0] == y[0] && x[1] == y[1];
}

/* Any total order does, so words are compared as they lie in memory. */
static __always_inline int addr_compare(const struct addr *a, const struct addr *b)
{
	const __u64 *x = (const __u64 *)a->bytes, *y = (const __u64 *)b->bytes;

	if (x[0] != y[0])
		return x[0] < y[0] ? -1 : 1;
	if (x[1] != y[1])
		return x[1] < y[1] ? -1 : 1;
	return 0;
}

static __always_inline struct context *context_new(__u8 hook)
{
	__u32 zero = 0;
	struct context *c = bpf_map_lookup_elem(&scratch, &zero);
	struct state *state = bpf_map_lookup_elem(&policy_state, &zero);

	if (!c || !state)
		return NULL;
	__builtin_memset(c, 0, offsetof(struct context, flow));
	c->hook = hook;
	c->revision = *(volatile __u32 *)&state->revision;
	return c;
}

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
	return protocol == 0 || protocol == 43 || protocol == 44 || protocol == 60;
}

static __always_inline bool has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static __always_inline bool icmp_error(__u8 type)
{
	return type == ICMP_UNREACHABLE || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}

/* Ports of an echo: the identifier at the asking end, 8 at the other. */
static __always_inline void echo_ports(struct context *c, __u8 type, __be16 id)
{
	c->src_port = type == ICMP_ECHO ? id : bpf_htons(ICMP_ECHO);
	c->dst_port = type == ICMP_ECHO ? bpf_htons(ICMP_ECHO) : id;
}

/* Reads what the packet, and not just its frame, holds behind the IP header. */
static __always_inline int load_l4(struct __sk_buff *skb, struct context *c, __u32 offset, void *to,
				   __u32 len)
{
	if (offset + len > c->payload_len || bpf_skb_load_bytes(skb, c->l4 + offset, to, len))
		return REASON_MALFORMED;
	return REASON_NONE;
}

/* The header that an ICMP error quotes (RFC 792): its flow is the error's. */
static __noinline int parse_quoted(struct __sk_buff *skb, struct context *c)
{
	struct ipv4 ip;
	__be16 ports[4] = {};
	__u32 words;

	if (load_l4(skb, c, ICMP_HEADER_LEN, &ip, sizeof(ip)))
		return REASON_MALFORMED;
	words = ip.version_words & 0xf;
	if (ip.version_words >> 4 != 4 || words < 5)
		return REASON_MALFORMED;
	if (bpf_ntohs(ip.fragment) & IPV4_OFFSET_MASK)
		return REASON_ICMP_UNRELATED;
	if (load_l4(skb, c, ICMP_HEADER_LEN + words * 4, ports, sizeof(ports)))
		return REASON_MALFORMED;
	addr_from_v4(&c->quoted_src, ip.src);
	addr_from_v4(&c->quoted_dst, ip.dst);
	c->quoted_protocol = ip.protocol;
	c->quoted_words = words;
	if (has_ports(ip.protocol)) {
		c->src_port = ports[0];
		c->dst_port = ports[1];
	} else if (ip.protocol == IPPROTO_ICMP) {
		echo_ports(c, *(__u8 *)ports, ports[2]);
	}
	c->related = 1;
	return addr_equal(&c->quoted_src, &c->dst) ? REASON_NONE : REASON_ICMP_UNRELATED;
}

static __noinline int parse_icmp(struct __sk_buff *skb, struct context *c)
{
	struct {
		__u8 type, code;
		__be16 checksum, id, sequence;
	} icmp;

	if (load_l4(skb, c, 0, &icmp, sizeof(icmp)))
		return REASON_MALFORMED;
	if (icmp.type == ICMP_REDIRECT)
		return REASON_ICMP_UNRELATED;
	if (icmp_error(icmp.type))
		return parse_quoted(skb, c);
	if (icmp.type == ICMP_ECHO || icmp.type == ICMP_ECHO_REPLY)
		echo_ports(c, icmp.type, icmp.id);
	return REASON_NONE;
}

static __always_inline int parse_tcp(struct __sk_buff *skb, struct context *c)
{
	__u8 header[14]; /* up to the flags: a shorter first fragment hides them */

	if (load_l4(skb, c, 0, header, sizeof(header)))
		return REASON_MALFORMED;
	c->src_port = *(__be16 *)&header[0];
	c->dst_port = *(__be16 *)&header[2];
	c->tcp_flags = header[13];
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

/* Notes the ports of a first fragment, once its sender is known to be who it
 * claims to be. */
static __noinline void remember_fragment(struct context *c)
{
	struct fragment_key key = {};
	struct fragment_ports ports = { .src = c->src_port, .dst = c->dst_port };

	if (c->fragment != FRAGMENT_FIRST)
		return;
	fragment_key(c, &key);
	bpf_map_update_elem(&fragments, &key, &ports, BPF_ANY);
}

/* A piece that is not the last fills whole units of 8 bytes, and none ends
 * behind the largest packet (RFC 791 section 3.2). */
static __always_inline bool fragment_refused(struct context *c)
{
	__u32 start = (c->fragment_field & IPV4_OFFSET_MASK) * 8;

	if (c->fragment_field & IPV4_MORE_FRAGMENTS && (!c->payload_len || c->payload_len & 7))
		return true;
	return start + c->payload_len > IPV4_MAX_PAYLOAD;
}

static __always_inline int parse_ports(struct __sk_buff *skb, struct context *c)
{
	__be16 header[4]; /* all of UDP's, and what SCTP's first piece must hold */

	if (load_l4(skb, c, 0, header, sizeof(header)))
		return REASON_MALFORMED;
	c->src_port = header[0];
	c->dst_port = header[1];
	/* Only INIT has a verification tag of zero (RFC 9260 section 8.5.1). */
	c->opening = c->protocol == IPPROTO_SCTP && !header[2] && !header[3];
	c->has_ports = 1;
	return REASON_NONE;
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
	if (c->protocol == IPPROTO_ICMP)
		return parse_icmp(skb, c);
	return has_ports(c->protocol) ? parse_ports(skb, c) : REASON_NONE;
}

static __always_inline void parse_fragment_field(struct context *c, __u32 field)
{
	c->fragment_field = field;
	c->dont_fragment = !!(field & IPV4_DONT_FRAGMENT);
	if (field & IPV4_OFFSET_MASK)
		c->fragment = FRAGMENT_LATER;
	else if (field & IPV4_MORE_FRAGMENTS)
		c->fragment = FRAGMENT_FIRST;
}

/* An IPv4 packet whose header is at c->l3. */
static __noinline int parse_ipv4(struct __sk_buff *skb, struct context *c)
{
	struct ipv4 ip;
	__u32 header_len, total_len;

	c->segments = skb->gso_segs ? skb->gso_segs : 1;
	if (bpf_skb_load_bytes(skb, c->l3, &ip, sizeof(ip)))
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
	parse_fragment_field(c, bpf_ntohs(ip.fragment));
	return parse_l4(skb, c);
}
