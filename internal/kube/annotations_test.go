package kube

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAnnotations(t *testing.T) {
	for _, c := range []struct {
		log, audit string
		want       LogMode
		wantAudit  bool
		problems   int
	}{
		{},
		{log: "none", audit: "false"},
		{log: "denied", want: LogDenied},
		{log: "all", audit: "true", want: LogAll, wantAudit: true},
		{log: "Denied", problems: 1},
		{audit: "yes", problems: 1},
		{log: "some", audit: "1", problems: 2},
	} {
		meta := metav1.ObjectMeta{Name: "shop", Annotations: map[string]string{LogAnnotation: c.log, AuditAnnotation: c.audit}}
		got, problems := withAnnotations("Namespace", parseNamespace)(&corev1.Namespace{ObjectMeta: meta})
		if got.log != c.want || got.audit != c.wantAudit || len(problems) != c.problems {
			t.Errorf("%q, %q: got %+v, problems %v", c.log, c.audit, got, problems)
		}
	}
}

// Only a Namespace has an audit mode: whoever may edit policies may not
// suspend others' that way.
func TestNoAuditOnPolicies(t *testing.T) {
	meta := metav1.ObjectMeta{Namespace: "shop", Name: "p", Annotations: map[string]string{AuditAnnotation: "true"}}
	got, problems := withAnnotations("NetworkPolicy", parsePolicy)(&netv1.NetworkPolicy{ObjectMeta: meta})
	if got.audit || len(problems) != 1 {
		t.Errorf("got %+v, problems %v", got, problems)
	}
}
