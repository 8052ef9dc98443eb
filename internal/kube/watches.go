package kube

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"k8s.io/client-go/tools/cache"
)

// watches are the watches of one process. It is safe for concurrent use.
type watches struct {
	client *Client
	feeds  []*feed
}

// add makes a collection and remembers its feed.
func add[S source, T any](w *watches, changed func(Kind), into *collection[T], kind Kind,
	from cache.ListerWatcher, example S, parse func(S) (T, []Problem),
) error {
	return addNoting(w, changed, into, kind, from, example, parse, nil)
}

// addNoting is add, with heard as newCollection has it.
func addNoting[S source, T any](w *watches, changed func(Kind), into *collection[T], kind Kind,
	from cache.ListerWatcher, example S, parse func(S) (T, []Problem), heard func(it *item[T], came bool),
) error {
	failed := func(kind Kind, err error) {
		w.client.log.Warn("watch failed, will be repeated", "kind", kind, "error", err)
	}
	made, f, err := newCollection[S, T](kind, from, example, keep(parse), changed, heard, failed)
	if err != nil {
		return err
	}
	*into = made
	w.feeds = append(w.feeds, f)
	return nil
}

// Run watches until the context ends. It is called once.
func (w *watches) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, f := range w.feeds {
		running.Go(func() { f.informer.RunWithContext(ctx) })
	}
	running.Wait()
}

// HasSynced reports whether the first list of every kind has arrived. Nothing
// may be removed for being absent from a snapshot before.
func (w *watches) HasSynced() bool {
	for _, f := range w.feeds {
		if !f.informer.HasSynced() {
			return false
		}
	}
	return true
}

// WaitSynced waits for HasSynced. If the context ends before, the error names
// the kinds that are missing, and why.
func (w *watches) WaitSynced(ctx context.Context) error {
	synced := make([]cache.InformerSynced, len(w.feeds))
	for n, f := range w.feeds {
		synced[n] = f.informer.HasSynced
	}
	if cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil
	}
	var missing []string
	for _, status := range w.Status() {
		switch {
		case status.Synced:
		case status.Error != nil:
			missing = append(missing, fmt.Sprintf("%s (%v)", status.Kind, status.Error))
		default:
			missing = append(missing, string(status.Kind))
		}
	}
	return fmt.Errorf("kube: not yet known: %s: %w", strings.Join(missing, ", "), context.Cause(ctx))
}

// Status gives the state of every watch, in a fixed order.
func (w *watches) Status() []WatchStatus {
	statuses := make([]WatchStatus, 0, len(w.feeds))
	for _, f := range w.feeds {
		statuses = append(statuses, f.status())
	}
	return statuses
}
