package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

const head = `"apiVersion":"signet-cni.io/v1alpha1","kind":"Tunnel"`

func decodeTunnels(data string) (runtime.Object, error) {
	object, _, err := TunnelCodec().SupportedMediaTypes()[0].Serializer.Decode([]byte(data), nil, nil)
	return object, err
}

func tunnelList(items string) string {
	return `{"apiVersion":"signet-cni.io/v1alpha1","items":` + items + `,"kind":"TunnelList","metadata":{"resourceVersion":"77"}}`
}

func TestReadTunnel(t *testing.T) {
	object, err := decodeTunnels(`{` + head + `,"later":{"a":[1]},"metadata":{"name":"node-1","uid":"u","resourceVersion":"5",
		"managedFields":[{"manager":"x","fieldsV1":{"f:spec":{}}}],"creationTimestamp":"2026-11-29T00:00:00Z",
		"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"node-1","uid":"n"}]},
		"spec":{"publicKey":"k","endpoint":"e","podCIDRs":["c"],"addresses":["a"],"prefix":"p","keyed":"t","identities":[300,4294967295],
		"detour":{"publicKey":"d","active":true},"later":1},"status":{"identities":[]}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := &ReceivedTunnel{
		TypeMeta: metav1.TypeMeta{APIVersion: "signet-cni.io/v1alpha1", Kind: "Tunnel"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "node-1", UID: "u", ResourceVersion: "5",
			OwnerReferences: []metav1.OwnerReference{{Kind: "Node", Name: "node-1", UID: "n"}},
		},
		Spec: TunnelSpec{
			PublicKey: "k", Endpoint: "e", PodCIDRs: []string{"c"}, Addresses: []string{"a"}, Prefix: "p", Keyed: "t",
			Identities: []int64{300, 4294967295}, Detour: &DetourSpec{PublicKey: "d", Active: true},
		},
		Status: TunnelStatus{Identities: []int64{}},
	}
	if !reflect.DeepEqual(object, want) {
		t.Errorf("got  %+v\nwant %+v", object, want)
	}
	if copied := want.DeepCopyObject(); copied == object || !reflect.DeepEqual(copied, want) {
		t.Errorf("copy: %+v", copied)
	}
}

// What is wrong with one object of a list is told of that one, by name, and the
// others are read.
func TestReadMalformed(t *testing.T) {
	good := `{` + head + `,"metadata":{"name":"good"},"spec":{"identities":[300]}}`
	for _, test := range []struct{ name, rest, why string }{
		{"no spec", ``, "no spec"},
		{"a spec of null", `,"spec":null`, "no spec"},
		{"a spec of another type", `,"spec":5`, "cannot unmarshal"},
		{"a list of texts", `,"spec":{"identities":["300"]}`, "cannot unmarshal"},
		{"a text for a list", `,"spec":{"identities":"300"}`, "cannot unmarshal"},
		{"an object for a list", `,"spec":{"identities":{"a":{"b":[[]]}}}`, "cannot unmarshal"},
		{"a fraction", `,"spec":{"identities":[300.5]}`, "cannot unmarshal"},
		{"a number without end", `,"spec":{"identities":[1e400]}`, "cannot unmarshal"},
		{"a key of another type", `,"spec":{"publicKey":7}`, "cannot unmarshal"},
		{"a status of another type", `,"spec":{},"status":[]`, "cannot unmarshal"},
		{"a status of texts", `,"spec":{},"status":{"identities":["300"]}`, "cannot unmarshal"},
		{"another kind", `,"spec":{},"kind":"Identity"`, `a "Identity" of`},
		{"another version", `,"spec":{},"apiVersion":"signet-cni.io/v2"`, `of "signet-cni.io/v2"`},
	} {
		bad := `{` + head + `,"metadata":{"name":"bad","uid":"u"}` + test.rest + `}`
		object, err := decodeTunnels(tunnelList(`[` + bad + `,` + good + `]`))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		items := object.(*ReceivedTunnels).Items
		if len(items) != 2 || items[1].Err != nil || items[1].Name != "good" || len(items[1].Spec.Identities) != 1 {
			t.Errorf("%s: the others: %+v", test.name, items)
		}
		got := items[0]
		if got.Err == nil || !strings.HasPrefix(got.Err.Error(), "decode Tunnel: ") || !strings.Contains(got.Err.Error(), test.why) {
			t.Errorf("%s: %v", test.name, got.Err)
		}
		if got.Name != "bad" || got.UID != "u" || !reflect.DeepEqual(got.Spec, TunnelSpec{}) || !reflect.DeepEqual(got.Status, TunnelStatus{}) {
			t.Errorf("%s: read all the same: %+v", test.name, got)
		}
	}
}

func TestReadList(t *testing.T) {
	for items, want := range map[string]int{`[]`: 0, `null`: 0, `[null,7]`: 2} {
		object, err := decodeTunnels(tunnelList(items))
		if err != nil {
			t.Fatal(err)
		}
		list := object.(*ReceivedTunnels)
		if len(list.Items) != want || list.ResourceVersion != "77" {
			t.Errorf("%s: %+v", items, list)
		}
		for _, it := range list.Items {
			if it.Err == nil {
				t.Errorf("%s: accepted %+v", items, it)
			}
		}
	}
	whole := tunnelList(`[{` + head + `,"metadata":{"name":"a"},"spec":{}}]`)
	for cut := range len(whole) {
		if object, err := decodeTunnels(whole[:cut]); err == nil {
			t.Fatalf("%s is read as %+v", whole[:cut], object)
		}
	}
	for _, other := range []string{
		``, `null`, `[]`, `{}`, `{"kind":7}`, tunnelList(`{}`), tunnelList(`"x"`), strings.Replace(whole, "TunnelList", "IdentityList", 1),
		strings.Replace(whole, `v1alpha1","items`, `v2","items`, 1),
	} {
		if object, err := decodeTunnels(other); err == nil {
			t.Errorf("%s is read as %+v", other, object)
		}
	}
}

// reader asks a server that answers everything with a status and a body.
func reader(t *testing.T, status int, body string) rest.Interface {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	client, err := rest.RESTClientFor(&rest.Config{Host: server.URL, APIPath: "/apis", ContentConfig: rest.ContentConfig{
		GroupVersion: &GroupVersion, NegotiatedSerializer: TunnelCodec(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestReadErrors(t *testing.T) {
	status := `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q}`
	_, err := reader(t, http.StatusNotFound, fmt.Sprintf(status, 404, "NotFound")).Get().Resource("tunnels").Name("a").Do(t.Context()).Get()
	if !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

func TestReadWatch(t *testing.T) {
	event := func(kind, object string) string { return fmt.Sprintf(`{"type":%q,"object":%s}`, kind, object) + "\n" }
	events, err := reader(t, http.StatusOK,
		event("ADDED", `{`+head+`,"metadata":{"name":"a"},"spec":{"identities":[300]}}`)+
			event("MODIFIED", `{`+head+`,"metadata":{"name":"a"},"spec":7}`)+
			event("BOOKMARK", `{`+head+`,"metadata":{"resourceVersion":"9"}}`)+
			event("ERROR", `{"kind":"Status","apiVersion":"v1","code":410,"reason":"Expired"}`),
	).Get().Resource("tunnels").Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for e := range events.ResultChan() {
		if e.Type == watch.Error {
			told = append(told, fmt.Sprint("ERROR ", apierrors.IsResourceExpired(apierrors.FromObject(e.Object))))
			continue
		}
		got := e.Object.(*ReceivedTunnel)
		told = append(told, fmt.Sprint(e.Type, " ", got.Name, got.ResourceVersion, got.Spec.Identities, " ", got.Err != nil))
	}
	want := []string{"ADDED a[300] false", "MODIFIED a[] true", "BOOKMARK 9[] true", "ERROR true"}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("told %q\nwant %q", told, want)
	}
}

// FuzzRead: whatever the API server sends, nothing panics, what is read once is
// read again from its own encoding, and nothing is said by what is refused.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, tunnelList(`[null,{},7]`), tunnelList(`[{` + head + `,"spec":{"identities":[1,2.5]}}]`), `{` + head + `,"spec":{}}`,
		`{"kind":"Status","apiVersion":"v1"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		object, err := decodeTunnels(data)
		if err != nil {
			return
		}
		list, ok := object.(*ReceivedTunnels)
		if one, single := object.(*ReceivedTunnel); single {
			list, ok = &ReceivedTunnels{Items: []*ReceivedTunnel{one}}, true
		}
		if !ok {
			return
		}
		for _, it := range list.Items {
			if it.Err != nil && (!reflect.DeepEqual(it.Spec, TunnelSpec{}) || !reflect.DeepEqual(it.Status, TunnelStatus{})) {
				t.Errorf("refused, and says %+v", it)
			}
			if it.Err != nil {
				continue
			}
			text, err := json.Marshal(map[string]any{"apiVersion": it.APIVersion, "kind": it.Kind, "spec": it.Spec, "status": it.Status})
			if err != nil {
				t.Fatal(err)
			}
			again, err := decodeTunnels(string(text))
			if err != nil || again.(*ReceivedTunnel).Err != nil {
				t.Errorf("%s is not read again: %v, %+v", text, err, again)
			}
		}
	})
}

// A large cluster's list is read in one pass and without garbage.
func BenchmarkReadTunnels(b *testing.B) {
	var ids []string
	for n := range 20 {
		ids = append(ids, fmt.Sprint(3_000_000_000+n))
	}
	list := strings.Join(ids, ",")
	one := `{` + head + `,"metadata":{"name":"node-1","managedFields":[{"fieldsV1":{"f:spec":{"f:endpoint":{},"f:podCIDRs":{}}},"manager":"signet-agent"}]},
		"spec":{"publicKey":"AAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","endpoint":"172.16.0.1:51872","podCIDRs":["10.0.0.0/24"],
		"addresses":["172.16.0.1"],"prefix":"fd51:c7e1:a00::/64","identities":[` + list + `]},"status":{"identities":[` + list + `]}}`
	data := tunnelList(`[` + strings.Repeat(one+",", 999) + one + `]`)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeTunnels(data); err != nil {
			b.Fatal(err)
		}
	}
}
