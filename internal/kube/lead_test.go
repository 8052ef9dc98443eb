package kube

import (
	"context"
	"testing"
	"time"
)

var hasty = Election{Name: leaseName, Lease: 2 * time.Second, Renew: time.Second, Retry: 20 * time.Millisecond}

func wasAsked(fake *fakeAPI, verb, resource string) bool {
	for _, asked := range fake.seen() {
		if asked.verb == verb && asked.resource == resource {
			return true
		}
	}
	return false
}

// lead takes part in elections until enough holds.
func lead(t *testing.T, fake *fakeAPI, election Election, enough func() bool) (terms int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	client := fake.client(t)
	go func() {
		done <- client.Lead(ctx, election, func(ctx context.Context) {
			terms++
			<-ctx.Done()
		})
	}()
	eventually(t, "the election", enough)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return terms
}

func TestLead(t *testing.T) {
	fake := newFakeAPI(t, nil)
	if terms := lead(t, fake, hasty, func() bool { return wasAsked(fake, "update", "leases") }); terms != 1 {
		t.Errorf("elected %d times", terms)
	}
	for _, asked := range fake.seen() {
		if asked.resource != "leases" || asked.namespace != leaseNamespace || asked.verb != "create" && asked.name != leaseName {
			t.Errorf("asked %+v", asked)
		}
	}
}

// A node that cannot have the Lease does not lead, and tries again.
func TestLeadWaits(t *testing.T) {
	fake := newFakeAPI(t, nil)
	fake.answer("create leases", 403)
	tries := func() bool {
		count := 0
		for _, asked := range fake.seen() {
			if asked.verb == "create" {
				count++
			}
		}
		return count > 2
	}
	if terms := lead(t, fake, hasty, tries); terms != 0 {
		t.Errorf("led %d times", terms)
	}
	fake.answer("create leases", 0)
	if terms := lead(t, fake, hasty, func() bool { return wasAsked(fake, "update", "leases") }); terms != 1 {
		t.Errorf("led %d times", terms)
	}
}

func TestElectionIsChecked(t *testing.T) {
	err := newFakeAPI(t, nil).client(t).Lead(t.Context(), Election{}, func(context.Context) {})
	if err == nil {
		t.Error("an election without times began")
	}
}
