package kube

import (
	"cmp"
	"iter"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// item is all that a cache keeps of an API object: which one it is, and what
// it parsed to. Parsing once, on the way in, keeps the memory small and the
// snapshots cheap.
type item[T any] struct {
	metav1.ObjectMeta // name, namespace, UID, resource version, creation time
	value             T
	problems          []Problem
}

// source is an API object as it arrives.
type source interface {
	metav1.Object
	runtime.Object
}

// keep makes the transform that puts items in the place of API objects. It
// never fails: a cache that refused an object would not sync because of it.
func keep[S source, T any](parse func(S) (T, []Problem)) cache.TransformFunc {
	return func(object any) (any, error) {
		from, ok := object.(S)
		if !ok {
			return object, nil // an item already, or the tombstone of one
		}
		value, problems := parse(from)
		return &item[T]{
			ObjectMeta: metav1.ObjectMeta{
				Namespace:         from.GetNamespace(),
				Name:              from.GetName(),
				UID:               from.GetUID(),
				ResourceVersion:   from.GetResourceVersion(),
				CreationTimestamp: from.GetCreationTimestamp(),
			},
			value:    value,
			problems: problems,
		}, nil
	}
}

// refused reports whether the object had a problem that leaves nothing to use.
func (i *item[T]) refused() bool { return len(i.problems) > 0 }

// collection is the cache of one kind.
type collection[T any] struct {
	informer cache.SharedIndexInformer
}

// all gives all of them, in any order.
func (c collection[T]) all() iter.Seq[*item[T]] {
	return func(yield func(*item[T]) bool) {
		for _, object := range c.informer.GetStore().List() {
			if it, ok := object.(*item[T]); ok && !yield(it) {
				return
			}
		}
	}
}

// items gives all of them by namespace and name.
func (c collection[T]) items() []*item[T] {
	return slices.SortedFunc(c.all(), func(a, b *item[T]) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// get finds one; namespace is "" for cluster-scoped kinds.
func (c collection[T]) get(namespace, name string) (*item[T], bool) {
	key := cache.NewObjectName(namespace, name).String()
	object, found, err := c.informer.GetStore().GetByKey(key)
	if err != nil || !found {
		return nil, false
	}
	it, ok := object.(*item[T])
	return it, ok
}
