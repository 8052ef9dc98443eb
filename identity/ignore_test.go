package identity

import (
	"slices"
	"strings"
	"testing"
)

func TestNewIgnore(t *testing.T) {
	for _, c := range []struct {
		globs []string
		want  []string
		err   string
	}{
		{nil, nil, ""},
		{[]string{"job-name"}, []string{"job-name"}, ""},
		{[]string{"b", "a", "c/*", "b"}, []string{"a", "b", "c/*"}, ""},
		{[]string{"*"}, []string{"*"}, ""},
		{[]string{"a", "b$c"}, nil, `ignored label 2 ("b$c"): character '$'`},
		{[]string{"a b"}, nil, "character ' '"},
		{[]string{""}, nil, "empty"},
		{[]string{"a/b/c"}, nil, "more than one slash"},
		{[]string{"/a"}, nil, "nothing on one side"},
		{[]string{"a/"}, nil, "nothing on one side"},
		{[]string{"ä"}, nil, "character 'ä'"},
		{[]string{strings.Repeat("a", 318)}, nil, "318 bytes"},
		{slices.Repeat([]string{"a"}, 257), nil, "257 ignored labels"},
	} {
		ignore, err := NewIgnore(c.globs)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: error %v, want %q", c.globs, err, c.err)
		}
		if got := ignore.Globs(); !slices.Equal(got, c.want) {
			t.Errorf("%q: globs %q, want %q", c.globs, got, c.want)
		}
	}
}

func TestDefaultIgnore(t *testing.T) {
	if _, err := NewIgnore(DefaultGlobs()); err != nil {
		t.Errorf("defaults do not parse: %v", err)
	}
	for key, want := range map[string]bool{
		"pod-template-hash": true, "controller-uid": true, "controller-revision-hash": true, "job-name": true,
		"batch.kubernetes.io/job-completion-index": true, "statefulset.kubernetes.io/pod-name": true,
		"apps.kubernetes.io/pod-index": true, "topology.kubernetes.io/zone": true, "pod-template-generation": true,
		"app": false, "app.kubernetes.io/name": false, "job-name-of-mine": false, "kubernetes.io/metadata.name": false,
		"mytopology.kubernetes.io/zone": false, "apps.kubernetes.io/pod-index-2": false,
	} {
		if got := DefaultIgnore().Ignores(key); got != want {
			t.Errorf("%s: ignored %v, want %v", key, got, want)
		}
	}
}

func TestGlobCovers(t *testing.T) {
	for _, c := range []struct {
		glob, key string
		want      bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"ab", "a", false},
		{"*", "x/y", true},
		{"a*", "a", true},
		{"a*c", "abbc", true},
		{"a*c", "abcb", false},
		{"a*b*c", "axbxbxc", true},
		{"a*b*c", "acb", false},
		{"*/x", "a.b/x", true},
		{"*/x", "x", false},
		{"**", "", true},
		{"*a", "aaa", true},
		{"*ab", "aab", true},
	} {
		if got := globCovers(c.glob, c.key); got != c.want {
			t.Errorf("%q covers %q: %v, want %v", c.glob, c.key, got, c.want)
		}
	}
}

func TestCounting(t *testing.T) {
	ignore := DefaultIgnore().Counting([]string{"job-name", "app", "job-name", "batch.kubernetes.io/job-name"})
	if got, want := ignore.Counted(), []string{"batch.kubernetes.io/job-name", "job-name"}; !slices.Equal(got, want) {
		t.Errorf("counted %q, want %q", got, want)
	}
	if ignore.Ignores("job-name") || !ignore.Ignores("batch.kubernetes.io/controller-uid") {
		t.Error("a counted key is ignored, or its neighbour is not")
	}
	if again := ignore.Counting(nil); len(again.Counted()) != 0 || !again.Ignores("job-name") {
		t.Error("a key counts although no policy names it any more")
	}
}
