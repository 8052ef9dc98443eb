package agents_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/signet-cni/signet/internal/kube/agents"
)

func owned(name, kind, owner, hash string) corev1.Pod {
	p := pod(name, "a", running)
	p.Namespace = "shop"
	controls := true
	p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: owner, Controller: &controls}}
	if hash != "" {
		p.Labels = map[string]string{"pod-template-hash": hash}
	}
	return p
}

func TestOwners(t *testing.T) {
	bare := pod("bare", "a", running)
	bare.Namespace = "shop"
	s := &apiServer{pods: []corev1.Pod{
		owned("web-1", "ReplicaSet", "web-7d4b9c", "7d4b9c"),
		owned("own-1", "ReplicaSet", "own-7d4b9c", ""), // made by hand
		owned("db-0", "StatefulSet", "db", ""),
		owned("log-x", "DaemonSet", "log", ""),
		owned("once-x", "Job", "once", ""),
		owned("night-x", "Job", "night-29384750", ""),
		bare,
	}}
	got, err := connect(t, serve(t, s, nil)).Owners(t.Context())
	want := map[string]agents.Owner{
		"shop/web-1": {Kind: "Deployment", Name: "web"}, "shop/own-1": {Kind: "ReplicaSet", Name: "own-7d4b9c"},
		"shop/db-0": {Kind: "StatefulSet", Name: "db"}, "shop/log-x": {Kind: "DaemonSet", Name: "log"},
		"shop/once-x": {Kind: "Job", Name: "once"}, "shop/night-x": {Kind: "CronJob", Name: "night"},
		"shop/bare": {Kind: "Pod", Name: "bare"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}
