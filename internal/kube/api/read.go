package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// wire is an object as it is sent. Of its metadata only what is used is read:
// who has written which field takes longer than all the rest.
type wire[S, U any] struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name            string    `json:"name"`
		UID             types.UID `json:"uid"`
		ResourceVersion string    `json:"resourceVersion"`
		Owners          []owner   `json:"ownerReferences"`
	} `json:"metadata"`
	Spec   *S `json:"spec"`
	Status U  `json:"status"`
}

type owner struct {
	Kind string    `json:"kind"`
	Name string    `json:"name"`
	UID  types.UID `json:"uid"`
}

// read decodes the object that comes next. What is JSON, and no object of the
// kind all the same, is in Received.Err; an error means that nothing can be read
// from here on.
func read[S, U any](from *json.Decoder, kind string) (*Received[S, U], error) {
	var in wire[S, U]
	err := from.Decode(&in)
	var mistyped *json.UnmarshalTypeError
	if err != nil && !errors.As(err, &mistyped) {
		return nil, err
	}
	out := &Received[S, U]{
		TypeMeta: metav1.TypeMeta{APIVersion: in.APIVersion, Kind: in.Kind},
		ObjectMeta: metav1.ObjectMeta{
			Name: in.Metadata.Name, UID: in.Metadata.UID, ResourceVersion: in.Metadata.ResourceVersion,
		},
	}
	for _, o := range in.Metadata.Owners {
		out.OwnerReferences = append(out.OwnerReferences, metav1.OwnerReference{Kind: o.Kind, Name: o.Name, UID: o.UID})
	}
	switch {
	case in.APIVersion != GroupVersion.String() || in.Kind != kind:
		err = fmt.Errorf("object is a %q of %q", in.Kind, in.APIVersion)
	case err == nil && in.Spec == nil:
		err = errors.New("no spec")
	}
	if err != nil {
		out.Err = fmt.Errorf("decode %s: %w", kind, err)
		return out, nil
	}
	out.Spec, out.Status = *in.Spec, in.Status
	return out, nil
}

// readList decodes a list of objects of a kind one by one, so that no more than
// one is there in two forms. known is false if data is something else.
func readList[S, U any](data []byte, kind string) (list *ReceivedList[S, U], known bool, err error) {
	list = &ReceivedList[S, U]{}
	from := json.NewDecoder(bytes.NewReader(data))
	if err := expect(from, '{'); err != nil {
		return nil, false, err
	}
	for from.More() {
		key, err := from.Token()
		if err != nil {
			return nil, false, err
		}
		switch key {
		case "items":
			list.Items, err = readItems[S, U](from, kind)
		case "kind":
			err = from.Decode(&list.Kind)
		case "apiVersion":
			err = from.Decode(&list.APIVersion)
		case "metadata":
			err = from.Decode(&list.ListMeta)
		default:
			err = from.Decode(new(json.RawMessage))
		}
		if err != nil {
			return nil, false, err
		}
	}
	if err := expect(from, '}'); err != nil {
		return nil, false, err
	}
	return list, list.Kind == kind+"List" && list.APIVersion == GroupVersion.String(), nil
}

func readItems[S, U any](from *json.Decoder, kind string) (items []*Received[S, U], err error) {
	if begin, err := from.Token(); err != nil || begin == nil { // null: there are none
		return nil, err
	} else if begin != json.Delim('[') {
		return nil, fmt.Errorf("items begin with %v", begin)
	}
	for from.More() {
		object, err := read[S, U](from, kind)
		if err != nil {
			return nil, err
		}
		items = append(items, object)
	}
	return items, expect(from, ']')
}

func expect(from *json.Decoder, want json.Delim) error {
	got, err := from.Token()
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%v where %v is expected", got, want)
	}
	return nil
}
