package api

import (
	"bytes"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// TunnelCodec has a client read Tunnels, as ReceivedTunnel and ReceivedTunnels.
func TunnelCodec() runtime.NegotiatedSerializer {
	return negotiated[TunnelSpec, TunnelStatus](TunnelKind)
}

// IdentityCodec has a client read Identities, as ReceivedIdentity and
// ReceivedIdentities.
func IdentityCodec() runtime.NegotiatedSerializer {
	return negotiated[IdentitySpec, struct{}](IdentityKind)
}

// codec reads one of Signet's own kinds straight into its Go type, object by
// object: one that is malformed does not hide the others.
type codec[S, U any] struct {
	runtime.Serializer // of what else the API server sends: what went wrong
	kind               string
}

// Decode implements runtime.Decoder. It gives a Received of its kind, a list of
// them, or an object of the API server's own.
func (c codec[S, U]) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	list, known, err := readList[S, U](data, c.kind)
	if err != nil {
		return nil, nil, fmt.Errorf("decode %s or a list: %w", c.kind, err)
	}
	gvk := list.GroupVersionKind()
	if known {
		return list, &gvk, nil
	}
	if gvk != GroupVersion.WithKind(c.kind) {
		return c.Serializer.Decode(data, defaults, into)
	}
	object, err := read[S, U](json.NewDecoder(bytes.NewReader(data)), c.kind)
	if err != nil {
		return nil, nil, fmt.Errorf("decode %s: %w", c.kind, err)
	}
	return object, &gvk, nil
}

// mediaTypes are a NegotiatedSerializer that knows one.
type mediaTypes struct {
	runtime.NegotiatedSerializer
	only runtime.SerializerInfo
}

// SupportedMediaTypes implements runtime.NegotiatedSerializer.
func (m mediaTypes) SupportedMediaTypes() []runtime.SerializerInfo {
	return []runtime.SerializerInfo{m.only}
}

func negotiated[S, U any](kind string) runtime.NegotiatedSerializer {
	all := scheme.Codecs.WithoutConversion()
	info, _ := runtime.SerializerInfoForMediaType(all.SupportedMediaTypes(), runtime.ContentTypeJSON)
	info.Serializer = codec[S, U]{Serializer: info.Serializer, kind: kind}
	return mediaTypes{all, info}
}
