package api

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// DecodeTunnel reads a Tunnel. It refuses other kinds and fields of the wrong
// type; the texts in the fields are for the caller to parse.
func DecodeTunnel(object *unstructured.Unstructured) (*Tunnel, error) {
	content := light(object.Object)
	listed, found := takeNumbers(content, "spec"), takeNumbers(content, "status")
	out, err := decode[Tunnel](&unstructured.Unstructured{Object: content}, TunnelKind)
	if err != nil {
		return nil, err
	}
	if listed != nil {
		out.Spec.Identities = listed
	}
	if found != nil {
		out.Status.Identities = found
	}
	return out, nil
}

// DecodeIdentity reads an Identity, under the same terms as DecodeTunnel.
func DecodeIdentity(object *unstructured.Unstructured) (*Identity, error) {
	return decode[Identity](&unstructured.Unstructured{Object: light(object.Object)}, IdentityKind)
}

func decode[T any](object *unstructured.Unstructured, kind string) (*T, error) {
	want := GroupVersion.WithKind(kind)
	if got := object.GroupVersionKind(); got != want {
		return nil, fmt.Errorf("decode %s: object is a %q of %q", kind, got.Kind, got.GroupVersion())
	}
	if _, ok := object.Object["spec"].(map[string]any); !ok {
		return nil, fmt.Errorf("decode %s: no spec", kind)
	}
	out := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, out); err != nil {
		return nil, fmt.Errorf("decode %s: %w", kind, err)
	}
	return out, nil
}

// Encode gives a Tunnel or Identity the form in which it is sent.
func Encode[T Tunnel | Identity](object T) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&object)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", object, err)
	}
	return &unstructured.Unstructured{Object: content}, nil
}
