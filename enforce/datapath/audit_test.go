package datapath

import (
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
)

func audit(t *policy.Table, ids ...identity.ID) *policy.Table {
	for _, id := range ids {
		entry := t.Identities[id]
		entry.Audit = true
		t.Identities[id] = entry
	}
	return t
}

// What policies of a side in audit mode deny is admitted and told, replies and
// re-judged packets included; what is not policy's business is not.
func TestAudit(t *testing.T) {
	shutB := func() *policy.Table { return ingress(openTable(), idB) }
	toB, back := tcp(addrA+":4000", addrB+":80", "S"), tcp(addrB+":80", addrA+":4000", "SA")
	more := tcp(addrA+":4000", addrB+":80", "A")
	tell(t, []story{
		{"enforced", []step{{loads(shutB()), ""}, {pod(podA(), toB), "policy-ingress"}}},
		{"audited by the receiver", []step{
			{loads(audit(shutB(), idB)), ""},
			{ignoreEvents, ""},
			{pod(podA(), toB), "pod"},
			{told(Audited, PolicyIngress), ""},
			{pod(podB(), back), "pod"},
			{pod(podA(), more), "pod"},
			{verdicts(0), ""},
		}},
		{"audited by the sender alone", []step{{loads(audit(shutB(), idA)), ""}, {pod(podA(), toB), "policy-ingress"}}},
		{"the sender's egress, audited", []step{
			{loads(audit(egress(openTable(), idA), idA)), ""},
			{ignoreEvents, ""},
			{pod(podA(), toB), "pod"},
			{told(Audited, PolicyEgress), ""},
		}},
		{"the sender's egress is audited, the receiver's ingress is not", []step{
			{loads(audit(ingress(egress(openTable(), idA), idB), idA)), ""}, {pod(podA(), toB), "policy-ingress"},
		}},
		{"a live flow meets a policy in audit mode, then one that is enforced", []step{
			{pod(podA(), toB), "pod"},
			{loads(audit(shutB(), idB)), ""},
			{ignoreEvents, ""},
			{pod(podA(), more), "pod"},
			{told(Audited, PolicyIngress), ""},
			{loads(shutB()), ""},
			{pod(podA(), more), "policy-ingress"},
		}},
		{"an answer meets a policy in audit mode first", []step{
			{pod(podA(), toB), "pod"},
			{pod(podB(), back), "pod"},
			{loads(audit(shutB(), idB)), ""},
			{ignoreEvents, ""},
			{pod(podB(), back), "pod"},
			{told(Audited, PolicyIngress), ""},
			{pod(podB(), back), "pod"},
			{verdicts(0), ""},
		}},
		{"an identity that is not known", []step{
			{loads(audit(openTable(), idA, idB)), ""}, {far(identity.ID(4242), tcp(addrFar+":1", addrA+":2", "S")), "unknown-identity"},
		}},
	})
}

// told fails the test unless the ring holds just one verdict, this one.
func told(verdict Verdict, reason Reason) action {
	return func(n *node) string {
		n.t.Helper()
		list := n.events()
		if len(list) != 1 || list[0].Verdict != verdict || list[0].Reason != reason {
			n.t.Errorf("told %+v, want %s, %s", list, verdict, reason)
		}
		return ""
	}
}
