/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where addresses live, and how those of IPv6 stand in the tunnel: the last 32
 * bits of a pod's, a small number for a node's own. */
#pragma once

#include "addr.h"
#include "maps.h"

static __noinline struct location *locate(const struct addr *a)
{
	struct prefix_key key = { .prefix_len = 128 };

	__builtin_memcpy(key.addr, a->bytes, 16);
	return bpf_map_lookup_elem(&locations, &key);
}

/* The number that stands for an IPv6 address under a /64, 0 if none does. */
static __noinline __u32 tunnel_number(const struct addr *a, __be64 prefix)
{
	const __u64 *halves = (const __u64 *)a->bytes;
	const __u32 *words = (const __u32 *)a->bytes;
	__u32 number = bpf_ntohl(words[3]);
	struct location *l;

	if (halves[0] == prefix && !words[2] && number > MAX_HOST_NUMBER)
		return number;
	l = locate(a);
	return l && l->prefix == prefix ? l->host : 0;
}

/* The address that a number stands for; false if for none. */
static __noinline bool numbered_addr(struct addr *a, __be64 prefix, __u32 number)
{
	struct host_key key = { .prefix = prefix, .number = number };
	struct addr *known;

	if (number > MAX_HOST_NUMBER) {
		addr_from_halves(a, prefix, bpf_cpu_to_be64(number));
		return true;
	}
	known = bpf_map_lookup_elem(&hosts, &key);
	if (!known)
		return false;
	*a = *known;
	return true;
}
