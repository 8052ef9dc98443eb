package identity

import (
	"strings"
	"testing"
)

func need(key string, operator Operator, values ...string) Requirement {
	return Requirement{Key: key, Operator: operator, Values: values}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		need   Requirement
		labels labels
		want   bool
	}{
		{need("a", In, "1", "2"), labels{"a": "2"}, true},
		{need("a", In, "1"), labels{"a": "2"}, false},
		{need("a", In, ""), labels{}, false},
		{need("a", In, ""), labels{"a": ""}, true},
		{need("a", NotIn, "1"), labels{"a": "2"}, true},
		{need("a", NotIn, "1"), labels{"a": "1"}, false},
		{need("a", NotIn, "1"), labels{}, true},
		{need("a", Exists), labels{"a": ""}, true},
		{need("a", Exists), labels{"b": "1"}, false},
		{need("a", DoesNotExist), labels{"b": "1"}, true},
		{need("a", DoesNotExist), labels{"a": ""}, false},
		{need("a", "in", "1"), labels{"a": "1"}, false},
		{Requirement{}, labels{}, false},
	} {
		if got := (Selector{[]Requirement{c.need}}).Matches(c.labels); got != c.want {
			t.Errorf("%+v on %v: %v, want %v", c.need, c.labels, got, c.want)
		}
	}
	both := Selector{[]Requirement{need("a", Exists), need("b", Exists)}}
	if both.Matches(labels{"a": ""}) || !both.Matches(labels{"a": "", "b": ""}) || !(Selector{}).Matches(nil) {
		t.Error("requirements are not all asked for")
	}
}

// A key that was ignored and does not count leaves every operator unclear, on
// the pods that lost a label to it, and only on those.
func TestUnclear(t *testing.T) {
	ignore := Ignore{globs: []string{"job-name", "uid/*"}}
	counting := ignore.Counting([]string{"job-name", "uid/a"})
	lost := labels{"app": "x", "job-name": "j"}
	for _, c := range []struct {
		name   string
		set    Set
		need   []Requirement
		answer Match
	}{
		{"In", NewSet("ns", nil, lost, ignore), []Requirement{need("job-name", In, "j")}, Unclear},
		{"NotIn", NewSet("ns", nil, lost, ignore), []Requirement{need("job-name", NotIn, "j")}, Unclear},
		{"Exists", NewSet("ns", nil, lost, ignore), []Requirement{need("job-name", Exists)}, Unclear},
		{"DoesNotExist", NewSet("ns", nil, lost, ignore), []Requirement{need("job-name", DoesNotExist)}, Unclear},
		{"a No beside it", NewSet("ns", nil, lost, ignore), []Requirement{need("app", In, "y"), need("job-name", Exists)}, No},
		{"a Yes beside it", NewSet("ns", nil, lost, ignore), []Requirement{need("app", In, "x"), need("job-name", Exists)}, Unclear},
		{"another key", NewSet("ns", nil, lost, ignore), []Requirement{need("uid/a", DoesNotExist)}, Yes},
		{"never had the label", NewSet("ns", nil, labels{"app": "x"}, ignore), []Requirement{need("job-name", DoesNotExist)}, Yes},
		{"counts now", NewSet("ns", nil, lost, counting), []Requirement{need("job-name", In, "j")}, Yes},
		{"counts now, negated", NewSet("ns", nil, lost, counting), []Requirement{need("job-name", NotIn, "j")}, No},
		{"counts now, a sibling dropped", NewSet("ns", nil, labels{"uid/b": "1"}, counting), []Requirement{need("uid/a", DoesNotExist)}, Yes},
		{"does not count, a sibling dropped", NewSet("ns", nil, labels{"uid/b": "1"}, ignore), []Requirement{need("uid/a", DoesNotExist)}, Unclear},
		{"malformed", NewSet("ns", nil, lost, ignore), Unparsable().Requirements, Unclear},
		{"malformed beside a No", NewSet("ns", nil, lost, ignore), []Requirement{need("a", Exists), {}}, No},
	} {
		if got := (Selector{c.need}).MatchPods(c.set); got != c.answer {
			t.Errorf("%s: %v, want %v", c.name, got, c.answer)
		}
	}
}

