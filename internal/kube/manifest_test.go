package kube

import (
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
)

// manifest gives the objects of deploy/signet.yaml as text, by kind and name.
func manifest(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile("../../deploy/signet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]string{}
	for _, text := range strings.Split(string(data), "\n---\n") {
		var object struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			t.Fatal(err)
		}
		if object.Kind != "" {
			objects[object.Kind+" "+object.Metadata.Name] = text
		}
	}
	return objects
}

// The role holds exactly the verbs that this package uses.
func TestRole(t *testing.T) {
	fake := newFakeAPI(t, cluster(t))
	w := fake.watcher(t, func(Kind) {})
	store := fake.client(t).IdentityStore()
	set := concertSet()
	moved := tunnelNode(1)
	moved.Addresses = nil
	_, _ = w.GetPod(t.Context(), "shop", "db-0", "")
	_, _, _ = store.Get(t.Context(), 256)
	for _, err := range []error{
		store.Create(t.Context(), identity.Number(set, 0), set),
		w.PublishTunnel(t.Context(), moved, netip.MustParsePrefix("fd00::/64")),
		w.PublishIdentities(t.Context(), nil),
		w.SetNetworkUp(t.Context()),
		NewReporter(fake.client(t)).Report(t.Context(), []Problem{{Kind: "Tunnel", Name: "x"}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	it, ok := w.identities.get("", identity.Number(set, 0).String())
	if !ok {
		t.Fatal("no identity to delete")
	}
	if _, err := w.deleteUnused(t.Context(), it); err != nil {
		t.Fatal(err)
	}
	lead(t, fake, hasty, func() bool { return wasAsked(fake, "update", "leases") })
	used := usedVerbs(fake)
	used["create signet-cni.io tunnels"] = true // what a server-side apply of a new object needs besides patch
	equal(t, "granted verbs", grantedVerbs(t, "signet"), used)
}

// usedVerbs gives what was asked of the API server, as "verb group resource".
func usedVerbs(fake *fakeAPI) map[string]bool {
	used := map[string]bool{}
	for _, asked := range fake.seen() {
		used[asked.verb+" "+asked.group+" "+asked.resource] = true
		if asked.verb == "list" { // its watch may be on its way still
			used["watch "+asked.group+" "+asked.resource] = true
		}
	}
	return used
}

// grantedVerbs gives what the roles of that name allow, in the same form.
func grantedVerbs(t *testing.T, role string) map[string]bool {
	t.Helper()
	granted := map[string]bool{}
	cluster := decodeYAML[rbacv1.ClusterRole](t, manifest(t)["ClusterRole "+role])
	namespaced := decodeYAML[rbacv1.Role](t, manifest(t)["Role "+role])
	for _, rule := range slices.Concat(cluster.Rules, namespaced.Rules) {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					granted[verb+" "+group+" "+resource] = true
				}
			}
		}
	}
	return granted
}

// openAPI is the part of a CRD's OpenAPI schema that the Go types must agree with.
type openAPI struct {
	Type       string
	Required   []string
	Properties map[string]openAPI
	Items      *openAPI
	Additional *openAPI `json:"additionalProperties"`
}

type definition struct {
	Spec struct {
		Group, Scope string
		Names        struct{ Kind, Plural string }
		Versions     []struct {
			Name            string
			Served, Storage bool
			Subresources    map[string]any
			Columns         []struct{ Name, JSONPath string } `json:"additionalPrinterColumns"`
			Schema          struct {
				Root openAPI `json:"openAPIV3Schema"`
			}
		}
	}
}

