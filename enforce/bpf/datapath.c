/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The four hooks in one object, over one set of maps. */
#include "from_overlay.h"
#include "from_pod.h"
#include "to_overlay.h"
#include "to_pod.h"

/* Types that no map has reach BTF, and so Go, by these. */
#define EXPORT(kind, type) const kind type *export_##type __attribute__((unused))
EXPORT(enum, endpoint_flags);
EXPORT(enum, endpoint_limits);
EXPORT(enum, side_flags);
EXPORT(enum, location_kind);
EXPORT(enum, wire_limits);
EXPORT(enum, flow_flags);
EXPORT(enum, flow_path);
EXPORT(enum, idle_seconds);
EXPORT(enum, mark);
EXPORT(enum, hook);
EXPORT(enum, verdict);
EXPORT(enum, reason);
EXPORT(enum, attestation);
EXPORT(struct, event);

char _license[] SEC("license") = "Dual BSD/GPL";
