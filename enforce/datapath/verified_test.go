package datapath

import (
	"testing"

	"github.com/cilium/ebpf"
)

// The verifier gives up at a million instructions. Old kernels need more than
// new ones to see the same, so a program keeps far from that on any.
func TestVerifierHasRoom(t *testing.T) {
	n := newEmptyNode(t)
	for name, program := range map[string]*ebpf.Program{
		"from_pod": n.objs.FromPod, "to_pod": n.objs.ToPod,
		"from_overlay": n.objs.FromOverlay, "to_overlay": n.objs.ToOverlay,
	} {
		info, err := program.Info()
		must(t, err)
		count, ok := info.VerifiedInstructions()
		t.Logf("%s: %d instructions verified", name, count)
		if !ok || count > 200000 {
			t.Errorf("%s: %d instructions verified (%v), want 200000 at most", name, count, ok)
		}
	}
}