func TestDefinitions(t *testing.T) {
	for _, test := range []struct {
		kind, plural string
		spec, status reflect.Type // status is nil if there is none
	}{
		{api.TunnelKind, api.Tunnels.Resource, reflect.TypeFor[api.TunnelSpec](), reflect.TypeFor[api.TunnelStatus]()},
		{api.IdentityKind, api.Identities.Resource, reflect.TypeFor[api.IdentitySpec](), nil},
	} {
		t.Run(test.kind, func(t *testing.T) {
			text := manifest(t)["CustomResourceDefinition "+test.plural+"."+api.GroupVersion.Group]
			var crd definition
			if err := yaml.Unmarshal([]byte(text), &crd); err != nil {
				t.Fatal(err)
			}
			spec := crd.Spec
			if spec.Group != api.GroupVersion.Group || spec.Scope != "Cluster" || spec.Names.Kind != test.kind || spec.Names.Plural != test.plural {
				t.Fatalf("definition of %+v", spec)
			}
			if len(spec.Versions) != 1 || spec.Versions[0].Name != api.GroupVersion.Version || !spec.Versions[0].Storage {
				t.Fatalf("versions %+v", spec.Versions)
			}
			if len(spec.Versions[0].Columns) < 3 {
				t.Errorf("printer columns %v", spec.Versions[0].Columns)
			}
			compareSchema(t, spec.Versions[0].Schema.Root.Properties["spec"], test.spec)
			if _, apart := spec.Versions[0].Subresources["status"]; apart != (test.status != nil) {
				t.Errorf("status is written apart from the rest: %t", apart)
			}
			if test.status != nil {
				compareSchema(t, spec.Versions[0].Schema.Root.Properties["status"], test.status)
			}
		})
	}
}

func compareSchema(t *testing.T, got openAPI, spec reflect.Type) {
	t.Helper()
	var fields, required []string
	for n := range spec.NumField() {
		name, option, _ := strings.Cut(spec.Field(n).Tag.Get("json"), ",")
		fields = append(fields, name)
		if option == "" {
			required = append(required, name)
		}
		property := got.Properties[name]
		var ok bool
		switch spec.Field(n).Type {
		case reflect.TypeFor[string]():
			ok = property.Type == "string"
		case reflect.TypeFor[bool]():
			ok = property.Type == "boolean"
		case reflect.TypeFor[*api.DetourSpec]():
			ok = property.Type == "object"
			compareSchema(t, property, reflect.TypeFor[api.DetourSpec]())
		case reflect.TypeFor[[]string]():
			ok = property.Type == "array" && property.Items != nil && property.Items.Type == "string"
		case reflect.TypeFor[[]int64]():
			ok = property.Type == "array" && property.Items != nil && property.Items.Type == "integer"
		case reflect.TypeFor[map[string]string]():
			ok = property.Type == "object" && property.Additional != nil && property.Additional.Type == "string"
		}
		if !ok {
			t.Errorf("%s is %s in Go, %+v in the schema", name, spec.Field(n).Type, property)
		}
	}
	slices.Sort(fields)
	equal(t, "properties", slices.Sorted(maps.Keys(got.Properties)), fields)
	slices.Sort(required)
	slices.Sort(got.Required)
	equal(t, "required", got.Required, required)
}

func TestAdmissionPolicy(t *testing.T) {
	objects := manifest(t)
	rule := decodeYAML[admissionv1.ValidatingAdmissionPolicy](t, objects["ValidatingAdmissionPolicy signet-own-node"])
	binding := decodeYAML[admissionv1.ValidatingAdmissionPolicyBinding](t, objects["ValidatingAdmissionPolicyBinding signet-own-node"])
	if *rule.Spec.FailurePolicy != admissionv1.Fail || binding.Spec.PolicyName != rule.Name ||
		!slices.Equal(binding.Spec.ValidationActions, []admissionv1.ValidationAction{admissionv1.Deny}) {
		t.Errorf("does not deny: %+v, %+v", rule.Spec, binding.Spec)
	}
	account := decodeYAML[corev1.ServiceAccount](t, objects["ServiceAccount signet"])
	user := "'system:serviceaccount:" + account.Namespace + ":" + account.Name + "'"
	if len(rule.Spec.MatchConditions) != 1 || !strings.Contains(rule.Spec.MatchConditions[0].Expression, user) {
		t.Errorf("does not hold for %s: %+v", user, rule.Spec.MatchConditions)
	}
}

