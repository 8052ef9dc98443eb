package main

import (
	"fmt"
	"sync"
	"testing"

	"github.com/signet-cni/signet/enforce/datapath"
)

// Verdicts are explained while identities are added to the policy in force.
func TestExplainWhileIdentitiesCome(t *testing.T) {
	c := newFakeCluster()
	c.addPod("a", "web")
	r, _ := newTestRules(t, c)
	syncRules(t, r)
	stop := make(chan struct{})
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r.history.parts(event(roleID("web"), roleID("web"), datapath.Admitted, 0), noNames)
				r.history.all()[0].Summaries()
			}
		})
	}
	for n := range 300 {
		role := fmt.Sprint("role-", n)
		c.published[roleID(role)] = roleSet(role)
		syncRules(t, r)
	}
	close(stop)
	reading.Wait()
}
