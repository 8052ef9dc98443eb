package datapath

import (
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
)

// A flow that is judged again is told once, whichever end's packet is the next.
func TestRejudgementIsTold(t *testing.T) {
	for name, next := range map[string]action{
		"the opener's packet": far(idFar, farAck), "the answer": pod(podA(), ownAck),
	} {
		n := newNode(t)
		n.play(t, []step{{far(idFar, farSyn), "pod"}, {pod(podA(), ownSynAck), "tunnel-reply"}})
		if list := n.events(); len(list) != 1 || list[0].Again {
			t.Errorf("%s: at first %+v", name, list)
		}
		for _, c := range []struct {
			table   *policy.Table
			verdict Verdict
		}{
			{ingress(openTable(), idOther), Admitted},
			{audit(ingress(openTable(), idA), idA), Audited},
			{ingress(openTable(), idA), Dropped},
		} {
			n.setPolicy(c.table)
			next(n)
			list := n.events()
			if len(list) != 1 || list[0].Verdict != c.verdict || !list[0].Again {
				t.Errorf("%s: told %+v, want %s again", name, list, c.verdict)
			}
			next(n)
			if list = n.events(); c.verdict != Dropped && len(list) != 0 {
				t.Errorf("%s: told twice", name)
			}
		}
	}
}