func TestMatchNamespace(t *testing.T) {
	set := NewSet("prod", labels{"team": "a"}, labels{"team": "b"}, DefaultIgnore())
	for _, c := range []struct {
		need Requirement
		want Match
	}{
		{need(NamespaceNameLabel, In, "prod"), Yes},
		{need(NamespaceNameLabel, In, "dev"), No},
		{need("team", In, "a"), Yes},
		{need("team", In, "b"), No},
		{need("job-name", DoesNotExist), Yes},
	} {
		if got := (Selector{[]Requirement{c.need}}).MatchNamespace(set); got != c.want {
			t.Errorf("%+v: %v, want %v", c.need, got, c.want)
		}
	}
}

func TestNewSelector(t *testing.T) {
	for _, c := range []struct {
		need Requirement
		err  string
	}{
		{need("app.kubernetes.io/name", In, "a", ""), ""},
		{need("A_b.c-1", NotIn, "X_y.z"), ""},
		{need("a", Exists), ""},
		{need("", Exists), "no name"},
		{need("a/", Exists), "no name"},
		{need("/a", Exists), "prefix"},
		{need("A/a", Exists), "lower-case"},
		{need("a..b/c", Exists), "part"},
		{need("-a/c", Exists), "part"},
		{need("a/b/c", Exists), "character '/'"},
		{need("-a", Exists), "begin and end"},
		{need("a b", Exists), "character ' '"},
		{need(strings.Repeat("a", 64), Exists), "64 bytes"},
		{need(strings.Repeat("a", 254)+"/a", Exists), "254 bytes"},
		{need("a", In), "without values"},
		{need("a", NotIn), "without values"},
		{need("a", Exists, "x"), "with values"},
		{need("a", DoesNotExist, ""), "with values"},
		{need("a", "Equals", "x"), "unknown operator"},
		{need("a", "", "x"), "unknown operator"},
		{need("a", In, "x/y"), "label value"},
		{need("a", In, strings.Repeat("v", 64)), "64 bytes"},
		{need("a", In, "é"), "character 'é'"},
	} {
		_, err := NewSelector(nil, []Requirement{c.need})
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%+v: error %v, want %q", c.need, err, c.err)
		}
	}
}

func TestSelectorKey(t *testing.T) {
	one, err := NewSelector(labels{"b": "1"}, []Requirement{need("a", NotIn, "y", "x", "y"), need("b", In, "1")})
	if err != nil {
		t.Fatal(err)
	}
	other := Selector{[]Requirement{need("a", NotIn, "x", "y"), need("b", In, "1")}}
	if one.Key() != other.Key() || one.String() != "a notin (x,y),b=1" {
		t.Errorf("keys %q and %q, string %q", one.Key(), other.Key(), one)
	}
	seen := map[string]int{}
	for n, s := range []Selector{
		{},
		Unparsable(), other,
		{[]Requirement{need("a", In, "x,y")}},
		{[]Requirement{need("a", In, "x", "y")}},
		{[]Requirement{need("a", In, `x","y`)}},
		{[]Requirement{need("a", Exists)}},
		{[]Requirement{need("a", DoesNotExist)}},
		{[]Requirement{need("a", Exists), need("b", Exists)}},
		{[]Requirement{need(`a"Exists";"b`, Exists)}},
	} {
		if m, ok := seen[s.Key()]; ok {
			t.Errorf("selectors %d and %d share the key %q", m, n, s.Key())
		}
		seen[s.Key()] = n
	}
}

// Whatever is parsed: an accepted selector keeps its meaning in the normal
// form, a refused one is never taken for a match.
func FuzzNewSelector(f *testing.F) {
	f.Add("app", "In", "web", "app", "web")
	f.Add("a.b/c", "NotIn", "", "x", "")
	f.Add("job-name", "DoesNotExist", "", "job-name", "1")
	f.Fuzz(func(t *testing.T, key, operator, value, labelKey, labelValue string) {
		raw := Requirement{Key: key, Operator: Operator(operator)}
		if raw.Operator == In || raw.Operator == NotIn {
			raw.Values = []string{value, value}
		}
		on := labels{labelKey: labelValue}
		selector, err := NewSelector(labels{key: value}, []Requirement{raw, raw})
		if err != nil {
			if len(selector.Requirements) > 0 {
				t.Fatalf("error %v with a selector %v", err, selector)
			}
			return
		}
		want := on[key] == value && raw.holds(on[key], true) == Yes
		if _, present := on[key]; !present {
			want = false
		}
		if got := selector.Matches(on); got != want {
			t.Errorf("%v on %v: %v, want %v", selector, on, got, want)
		}
		if again := selector.normal(); again.Key() != selector.Key() {
			t.Errorf("key %q of normal form %q", selector.Key(), again.Key())
		}
	})
}
