/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Headers as they lie in the packet, and their numbers. */
#pragma once

#include "types.h"

#define IPV4_RESERVED_FLAG 0x8000
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_OFFSET_MASK 0x1fff
#define IPV4_HEADER_LEN 20

#define IPV6_HEADER_LEN 40
#define IPV6_MORE_FRAGMENTS 1
#define IPV6_RESERVED_FLAGS 6
#define FRAGMENT_HEADER_LEN 8

/* Extension headers of IPv6 (IANA), less ESP, behind which nothing is seen. */
#define HOP_BY_HOP_HEADER 0
#define ROUTING_HEADER 43
#define FRAGMENT_HEADER 44
#define AUTHENTICATION_HEADER 51
#define OPTIONS_HEADER 60
#define MOBILITY_HEADER 135
#define HIP_HEADER 139
#define SHIM6_HEADER 140

#define ICMP_HEADER_LEN 8
#define ICMP_ECHO_REPLY 0
#define ICMP_UNREACHABLE 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_REDIRECT 5
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12

#define IPPROTO_ICMPV6 58
#define ICMPV6_UNREACHABLE 1
#define ICMPV6_PARAMETER_PROBLEM 4
#define ICMPV6_ECHO 128
#define ICMPV6_ECHO_REPLY 129

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct mac {
	__u16 words[ETH_ALEN / 2];
};

/* An Ethernet header behind the destination. */
struct sender {
	struct mac mac;
	__be16 protocol;
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

struct tagged_source {
	__be64 prefix;
	__be32 identity;
	__be32 host;
};

struct tagged_destination {
	__be64 prefix;
	__u16 adjust;
	__be16 aux;
	__be32 host;
};

/* RFC 8200 section 3. */
struct ipv6 {
	__be32 version_class; /* version 4, traffic class 8, flow label 20 */
	__be16 payload_len;
	__u8 next_header;
	__u8 hop_limit;
	union {
		struct addr src;
		struct tagged_source from; /* in the tunnel */
	};
	union {
		struct addr dst;
		struct tagged_destination to;
	};
};

/* RFC 8200 section 4.5. */
struct fragment_header {
	__u8 next_header;
	__u8 reserved;
	__be16 offset_more;
	__be32 id;
};

/* Of TCP's header, up to the flags (RFC 9293 section 3.1). */
struct tcp_start {
	__be16 src, dst;
	__be16 numbers[4]; /* sequence, acknowledgement */
	__u8 words, flags;
};

struct icmp {
	__u8 type, code;
	__be16 checksum, id, sequence;
};

_Static_assert(sizeof(struct ipv4) == IPV4_HEADER_LEN, "ipv4");
_Static_assert(sizeof(struct ipv6) == IPV6_HEADER_LEN, "ipv6");
_Static_assert(sizeof(struct fragment_header) == FRAGMENT_HEADER_LEN, "fragment_header");
_Static_assert(sizeof(struct tcp_start) == 14, "tcp_start");
_Static_assert(sizeof(struct icmp) == ICMP_HEADER_LEN, "icmp");
