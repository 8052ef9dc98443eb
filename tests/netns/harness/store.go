package harness

import (
	"context"
	"fmt"
	"sync"

	"github.com/signet-cni/signet/identity"
)

// store stands for the cluster's Identity objects.
type store struct {
	mu   sync.Mutex
	sets map[identity.ID]identity.Set
}

func newStore() *store { return &store{sets: map[identity.ID]identity.Set{}} }

// Create implements identity.Store.
func (s *store) Create(_ context.Context, id identity.ID, set identity.Set) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.sets[id]; taken {
		return fmt.Errorf("identity %s: %w", id, identity.ErrExists)
	}
	s.sets[id] = set
	return nil
}

// Get implements identity.Store.
func (s *store) Get(_ context.Context, id identity.ID) (identity.Set, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set, ok := s.sets[id]
	return set, ok, nil
}
