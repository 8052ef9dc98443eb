/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses of both families. */
#pragma once

#include "types.h"

/* Reads the packet at an offset into *to; 0, or an error if it is too short. */
#define load(skb, offset, to) bpf_skb_load_bytes(skb, offset, to, sizeof(*(to)))

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

/* An address as IPv6 packets have it, from its halves. */
static __always_inline void addr_from_halves(struct addr *a, __be64 high, __be64 low)
{
	__u64 *halves = (__u64 *)a->bytes;

	halves[0] = high;
	halves[1] = low;
}

/* RFC 4291 section 2.4. */
static __always_inline bool addr_is_multicast(const struct addr *a)
{
	return a->bytes[0] == 0xff;
}

static __always_inline bool addr_is_link_local(const struct addr *a)
{
	return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}
