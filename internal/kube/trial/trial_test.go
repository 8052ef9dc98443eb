package trial_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/signet-cni/signet/internal/kube/trial"
)

// cluster is an API server that gives names, service accounts and addresses as
// a real one does.
func cluster(ready bool) *fake.Clientset {
	client := fake.NewClientset(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "signet-test-1", Name: "default"}})
	client.PrependReactor("create", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		switch object := action.(clienttesting.CreateAction).GetObject().(type) {
		case *corev1.Namespace:
			object.Name = object.GenerateName + "1"
		case *corev1.Service:
			object.Spec.ClusterIPs = []string{"10.96.0.9", "fd10:96::9"}
		case *corev1.Pod:
			object.Status.HostIP = "172.18.0.2"
			if ready {
				object.Status.PodIPs = []corev1.PodIP{{IP: "10.244.1.2"}, {IP: "fd10:244:1::2"}}
				object.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			} else {
				object.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
					Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"},
				}}}
			}
		}
		return false, nil, nil
	})
	return client
}

func start(client *fake.Clientset, wait time.Duration) (*trial.Trial, []string, error) {
	var told []string
	made := trial.New(client, trial.Config{
		Image: "signet:1", Nodes: []string{"a", "b"}, HostPort: 28472, Progress: func(text string) { told = append(told, text) },
	}, func(err error, doing string) error { return errors.New(doing + ": " + err.Error()) })
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	err := made.Start(ctx)
	return made, told, err
}

func TestTrial(t *testing.T) {
	client := cluster(true)
	made, told, err := start(client, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Pods) != 6 || len(made.Services) != 2 || len(made.Services["server-1"]) != 2 || len(made.Pods[0].Addrs) != 2 {
		t.Errorf("pods %+v, Services %v", made.Pods, made.Services)
	}
	if len(told) < 2 || !strings.Contains(told[0], "6 pods with image signet:1") {
		t.Errorf("told %q", told)
	}
	if err := made.Isolate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := made.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), made.Namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is still there: %v", err)
	}
}

// Nobody but the pods of the test has rights or a token.
func TestPodsAreHarmless(t *testing.T) {
	client := cluster(true)
	if _, _, err := start(client, time.Minute); err != nil {
		t.Fatal(err)
	}
	pods, err := client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 6 {
		t.Fatalf("%d pods, %v", len(pods.Items), err)
	}
	for i := range pods.Items {
		spec, security := pods.Items[i].Spec, pods.Items[i].Spec.Containers[0].SecurityContext
		if *spec.AutomountServiceAccountToken || !*spec.SecurityContext.RunAsNonRoot || *security.AllowPrivilegeEscalation ||
			!*security.ReadOnlyRootFilesystem || len(security.Capabilities.Drop) != 1 || len(security.Capabilities.Add) != 0 || len(spec.Volumes) != 0 {
			t.Errorf("pod %s: %+v", pods.Items[i].Name, spec)
		}
	}
}

func TestPodsThatDoNotStart(t *testing.T) {
	client := cluster(false)
	made, _, err := start(client, 1200*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "ErrImagePull") || !strings.Contains(err.Error(), "--image") {
		t.Errorf("%v", err)
	}
	if err := made.Remove(t.Context()); err != nil {
		t.Errorf("Remove: %v", err)
	}
}

func TestWithoutRights(t *testing.T) {
	client := cluster(true)
	client.PrependReactor("create", "namespaces", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("forbidden")
	})
	made, _, err := start(client, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "create a namespace") {
		t.Errorf("%v", err)
	}
	if err := made.Remove(t.Context()); err != nil {
		t.Errorf("nothing to remove: %v", err)
	}
}

// What a killed test left goes with the next.
func TestSweep(t *testing.T) {
	client := cluster(true)
	for name, age := range map[string]time.Duration{"signet-test-old": time.Hour, "signet-test-new": time.Minute} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{trial.Label: "true"}, CreationTimestamp: metav1.NewTime(time.Now().Add(-age)),
		}}
		if err := client.Tracker().Add(namespace); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := start(client, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), "signet-test-old", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the old one is still there: %v", err)
	}
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), "signet-test-new", metav1.GetOptions{}); err != nil {
		t.Errorf("the one that runs: %v", err)
	}
}
