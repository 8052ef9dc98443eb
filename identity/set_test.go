package identity

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

type labels = map[string]string

func TestNewSet(t *testing.T) {
	ignore := Ignore{globs: []string{"job-name", "uid/*"}}
	counting := ignore.Counting([]string{"job-name", "uid/a"})
	for _, c := range []struct {
		name    string
		pod     labels
		ignore  Ignore
		want    labels
		dropped []string
		counted []string
	}{
		{"nothing ignored", labels{"app": "x"}, ignore, labels{"app": "x"}, nil, nil},
		{
			"dropped",
			labels{"app": "x", "job-name": "j", "uid/a": "1", "uid/b": "2"},
			ignore,
			labels{"app": "x"},
			[]string{"job-name", "uid/*"},
			nil,
		},
		{
			"counted and present",
			labels{"job-name": "j", "uid/a": "1"},
			counting,
			labels{"job-name": "j", "uid/a": "1"},
			nil, nil,
		},
		{
			"counted and absent, beside a dropped one",
			labels{"uid/b": "2"},
			counting,
			labels{},
			[]string{"uid/*"},
			[]string{"uid/a"},
		},
		{
			"counted and present, beside a dropped one",
			labels{"uid/a": "1", "uid/b": "2"},
			counting,
			labels{"uid/a": "1"},
			[]string{"uid/*"},
			nil,
		},
	} {
		set := NewSet("ns", labels{NamespaceNameLabel: "forged", "env": "e"}, c.pod, c.ignore)
		if !maps.Equal(set.PodLabels, c.want) || !slices.Equal(set.Dropped, c.dropped) || !slices.Equal(set.Counted, c.counted) {
			t.Errorf("%s: got %+v", c.name, set)
		}
		if set.NamespaceLabels[NamespaceNameLabel] != "ns" || set.NamespaceLabels["env"] != "e" {
			t.Errorf("%s: namespace labels %v", c.name, set.NamespaceLabels)
		}
		if err := set.Validate(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Pods that differ in ignored labels only share an identity; those that do not
// have a label that starts to count keep theirs.
func TestSharing(t *testing.T) {
	plain := DefaultIgnore()
	counting := plain.Counting([]string{"job-name"})
	make := func(ignore Ignore, pod labels) ID { return Number(NewSet("ns", nil, pod, ignore), 0) }
	if make(plain, labels{"app": "x", "pod-template-hash": "1"}) != make(plain, labels{"app": "x", "pod-template-hash": "2"}) {
		t.Error("an ignored value splits identities")
	}
	if make(plain, labels{"app": "x", "job-name": "1"}) == make(counting, labels{"app": "x", "job-name": "1"}) {
		t.Error("a key that starts to count leaves the number as it was")
	}
	if make(plain, labels{"app": "x"}) != make(counting, labels{"app": "x"}) {
		t.Error("a key that starts to count moves pods that do not have it")
	}
}

func TestValidate(t *testing.T) {
	good := NewSet("ns", nil, labels{"uid/b": "2"}, Ignore{globs: []string{"uid/*"}, counted: []string{"uid/a"}})
	for name, spoil := range map[string]func(*Set){
		"without a namespace": func(s *Set) { s.Namespace = "" },
		"says":                func(s *Set) { s.Namespace = "other" },
		"malformed":           func(s *Set) { s.Dropped = []string{"a b"} },
		"not sorted":          func(s *Set) { s.Dropped = []string{"uid/*", "a"} },
		"unique":              func(s *Set) { s.Counted = []string{"uid/a", "uid/a"} },
		"not among":           func(s *Set) { s.Counted = []string{"app"} },
	} {
		bad := good
		spoil(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestCanonicalGolden(t *testing.T) {
	set := Set{Namespace: "n", NamespaceLabels: labels{"b": "", "a": "1"}, Dropped: []string{"x"}}
	want := "signet identity 1\x00" + "\x00\x00\x00\x01n" +
		"\x00\x00\x00\x02" + "\x00\x00\x00\x01a\x00\x00\x00\x011" + "\x00\x00\x00\x01b\x00\x00\x00\x00" +
		"\x00\x00\x00\x00" + "\x00\x00\x00\x01\x00\x00\x00\x01x" + "\x00\x00\x00\x00"
	if got := string(set.Canonical()); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// A decoder that gets back what was encoded proves that no two sets share a
// canonical form.
func FuzzCanonicalInjective(f *testing.F) {
	f.Add("ns", "env", "prod", "app", "x", "job-name", "uid/*")
	f.Add("", "", "", "", "", "", "")
	f.Add("a\x00\x00\x00\x01", "\xff", "b", "c", "d", "e", "f")
	f.Fuzz(func(t *testing.T, ns, nsKey, nsValue, key, value, dropped, counted string) {
		set := Set{ns, labels{nsKey: nsValue, NamespaceNameLabel: ns}, labels{key: value, value: key}, []string{dropped}, []string{counted}}
		back, err := decode(set.Canonical())
		if err != nil {
			t.Fatal(err)
		}
		if back.Namespace != ns || !maps.Equal(back.NamespaceLabels, set.NamespaceLabels) ||
			!maps.Equal(back.PodLabels, set.PodLabels) || !slices.Equal(back.Dropped, set.Dropped) ||
			!slices.Equal(back.Counted, set.Counted) {
			t.Errorf("%+v came back as %+v", set, back)
		}
	})
}

type decoder struct {
	rest []byte
	err  error
}

func decode(form []byte) (Set, error) {
	rest, ok := strings.CutPrefix(string(form), canonicalMagic)
	if !ok {
		return Set{}, errors.New("no magic")
	}
	d := &decoder{rest: []byte(rest)}
	set := Set{d.string(), d.labels(), d.labels(), d.list(), d.list()}
	if len(d.rest) > 0 {
		return Set{}, errors.New("trailing bytes")
	}
	return set, d.err
}

func (d *decoder) length() int {
	if len(d.rest) < 4 {
		d.err, d.rest = errors.New("short"), nil
		return 0
	}
	n := binary.BigEndian.Uint32(d.rest)
	d.rest = d.rest[4:]
	return int(n)
}

func (d *decoder) string() string {
	n := d.length()
	if n > len(d.rest) {
		d.err, d.rest = errors.New("short"), nil
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) labels() labels {
	out := labels{}
	for range d.length() {
		key := d.string()
		out[key] = d.string()
	}
	return out
}

func (d *decoder) list() []string {
	var out []string
	for range d.length() {
		out = append(out, d.string())
	}
	return out
}

func TestFits(t *testing.T) {
	namespace := map[string]string{"env": "prod"}
	set := NewSet("shop", namespace, map[string]string{"app": "web", "job-name": "a"}, DefaultIgnore())
	counted := NewSet("shop", namespace, map[string]string{"app": "web", "job-name": "a", "batch.kubernetes.io/x": "1"},
		DefaultIgnore().Counting([]string{"job-name", "batch.kubernetes.io/y"}))
	for _, c := range []struct {
		name      string
		set       Set
		namespace map[string]string
		pod       map[string]string
		want      bool
	}{
		{"the same", set, namespace, map[string]string{"app": "web", "job-name": "a"}, true},
		{"another value of an ignored key", set, namespace, map[string]string{"app": "web", "job-name": "b"}, true},
		{"no ignored key", set, namespace, map[string]string{"app": "web"}, true},
		{"another value", set, namespace, map[string]string{"app": "db"}, false},
		{"a key less", set, namespace, nil, false},
		{"a key more", set, namespace, map[string]string{"app": "web", "tier": "x"}, false},
		{"namespace changed", set, map[string]string{"env": "dev"}, map[string]string{"app": "web"}, false},
		{"a counted key", counted, namespace, map[string]string{"app": "web", "job-name": "a"}, true},
		{"a counted key of another value", counted, namespace, map[string]string{"app": "web", "job-name": "b"}, false},
		{"a counted key that it does not have", counted, namespace,
			map[string]string{"app": "web", "job-name": "a", "batch.kubernetes.io/y": "1"}, false},
	} {
		if got := c.set.Fits(c.namespace, c.pod); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
