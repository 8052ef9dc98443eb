// Package trial runs pods of its own in a cluster, in a namespace of its own,
// and removes them again: what "signet connectivity test" tries things with.
package trial

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Label marks the namespaces of trials.
const Label = "signet-cni.io/connectivity-test"

// Ports of a server's pod. The trial's policies admit the first one alone.
const (
	Port          = 8080
	PortNoIngress = 8081 // admitted by the clients' policy, not by the servers'
	PortNoEgress  = 8082 // the other way round
	ServicePort   = 80
)

// Roles of pods.
const (
	Client = "client"
	Server = "server"
	Host   = "host" // shares the node's network
)

const (
	pollInterval = 500 * time.Millisecond
	// leftover is the age at which a trial's namespace counts as forgotten.
	leftover = 30 * time.Minute
)

// Config says what to run.
type Config struct {
	Image    string   // with the command signet
	Nodes    []string // each gets a client, a server and a host
	HostPort uint16   // of the hosts, on the nodes' addresses
	// Progress is told what happens, in a few words.
	Progress func(string)
}

// Pod is a pod that runs.
type Pod struct {
	Node, Role, Name string
	Addrs            []netip.Addr // at most one of each family, the first one is the usual one
	HostAddr         netip.Addr   // of its node
}

// Trial is a namespace and what runs in it.
type Trial struct {
	Namespace string
	Pods      []Pod
	Services  map[string][]netip.Addr // ClusterIPs, by the name of the server behind it

	config Config
	client kubernetes.Interface
	// explain says what to do about a failed request.
	explain func(err error, doing string) error
}

// New makes a trial that does not exist yet.
func New(client kubernetes.Interface, config Config, explain func(error, string) error) *Trial {
	return &Trial{config: config, client: client, explain: explain, Services: map[string][]netip.Addr{}}
}

// Name gives the name of a node's pod of a role; nodes count from 0.
func Name(role string, node int) string { return fmt.Sprintf("%s-%d", role, node) }

// Start creates everything and waits until every pod runs and is ready. Whether
// it fails or not, Remove has to be called.
func (t *Trial) Start(ctx context.Context) error {
	t.sweep(ctx)
	namespace, err := t.client.CoreV1().Namespaces().Create(ctx, namespaceObject(), metav1.CreateOptions{})
	if err != nil {
		return t.explain(err, "create a namespace for the test")
	}
	t.Namespace = namespace.Name
	t.config.Progress(fmt.Sprintf("namespace %s: %d pods with image %s", t.Namespace, 3*len(t.config.Nodes), t.config.Image))
	if err := t.waitAccount(ctx); err != nil {
		return err
	}
	for n, node := range t.config.Nodes {
		for _, pod := range t.config.pods(n, node) {
			if _, err := t.client.CoreV1().Pods(t.Namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
				return t.explain(err, "create pods in namespace "+t.Namespace)
			}
		}
		service, err := t.client.CoreV1().Services(t.Namespace).Create(ctx, serviceObject(n), metav1.CreateOptions{})
		if err != nil {
			return t.explain(err, "create Services in namespace "+t.Namespace)
		}
		if t.Services[service.Name], err = parseAddrs(service.Spec.ClusterIPs); err != nil {
			return fmt.Errorf("the ClusterIP of Service %s: %w", service.Name, err)
		}
	}
	return t.waitReady(ctx)
}

// Isolate puts the trial's policies in force.
func (t *Trial) Isolate(ctx context.Context) error {
	for _, policy := range policies() {
		_, err := t.client.NetworkingV1().NetworkPolicies(t.Namespace).Create(ctx, policy, metav1.CreateOptions{})
		if err != nil {
			return t.explain(err, "create NetworkPolicies in namespace "+t.Namespace)
		}
	}
	return nil
}

