package policytest

import (
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/policy/oracle"
)

// What an explanation names is what decided: rules if and only if rows
// admitted, policies if and only if the subject is isolated.
func TestWhyAgreesWithTable(t *testing.T) {
	named := 0
	for seed := range uint64(clusters / 4) {
		g := oracle.NewGenerator(seed)
		c := g.Cluster()
		for _, w := range []World{Translate(c), TranslateStale(c)} {
			result := w.Compile()
			for range packets / 4 {
				q := w.Query(g.Packet(c))
				table, whys := result.Table.Outcomes(q), result.Explain.Why(q)
				for direction, why := range whys {
					if why.Outcome != table[direction] {
						t.Fatalf("seed %d: the table says %d, the explanation %d: %+v", seed, table[direction], why.Outcome, q)
					}
				}
				verdict := result.Table.Admits(q)
				named += checkWhy(t, seed, q, verdict.Ingress, whys[policy.Ingress])
				checkWhy(t, seed, q, verdict.Egress, whys[policy.Egress])
			}
		}
	}
	if named == 0 {
		t.Error("no packet was admitted by a rule: nothing was tested")
	}
}

func checkWhy(t *testing.T, seed uint64, q policy.Query, table policy.Outcome, why policy.Why) int {
	t.Helper()
	byRow := table == policy.AdmittedClass || table == policy.AdmittedBlock
	if byRow != (len(why.Admitting) > 0) {
		t.Fatalf("seed %d: the table says %d, the rules named are %v: %+v", seed, table, why.Admitting, q)
	}
	if (byRow || table == policy.DeniedByPolicy) != (len(why.Isolating) > 0) && table != policy.DeniedUnknown {
		t.Fatalf("seed %d: the table says %d, the policies named are %v: %+v", seed, table, why.Isolating, q)
	}
	return len(why.Admitting)
}

// The kernel's own exceptions are told as such.
func TestWhyTellsExceptions(t *testing.T) {
	for seed := range uint64(200) {
		g := oracle.NewGenerator(seed)
		c := g.Cluster()
		w := Translate(c)
		result := w.Compile()
		q := w.Query(g.Packet(c))
		verdict := result.Table.Admits(q)
		if verdict.Egress == policy.DeniedUnknown {
			continue
		}
		q.DstAddr = q.SrcAddr
		if why := result.Explain.Why(q); why[policy.Egress].Outcome != policy.AdmittedSelf {
			t.Fatalf("seed %d: to itself: %+v", seed, why)
		}
	}
}
