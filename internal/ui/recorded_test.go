package ui_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/flowmap"
)

// concert is what "signet flows", "signet endpoint list" and "signet policy
// list" told with -o json of make demo on a kind cluster, less what came again
// and again; moved to the present.
func concert(t *testing.T) *flowmap.Map {
	t.Helper()
	pods, policies := read[api.Endpoint](t, "endpoints"), read[api.PolicyStatus](t, "policies")
	inv := flowmap.Inventory{Pods: pods, Policies: policies, Owners: map[string]flowmap.Owner{}}
	isolated := map[identity.ID][]flowmap.Isolation{}
	for _, p := range pods {
		inv.Owners[p.Namespace+"/"+p.Pod] = flowmap.Owner{Kind: "Pod", Name: p.Pod}
		if p.Pod == "vip" {
			isolated[p.Identity] = []flowmap.Isolation{{Policy: "concert/vip", Direction: api.Egress}, {Policy: "concert/vip", Direction: api.Ingress}}
		}
	}
	inv.Isolating = func(id identity.ID) []flowmap.Isolation { return isolated[id] }
	m := flowmap.New()
	m.SetInventory(inv)
	for _, f := range recordedFlows(t) {
		m.SetNode(f.Node, flowmap.Live, "")
		m.Add(&f)
	}
	return m
}

func read[T any](t *testing.T, name string) []T {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Items []T }
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Items
}

func recordedFlows(t *testing.T) (flows []api.Flow) {
	t.Helper()
	file, err := os.Open("testdata/flows.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	err = api.ReadRecords(file, func(r api.Record) error {
		flows = append(flows, *r.Flow)
		return nil
	})
	if err != nil || len(flows) == 0 {
		t.Fatalf("%d flows recorded, %v", len(flows), err)
	}
	late := time.Since(flows[len(flows)-1].Time)
	for i := range flows {
		flows[i].Time = flows[i].Time.Add(late)
	}
	return flows
}
