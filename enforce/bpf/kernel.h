/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's interface, as far as the programs use it. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* Lets filters that follow have their turn; clsact and tcx (6.6) agree on it. */
#define ACTION_NEXT TC_ACT_UNSPEC
#define ACTION_DROP TC_ACT_SHOT

#define NS_PER_SECOND 1000000000ULL
#define ETHERNET_LEN 14
