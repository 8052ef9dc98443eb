package api

import (
	"reflect"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What is read in a shorter way is read the same, refused the same, and left as
// it was.
func TestDecodeTunnelIdentities(t *testing.T) {
	object := func(spec, status any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": GroupVersion.String(), "kind": TunnelKind,
			"metadata": map[string]any{"name": "node-1", "managedFields": []any{map[string]any{"manager": "somebody"}}},
			"spec":     map[string]any{"prefix": "fd00::/64", "identities": spec}, "status": map[string]any{"identities": status},
		}}
	}
	for name, test := range map[string]struct {
		spec, status  any
		listed, found []int64
		fails         bool
	}{
		"both":         {[]any{int64(300), int64(4294967295)}, []any{int64(300)}, []int64{300, 4294967295}, []int64{300}, false},
		"empty":        {[]any{}, nil, []int64{}, nil, false},
		"absent":       {nil, nil, nil, nil, false},
		"a text":       {[]any{int64(300), "301"}, nil, nil, nil, true},
		"not a list":   {"300", nil, nil, nil, true},
		"found a text": {nil, []any{"300"}, nil, nil, true},
	} {
		in := object(test.spec, test.status)
		before := in.DeepCopy()
		out, err := DecodeTunnel(in)
		if !reflect.DeepEqual(in, before) {
			t.Errorf("%s: the object was modified", name)
		}
		if test.fails {
			if err == nil {
				t.Errorf("%s is accepted: %+v", name, out)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		same := slices.Equal(out.Spec.Identities, test.listed) && slices.Equal(out.Status.Identities, test.found)
		if !same || (out.Spec.Identities == nil) != (test.listed == nil) || out.Name != "node-1" || out.Spec.Prefix != "fd00::/64" {
			t.Errorf("%s: %+v", name, out)
		}
	}
}
