package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signet-cni/signet/identity"
)

const (
	// verifyTime is how long the start of a pod waits for the verifier, where
	// other nodes would drop what the pod sends.
	verifyTime = 5 * time.Second
	// verifyPoll is how often it looks.
	verifyPoll = 5 * time.Millisecond
)

// errUnverified is why a pod does not start.
var errUnverified = errors.New("signet-verifier, if it runs, has not found it with this node's pods (it never finds static ones)")

// vouch has the members' identities published. Those that may take theirs are
// vouched; the others keep what they have, and waiting is for what.
func (r *rules) vouch(ctx context.Context, members []member) (vouched []member, waiting []identity.ID, err error) {
	ids := make([]identity.ID, 0, len(members))
	for _, m := range members {
		ids = append(ids, m.id)
	}
	waiting, err = r.attest(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	vouched = slices.DeleteFunc(members, func(m member) bool { return slices.Contains(waiting, m.id) })
	return vouched, waiting, nil
}

// awaitVouched returns once a new endpoint may take its identity.
func (r *rules) awaitVouched(ctx context.Context, m member) error {
	for deadline := time.Now().Add(verifyTime); ; {
		_, waiting, err := r.vouch(ctx, []member{m})
		if err != nil || len(waiting) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("identity %s: %w", m.id, errUnverified)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("identity %s: %w", m.id, ctx.Err())
		case <-time.After(verifyPoll):
		}
	}
}

// unverified says for what endpoints of this node wait; "" if for nothing.
func (r *rules) unverified() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		return ""
	}
	return fmt.Sprintf("pods keep their old identity: %s: %v", r.waiting[0], errUnverified)
}