// Remove deletes the namespace and waits until it is gone.
func (t *Trial) Remove(ctx context.Context) error {
	if t.Namespace == "" {
		return nil
	}
	t.config.Progress("removing namespace " + t.Namespace)
	none := int64(0)
	namespaces := t.client.CoreV1().Namespaces()
	for _, p := range t.Pods { // nothing in them needs the time to end
		_ = t.client.CoreV1().Pods(t.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &none}) // the namespace goes
	}
	err := namespaces.Delete(ctx, t.Namespace, metav1.DeleteOptions{})
	for err == nil {
		_, err = namespaces.Get(ctx, t.Namespace, metav1.GetOptions{})
		if err == nil && !sleep(ctx) {
			err = ctx.Err()
		}
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("namespace %s is not gone: %w: \"kubectl delete namespace %s\"", t.Namespace, t.explain(err, "delete it"), t.Namespace)
}

// sweep deletes what a trial left that was killed. It is no matter if it
// cannot.
func (t *Trial) sweep(ctx context.Context) {
	old, err := t.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: Label})
	if err != nil {
		return
	}
	for _, namespace := range old.Items {
		if time.Since(namespace.CreationTimestamp.Time) > leftover {
			t.config.Progress("removing what an earlier test left: namespace " + namespace.Name)
			_ = t.client.CoreV1().Namespaces().Delete(ctx, namespace.Name, metav1.DeleteOptions{}) // the next one tries again
		}
	}
}

// waitAccount waits for the service account without which no pod is created.
func (t *Trial) waitAccount(ctx context.Context) error {
	for {
		_, err := t.client.CoreV1().ServiceAccounts(t.Namespace).Get(ctx, "default", metav1.GetOptions{})
		if err == nil || !apierrors.IsNotFound(err) {
			return wrap(err, t.explain, "get the service account of namespace "+t.Namespace)
		}
		if !sleep(ctx) {
			return errors.New("the API server makes no service account for the namespace: is the controller manager well?")
		}
	}
}

func wrap(err error, explain func(error, string) error, doing string) error {
	if err == nil {
		return nil
	}
	return explain(err, doing)
}

// waitReady waits for all pods, and says for which.
func (t *Trial) waitReady(ctx context.Context) error {
	told := ""
	for {
		list, err := t.client.CoreV1().Pods(t.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return wrap(err, t.explain, "list pods in namespace "+t.Namespace)
		}
		waiting := t.take(list.Items)
		if len(waiting) == 0 {
			t.config.Progress(fmt.Sprintf("all %d pods are ready", len(t.Pods)))
			return nil
		}
		if text := fmt.Sprintf("%d of %d pods are ready", len(t.Pods), len(list.Items)); text != told {
			told = text
			t.config.Progress(text)
		}
		if !sleep(ctx) {
			return fmt.Errorf("pods are not ready in time: %s: see \"signet status\" and, for an image that cannot be pulled, --image", waiting[0])
		}
	}
}

// take notes the pods that are ready, and gives why the others are not.
func (t *Trial) take(pods []corev1.Pod) (waiting []string) {
	t.Pods = nil
	for i := range pods {
		pod := &pods[i]
		var ips []string
		for _, ip := range pod.Status.PodIPs {
			ips = append(ips, ip.IP)
		}
		addrs, err := parseAddrs(ips)
		host, hostErr := netip.ParseAddr(pod.Status.HostIP)
		if !ready(pod) || err != nil || hostErr != nil {
			waiting = append(waiting, fmt.Sprintf("%s on node %s: %s", pod.Name, pod.Spec.NodeName, reason(pod)))
			continue
		}
		t.Pods = append(t.Pods, Pod{Node: pod.Spec.NodeName, Role: pod.Labels["role"], Name: pod.Name, Addrs: addrs, HostAddr: host})
	}
	return waiting
}

func parseAddrs(texts []string) ([]netip.Addr, error) {
	if len(texts) == 0 {
		return nil, errors.New("there is none")
	}
	var addrs []netip.Addr
	for _, text := range texts {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func reason(pod *corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil {
			return w.Reason + " " + w.Message
		}
		if d := c.State.Terminated; d != nil {
			return fmt.Sprintf("exited with code %d: %s", d.ExitCode, d.Message)
		}
	}
	return string(pod.Status.Phase)
}

// sleep waits a while, and reports whether ctx still lasts.
func sleep(ctx context.Context) bool {
	select {
	case <-time.After(pollInterval):
		return true
	case <-ctx.Done():
		return false
	}
}
