package api

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Received is one of Signet's own objects as the API server sent it. Which one
// it is stands even if the rest cannot be read. It is not modified.
type Received[S, U any] struct {
	metav1.TypeMeta
	metav1.ObjectMeta // name, UID, resource version and owners alone
	Spec              S
	Status            U
	// Err is why Spec and Status are not to be used: another kind of object, a
	// field of the wrong type, no spec. The texts in the fields are for the
	// caller to parse.
	Err error
}

// ReceivedList is a list of them.
type ReceivedList[S, U any] struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []*Received[S, U]
}

// The kinds that are read.
type (
	ReceivedTunnel   = Received[TunnelSpec, TunnelStatus]
	ReceivedIdentity = Received[IdentitySpec, struct{}]

	ReceivedTunnels    = ReceivedList[TunnelSpec, TunnelStatus]
	ReceivedIdentities = ReceivedList[IdentitySpec, struct{}]
)

// DeepCopyObject copies what identifies the object, and shares the rest.
func (r *Received[S, U]) DeepCopyObject() runtime.Object {
	out := *r
	r.DeepCopyInto(&out.ObjectMeta)
	return &out
}

// DeepCopyObject copies the list, and shares what is in it.
func (l *ReceivedList[S, U]) DeepCopyObject() runtime.Object {
	out := *l
	out.Items = append([]*Received[S, U](nil), l.Items...)
	return &out
}
