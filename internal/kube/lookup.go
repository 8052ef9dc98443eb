package kube

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ErrNoPod is what GetPod returns if the API has no such pod on this node: it
// is gone, was replaced by another of its name, or is scheduled elsewhere.
var ErrNoPod = errors.New("no such pod on this node")

// GetPod gives the pod of that UID: as watched, or if the watch does not have
// it yet, with one request. An empty UID stands for whichever pod bears the
// name now, which only a request can tell.
func (w *Watcher) GetPod(ctx context.Context, namespace, name, uid string) (Pod, error) {
	if it, ok := w.pods.get(namespace, name); ok && uid != "" && it.value.UID == uid {
		return it.value, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	object, err := w.client.core.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Pod{}, fmt.Errorf("kube: pod %s/%s: %w", namespace, name, ErrNoPod)
	}
	if err != nil {
		return Pod{}, fmt.Errorf("kube: pod %s/%s: %w", namespace, name, err)
	}
	if got := string(object.UID); uid != "" && got != uid {
		return Pod{}, fmt.Errorf("kube: pod %s/%s: UID is %s, want %s: %w", namespace, name, got, uid, ErrNoPod)
	}
	if object.Spec.NodeName != w.client.node {
		return Pod{}, fmt.Errorf("kube: pod %s/%s: is on node %q: %w", namespace, name, object.Spec.NodeName, ErrNoPod)
	}
	pod, _ := parsePod(object)
	return pod, nil
}
