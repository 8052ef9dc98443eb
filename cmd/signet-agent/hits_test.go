package main

import (
	"slices"
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/internal/api"
)

func TestHits(t *testing.T) {
	h := newHits()
	vip := policy.PolicyRef{Namespace: "concert", Name: "vip"}
	admits := api.PolicyPart{Namespace: "concert", Name: "vip", Direction: api.Egress, Rules: []int{0, 2}}
	h.count(&api.Flow{Policies: []api.PolicyPart{admits}})
	h.count(&api.Flow{Policies: []api.PolicyPart{admits, {Namespace: "concert", Name: "vip", Direction: api.Ingress}}})
	for index, want := range []uint64{2, 0, 2} {
		if got := h.of(policy.RuleRef{Policy: vip, Direction: policy.Egress, Index: index}); got != want {
			t.Errorf("rule %d: %d hits, want %d", index, got, want)
		}
	}
	if got := h.deniedBy(vip); got != 1 {
		t.Errorf("denied %d, want 1", got)
	}
	if gone := h.others([]policy.Policy{{Namespace: "concert", Name: "vip"}}); len(gone) != 0 {
		t.Errorf("gone: %v", gone)
	}
	gone := h.others(nil)
	if h.forget(gone); !slices.Equal(gone, []policy.PolicyRef{vip}) || h.deniedBy(vip) != 0 || len(h.others(nil)) != 0 {
		t.Errorf("gone: %v", gone)
	}
}
