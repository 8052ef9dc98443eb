package agents

import (
	"context"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Owner is the controller that people know a pod by.
type Owner struct{ Kind, Name string }

// templateHash is a label with which a Deployment tells its ReplicaSets apart.
const templateHash = "pod-template-hash"

// scheduled is a Job's name as a CronJob makes it: its own and the minute.
var scheduled = regexp.MustCompile(`^(.+)-[0-9]{8,10}$`)

// Owners gives the controllers of all pods of the cluster, by namespace/name,
// of a pod without one the pod itself. It needs the right to list pods in all
// namespaces.
func (c *Cluster) Owners(ctx context.Context) (map[string]Owner, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	// Resource version 0 lets the API server answer from its cache.
	pods, err := c.core.Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, c.explain(err, "list pods in all namespaces")
	}
	owners := make(map[string]Owner, len(pods.Items))
	for i := range pods.Items {
		pod := &pods.Items[i]
		owners[pod.Namespace+"/"+pod.Name] = ownerOf(&pod.ObjectMeta)
	}
	return owners, nil
}

// ownerOf tells the owner by what a pod says of itself: a Deployment by its
// ReplicaSet's name, a CronJob by its Job's.
func ownerOf(pod *metav1.ObjectMeta) Owner {
	controller := metav1.GetControllerOfNoCopy(pod)
	if controller == nil {
		return Owner{Kind: "Pod", Name: pod.Name}
	}
	owner := Owner{Kind: controller.Kind, Name: controller.Name}
	hash := pod.Labels[templateHash]
	if name, ok := strings.CutSuffix(owner.Name, "-"+hash); ok && hash != "" && owner.Kind == "ReplicaSet" {
		return Owner{Kind: "Deployment", Name: name}
	}
	if match := scheduled.FindStringSubmatch(owner.Name); match != nil && owner.Kind == "Job" {
		return Owner{Kind: "CronJob", Name: match[1]}
	}
	return owner
}
