package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// everything selects all objects of a kind.
var everything = fields.Everything()

// listed lists and watches a kind, in all namespaces.
func listed(client rest.Interface, kind Kind, only fields.Selector) cache.ListerWatcher {
	return cache.NewListWatchFromClient(client, string(kind), metav1.NamespaceAll, only)
}

// unlabelled is listed for those objects that lack a label.
func unlabelled(client rest.Interface, kind Kind, label string) cache.ListerWatcher {
	return cache.NewFilteredListWatchFromClient(client, string(kind), metav1.NamespaceAll, func(options *metav1.ListOptions) {
		options.LabelSelector = "!" + label
	})
}

// feed is the part of a collection that does not depend on what it holds: the
// informer, and how its watch fares.
type feed struct {
	kind     Kind
	informer cache.SharedIndexInformer

	mu       sync.Mutex
	failures uint64
	last     error // the latest failure; nil: a request succeeded since
}

// newCollection makes the cache of one kind. changed is called for every
// object that came, went or means something else than before; heard, if not nil,
// in its place where the object can be told.
func newCollection[S runtime.Object, T any](kind Kind, from cache.ListerWatcher, example S,
	parse cache.TransformFunc, changed func(Kind), heard func(it *item[T], came bool), failed func(Kind, error),
) (collection[T], *feed, error) {
	f := &feed{kind: kind}
	informer := cache.NewSharedIndexInformerWithOptions(f.observe(from, failed), example,
		cache.SharedIndexInformerOptions{ObjectDescription: string(kind)})
	f.informer = informer
	if err := informer.SetTransform(parse); err != nil {
		return collection[T]{}, nil, fmt.Errorf("kube: watch %s: %w", kind, err)
	}
	err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		if !expected(err) {
			f.fail(err)
			failed(kind, err)
		}
	})
	if err != nil {
		return collection[T]{}, nil, fmt.Errorf("kube: watch %s: %w", kind, err)
	}
	hear := func(kind Kind, object any, came bool) {
		if missed, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = missed.Obj
		}
		if it, ok := object.(*item[T]); ok && heard != nil {
			heard(it, came)
			return
		}
		changed(kind)
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { hear(kind, object, true) },
		UpdateFunc: func(before, after any) {
			for _, concerned := range concerned[T](kind, before, after) {
				hear(concerned, after, false)
			}
		},
		DeleteFunc: func(object any) { hear(kind, object, false) },
	})
	if err != nil {
		return collection[T]{}, nil, fmt.Errorf("kube: watch %s: %w", kind, err)
	}
	return collection[T]{informer: informer}, f, nil
}

// concerned gives the kinds that an update changed: none if it means the same
// as before.
func concerned[T any](kind Kind, before, after any) []Kind {
	if sameMeaning[T](before, after) {
		return nil
	}
	was, okWas := before.(*item[T])
	is, okIs := after.(*item[T])
	if okWas && okIs && !was.refused() && !is.refused() {
		if value, ok := any(is.value).(interface{ changes(T) []Kind }); ok {
			return value.changes(was.value)
		}
	}
	return []Kind{kind}
}

// sameMeaning reports whether an update changed nothing that Signet reads.
// Most updates are of that sort: heartbeats, states, annotations.
func sameMeaning[T any](before, after any) bool {
	a, okA := before.(*item[T])
	b, okB := after.(*item[T])
	return okA && okB && a.UID == b.UID &&
		reflect.DeepEqual(a.value, b.value) && reflect.DeepEqual(a.problems, b.problems)
}

// expected reports whether a watch ended in the ordinary way: by the server's
// time limit, or because it has to begin anew.
func expected(err error) bool {
	return errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
}

// observe notes when the API server answers, and repeats what does not reach it.
// failed is told once of each request that has to be repeated.
func (f *feed) observe(from cache.ListerWatcher, failed func(Kind, error)) cache.ListerWatcher {
	inner := cache.ToListerWatcherWithContext(from)
	note := func(try int, err error) {
		f.fail(err)
		if try == 0 {
			failed(f.kind, err)
		}
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := reach(ctx, func() (runtime.Object, error) { return inner.ListWithContext(ctx, options) }, note)
			f.answered(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			events, err := reach(ctx, func() (watch.Interface, error) { return inner.WatchWithContext(ctx, options) }, note)
			f.answered(err)
			return events, err
		},
	}
}

// answered forgets the latest failure once a request succeeds.
func (f *feed) answered(err error) {
	if err != nil {
		return // counted where the watch ends
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = nil
}

func (f *feed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures++
	f.last = err
}

// WatchStatus says how the watch of one kind fares.
type WatchStatus struct {
	Kind     Kind
	Synced   bool // the first list has arrived
	Objects  int
	Failures uint64 // of list and watch, since the start
	// Error is the latest failure, nil if a request succeeded since.
	Error error
}

func (f *feed) status() WatchStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return WatchStatus{
		Kind:     f.kind,
		Synced:   f.informer.HasSynced(),
		Objects:  len(f.informer.GetStore().ListKeys()),
		Failures: f.failures,
		Error:    f.last,
	}
}
