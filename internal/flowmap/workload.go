package flowmap

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
)

// Kinds of workload that no controller made.
const (
	Pods    = "Pods"    // pods that share their labels
	Outside = "Outside" // what is no pod: the world, the nodes
)

// Workload is a box of the map: pods that are one thing to people.
type Workload struct {
	ID        string `json:"id"`
	Namespace string `json:"namespace,omitempty"` // "": no pod
	Kind      string `json:"kind"`                // Deployment, …, Pods, Outside
	Name      string `json:"name"`
	// Pods there are now; none of a workload that only flows of the past know.
	Pods       []Pod             `json:"pods,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"` // those that all its pods have
	Identities []identity.ID     `json:"identities,omitempty"`
	// Policies that isolate its pods.
	Policies []Isolation `json:"policies,omitempty"`
}

// Pod is one pod of a workload.
type Pod struct {
	Name string     `json:"name"`
	Node string     `json:"node"`
	Addr netip.Addr `json:"addr,omitzero"`
}

// Isolation is a policy that isolates pods.
type Isolation struct {
	Policy    string `json:"policy"`    // namespace/name
	Direction string `json:"direction"` // api.Ingress or api.Egress
}

// Owner is the controller of a pod.
type Owner struct{ Kind, Name string }

// Inventory is what there is in the cluster at one time.
type Inventory struct {
	Pods   []api.Endpoint
	Owners map[string]Owner // by namespace/pod; a pod that is missing is grouped by its labels
	// Isolating gives the policies that isolate an identity; nil: not known.
	Isolating func(identity.ID) []Isolation
	Policies  []api.PolicyStatus
}

// index finds the workload of an end of a flow.
type index struct {
	byID       map[string]*Workload
	byPod      map[string]*Workload
	byIdentity map[identity.ID][]*Workload
}

func newIndex(inv Inventory) *index {
	x := &index{byID: map[string]*Workload{}, byPod: map[string]*Workload{}, byIdentity: map[identity.ID][]*Workload{}}
	for i := range inv.Pods {
		x.addPod(&inv.Pods[i], inv)
	}
	for _, w := range x.byID {
		slices.SortFunc(w.Pods, func(a, b Pod) int { return strings.Compare(a.Name, b.Name) })
		slices.Sort(w.Identities)
		slices.SortFunc(w.Policies, func(a, b Isolation) int {
			return strings.Compare(a.Policy+a.Direction, b.Policy+b.Direction)
		})
	}
	return x
}

func (x *index) addPod(e *api.Endpoint, inv Inventory) {
	w := x.workload(e, inv.Owners)
	w.Pods = append(w.Pods, Pod{Name: e.Pod, Node: e.Node, Addr: e.Addr})
	x.byPod[e.Namespace+"/"+e.Pod] = w
	if !slices.Contains(w.Identities, e.Identity) && e.Identity != identity.Unknown {
		w.Identities = append(w.Identities, e.Identity)
		x.byIdentity[e.Identity] = append(x.byIdentity[e.Identity], w)
		if inv.Isolating != nil {
			w.isolate(inv.Isolating(e.Identity))
		}
	}
	if len(w.Pods) == 1 {
		w.Labels = maps.Clone(e.Labels)
		return
	}
	maps.DeleteFunc(w.Labels, func(k, v string) bool { got, ok := e.Labels[k]; return !ok || got != v })
}

func (w *Workload) isolate(by []Isolation) {
	for _, i := range by {
		if !slices.Contains(w.Policies, i) {
			w.Policies = append(w.Policies, i)
		}
	}
}

func (x *index) workload(e *api.Endpoint, owners map[string]Owner) *Workload {
	if owner, ok := owners[e.Namespace+"/"+e.Pod]; ok {
		return x.ensure(e.Namespace, owner.Kind, owner.Name)
	}
	return x.ensure(e.Namespace, Pods, labelName(e.Labels, e.Pod))
}

func (x *index) ensure(namespace, kind, name string) *Workload {
	id := namespace + "/" + kind + "/" + name
	w := x.byID[id]
	if w == nil {
		w = &Workload{ID: id, Namespace: namespace, Kind: kind, Name: name}
		x.byID[id] = w
	}
	return w
}

// find gives the workload of an end, and makes one for an end that is not in
// the inventory.
func (x *index) find(end *api.End) *Workload {
	if w := x.byPod[end.Namespace+"/"+end.Pod]; w != nil && end.Pod != "" {
		return w
	}
	if same := x.byIdentity[end.Identity]; len(same) == 1 {
		return same[0]
	}
	if end.Namespace == "" {
		return x.ensure("", Outside, outsideName(end))
	}
	w := x.ensure(end.Namespace, Pods, labelName(end.Labels, end.Pod))
	if len(w.Pods) == 0 && w.Labels == nil {
		w.Labels = maps.Clone(end.Labels)
	}
	if end.Identity != identity.Unknown && !slices.Contains(w.Identities, end.Identity) {
		w.Identities = append(w.Identities, end.Identity)
	}
	return w
}

func outsideName(end *api.End) string {
	switch {
	case end.IdentityName != "" && end.Identity != identity.Unknown:
		return end.IdentityName
	case end.Identity != identity.Unknown:
		return "identity " + end.Identity.String()
	}
	return "unknown"
}

// nameLabels name an application, the first one that a pod has.
var nameLabels = []string{"app.kubernetes.io/name", "app", "k8s-app", "name", "role", "run"}

// labelName gives pods a name by their labels, one without any by its own.
func labelName(labels map[string]string, pod string) string {
	for _, key := range nameLabels {
		if value := labels[key]; value != "" {
			return value
		}
	}
	if len(labels) == 0 {
		return pod
	}
	parts := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, ",")
}
