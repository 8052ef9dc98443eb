package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/kube"
)

func TestVerdictLog(t *testing.T) {
	flow := func(verdict, to string, parts ...api.PolicyPart) *api.Flow {
		return &api.Flow{Verdict: verdict, Src: api.End{Namespace: "a"}, Dst: api.End{Namespace: to}, Policies: parts}
	}
	part := api.PolicyPart{Namespace: "shop", Name: "p"}
	policies := kube.Annotations{LogPolicies: map[policy.PolicyRef]kube.LogMode{{Namespace: "shop", Name: "p"}: kube.LogDenied}}
	namespaces := kube.Annotations{LogNamespaces: map[string]kube.LogMode{"shop": kube.LogAll}}
	for _, c := range []struct {
		name   string
		flow   *api.Flow
		wanted kube.Annotations
		want   bool
	}{
		{"nobody asks", flow(api.Dropped, "shop", part), kube.Annotations{}, false},
		{"a drop by the policy", flow(api.Dropped, "shop", part), policies, true},
		{"would be a drop", flow(api.Audited, "shop", part), policies, true},
		{"the policy admits, but wants drops", flow(api.Admitted, "shop", part), policies, false},
		{"another policy", flow(api.Dropped, "shop", api.PolicyPart{Namespace: "shop", Name: "q"}), policies, false},
		{"into the namespace", flow(api.Admitted, "shop"), namespaces, true},
		{"elsewhere", flow(api.Admitted, "b"), namespaces, false},
	} {
		var out bytes.Buffer
		newVerdictLog(&out).write(t.Context(), c.flow, c.wanted)
		var line struct {
			Msg  string
			Flow api.Flow
		}
		if logged := out.Len() > 0; logged != c.want {
			t.Errorf("%s: logged %q", c.name, out.String())
		} else if err := json.Unmarshal(out.Bytes(), &line); logged && (err != nil || line.Msg != "verdict" || line.Flow.Verdict != c.flow.Verdict) {
			t.Errorf("%s: %v in %q", c.name, err, out.String())
		}
	}
}
