package kube

import (
	"sync"

	"github.com/signet-cni/signet/identity"
)

// newcomers are identities that came since somebody looked.
type newcomers struct {
	mu   sync.Mutex
	sets map[identity.ID]identity.Set
}

// note takes in an Identity that came, or another change of one. Most came and
// are of the ordinary sort, and nothing that is known has to be looked at again
// for them.
func (w *Watcher) note(it *item[published], came bool, changed func(Kind)) {
	if !came || it.refused() {
		changed(Identities)
		return
	}
	w.newcomers.mu.Lock()
	if w.newcomers.sets == nil {
		w.newcomers.sets = map[identity.ID]identity.Set{}
	}
	w.newcomers.sets[it.value.id] = it.value.set
	w.newcomers.mu.Unlock()
	changed(NewIdentities)
}

// NewIdentities gives the identities that came since the last call. They are
// among those that Identities gives, unless they have gone since.
func (w *Watcher) NewIdentities() map[identity.ID]identity.Set {
	w.newcomers.mu.Lock()
	defer w.newcomers.mu.Unlock()
	sets := w.newcomers.sets
	w.newcomers.sets = nil
	return sets
}