func TestDaemonSets(t *testing.T) {
	objects := manifest(t)
	agent := decodeYAML[appsv1.DaemonSet](t, objects["DaemonSet signet"])
	if _, ok := objects["ConfigMap signet-config"]; !ok || agent.Spec.Template.Spec.ServiceAccountName != "signet" {
		t.Errorf("agent %+v", agent)
	}
	wg := decodeYAML[appsv1.DaemonSet](t, objects["DaemonSet signet-wg"])
	if roll := wg.Spec.UpdateStrategy.RollingUpdate; roll == nil || roll.MaxSurge.IntValue() != 1 || roll.MaxUnavailable.IntValue() != 0 {
		t.Errorf("signet-wg is updated by %+v: the old pod has to serve until the new one stands by", wg.Spec.UpdateStrategy)
	}
	image := agent.Spec.Template.Spec.Containers[0].Image
	equal(t, "privileged containers", checkPod(t, agent.Spec.Template.Spec, image), []string{"mount-bpffs", "agent"})
	equal(t, "privileged containers", checkPod(t, wg.Spec.Template.Spec, image), []string(nil))
}

// The verifier runs where whoever takes over a node cannot get at its token.
func TestVerifierDeployment(t *testing.T) {
	verifier := decodeYAML[appsv1.Deployment](t, manifest(t)["Deployment signet-verifier"])
	pod := verifier.Spec.Template.Spec
	agent := decodeYAML[appsv1.DaemonSet](t, manifest(t)["DaemonSet signet"])
	equal(t, "privileged containers", checkPod(t, pod, agent.Spec.Template.Spec.Containers[0].Image), []string(nil))
	if _, ok := pod.NodeSelector["node-role.kubernetes.io/control-plane"]; !ok {
		t.Errorf("runs on nodes %v", pod.NodeSelector)
	}
	if pod.ServiceAccountName != "signet-verifier" {
		t.Errorf("has the account %q", pod.ServiceAccountName)
	}
	rule := decodeYAML[admissionv1.ValidatingAdmissionPolicy](t, manifest(t)["ValidatingAdmissionPolicy signet-verified"])
	if *rule.Spec.FailurePolicy != admissionv1.Fail || len(rule.Spec.MatchConditions) != 0 {
		t.Errorf("does not hold for everybody: %+v", rule.Spec)
	}
}

// checkPod gives the names of the pod's privileged containers.
func checkPod(t *testing.T, pod corev1.PodSpec, image string) []string {
	t.Helper()
	if !pod.HostNetwork {
		t.Error("not on the host's network")
	}
	volumes := map[string]bool{}
	for _, volume := range pod.Volumes {
		volumes[volume.Name] = true
	}
	mounted := map[string]bool{}
	for _, container := range append(slices.Clone(pod.InitContainers), pod.Containers...) {
		for _, mount := range container.VolumeMounts {
			mounted[mount.Name] = true
			if p := mount.MountPropagation; p != nil && *p == corev1.MountPropagationBidirectional && !privileged(&container) {
				t.Errorf("%s: %s: Bidirectional needs privileged", container.Name, mount.Name)
			}
		}
		if container.SecurityContext.Capabilities != nil && slices.Contains(container.SecurityContext.Capabilities.Add, "SYS_RESOURCE") {
			t.Errorf("%s wants SYS_RESOURCE, which nested nodes do not have", container.Name)
		}
		if container.ImagePullPolicy != corev1.PullIfNotPresent || container.Image != image {
			t.Errorf("%s: image %s, %s", container.Name, container.Image, container.ImagePullPolicy)
		}
	}
	equal(t, "mounted volumes", slices.Sorted(maps.Keys(mounted)), slices.Sorted(maps.Keys(volumes)))
	var all []string
	for _, container := range append(slices.Clone(pod.InitContainers), pod.Containers...) {
		if privileged(&container) {
			all = append(all, container.Name)
		}
	}
	return all
}

func privileged(container *corev1.Container) bool {
	return container.SecurityContext.Privileged != nil && *container.SecurityContext.Privileged
}
