package identity

import (
	"fmt"
	"slices"
	"testing"
)

func TestSplit(t *testing.T) {
	var sets []Set
	add := func(namespace string, labels map[string]string) {
		sets = append(sets, NewSet(namespace, nil, labels, DefaultIgnore()))
	}
	for n := range 5 {
		add("ci", map[string]string{"app": "build", "run": fmt.Sprint(n)})
	}
	for n := range 3 {
		add("shop", map[string]string{"app": fmt.Sprint("app-", n), "run": "x"})
	}
	add("shop", map[string]string{"app": "app-0"})
	want := []Splitter{
		{Key: "run", Values: 6, Identities: 8, Spared: 5, Namespace: "ci"},
		{Key: "app", Values: 4, Identities: 9, Spared: 2, Namespace: "shop"},
	}
	if got := Split(sets); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := Split(nil); len(got) != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}
