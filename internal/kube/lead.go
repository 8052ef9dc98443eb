package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// leaseNamespace is where the Leases are. leaseName names the one whose holder
// collects; the admission policy that guards deletions reads it
// (deploy/signet.yaml).
const (
	leaseNamespace = "kube-system"
	leaseName      = "signet-collector"
)

// Election tells what is held by who is elected, how soon another takes over
// from one that is gone, and how much the API server is asked meanwhile: every
// candidate asks once per Retry.
type Election struct {
	Name                string // of the Lease
	Lease, Renew, Retry time.Duration
}

var (
	// CollectElection suits thousands of nodes: what the leader does can wait.
	CollectElection = Election{Name: leaseName, Lease: 5 * time.Minute, Renew: 4 * time.Minute, Retry: time.Minute}
	// VerifyElection suits a few candidates for whose leader pods wait.
	VerifyElection = Election{Name: "signet-verifier", Lease: 15 * time.Second, Renew: 10 * time.Second, Retry: 2 * time.Second}
)

// Lead takes part in an election until ctx ends. lead runs while this process
// is elected; its context ends with that. It has
// ended when Lead returns, and before it is called again.
func (c *Client) Lead(ctx context.Context, election Election, lead func(context.Context)) error {
	var term sync.Mutex // held while lead runs
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: election.Name,
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: leaseNamespace, Name: election.Name},
			Client:     c.core.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: c.node},
		},
		LeaseDuration: election.Lease, RenewDeadline: election.Renew, RetryPeriod: election.Retry,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				term.Lock() // the elector does not wait for this function
				defer term.Unlock()
				if ctx.Err() == nil {
					c.log.Info("elected", "lease", election.Name)
					lead(ctx)
				}
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("kube: election: %w", err)
	}
	for ctx.Err() == nil {
		elector.Run(ctx)
		waitFor(&term)
	}
	return nil
}

// waitFor returns once nobody holds the mutex.
func waitFor(m *sync.Mutex) {
	m.Lock()
	defer m.Unlock()
}
