package agents

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// byNode gives each node's agent. While one pod replaces another, that is the
// one that runs and stays.
func byNode(pods []corev1.Pod) map[string]Agent {
	best := map[string]*corev1.Pod{}
	for i := range pods {
		pod := &pods[i]
		if pod.Spec.NodeName == "" || !hasAgent(pod) {
			continue
		}
		if other := best[pod.Spec.NodeName]; other == nil || better(pod, other) {
			best[pod.Spec.NodeName] = pod
		}
	}
	found := make(map[string]Agent, len(best))
	for node, pod := range best {
		found[node] = Agent{Node: node, Pod: pod.Name, Image: image(pod), Problem: problem(pod)}
	}
	return found
}

func sorted(found map[string]Agent) []Agent {
	return slices.SortedFunc(maps.Values(found), func(a, b Agent) int { return cmp.Compare(a.Node, b.Node) })
}

func hasAgent(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == container })
}

func image(pod *corev1.Pod) string {
	at := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == container })
	return pod.Spec.Containers[at].Image
}

func better(pod, other *corev1.Pod) bool {
	if a, b := problem(pod) == "", problem(other) == ""; a != b {
		return a
	}
	if a, b := pod.DeletionTimestamp == nil, other.DeletionTimestamp == nil; a != b {
		return a
	}
	return other.CreationTimestamp.Before(&pod.CreationTimestamp)
}

// problem says why the agent's container does not run, "" if it does.
func problem(pod *corev1.Pod) string {
	statuses := slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
	for i := range statuses {
		if s := &statuses[i]; s.Name == container && s.State.Running != nil {
			return ""
		}
	}
	return fmt.Sprintf("its agent does not run (pod %s is %s%s): see \"kubectl -n %s describe pod %s\"",
		pod.Name, cmp.Or(string(pod.Status.Phase), "not started"), waiting(statuses), pod.Namespace, pod.Name)
}

// waiting gives the reason of the first container that neither runs nor has
// succeeded.
func waiting(statuses []corev1.ContainerStatus) string {
	for i := range statuses {
		s := &statuses[i]
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "" && s.State.Waiting.Reason != "PodInitializing":
			return ", " + s.Name + ": " + s.State.Waiting.Reason
		case s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
			return fmt.Sprintf(", %s exited with code %d", s.Name, s.State.Terminated.ExitCode)
		}
	}
	return ""
}
