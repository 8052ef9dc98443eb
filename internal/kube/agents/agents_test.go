package agents_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/signet-cni/signet/internal/kube/agents"
)

// pod is an agent's pod with its container in a state.
func pod(name, node string, state corev1.ContainerState) corev1.Pod {
	p := corev1.Pod{}
	p.Name, p.Namespace, p.Spec.NodeName = name, "kube-system", node
	p.Spec.Containers = []corev1.Container{{Name: "wg"}, {Name: "agent"}}
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "agent", State: state}}
	return p
}

var (
	running  = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	crashing = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
)

func TestAgents(t *testing.T) {
	other := pod("other", "a", running)
	other.Spec.Containers = other.Spec.Containers[:1]
	leaving := pod("leaving", "b", running)
	leaving.DeletionTimestamp, leaving.DeletionGracePeriodSeconds = &metav1.Time{Time: time.Now()}, new(int64)
	s := &apiServer{
		nodes: []string{"a", "b", "c", "d"},
		pods: []corev1.Pod{
			pod("pending", "", crashing), pod("one", "a", running), other, leaving,
			pod("two", "b", running), pod("three", "c", crashing), pod("e-pod", "e", running),
		},
	}
	found, err := connect(t, serve(t, s, nil)).Agents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []agents.Agent{
		{Node: "a", Pod: "one"},
		{Node: "b", Pod: "two"},
		{Node: "c", Pod: "three", Problem: `its agent does not run (pod three is Running, agent: CrashLoopBackOff): ` +
			`see "kubectl -n kube-system describe pod three"`},
		{Node: "d", Problem: `the node has no agent pod: see "kubectl -n kube-system describe daemonset signet"`},
		{Node: "e", Pod: "e-pod"},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAgentsWithoutTheRightToListNodes(t *testing.T) {
	s := &apiServer{
		pods:   []corev1.Pod{pod("one", "a", running)},
		refuse: map[string]int{"/api/v1/nodes": http.StatusForbidden},
	}
	found, err := connect(t, serve(t, s, nil)).Agents(t.Context())
	if err != nil || !cmp.Equal(found, []agents.Agent{{Node: "a", Pod: "one"}}) {
		t.Errorf("%v, %v", found, err)
	}
}

func TestExec(t *testing.T) {
	s := &apiServer{run: func(session *session, pod string, command []string) int {
		if pod != "one" || !slices.Equal(command, []string{"signet", "status", "-o", "json"}) {
			return 99
		}
		session.write(remotecommand.StreamStdOut, "some")
		session.write(remotecommand.StreamStdErr, "first line\nsecond\n")
		session.write(remotecommand.StreamStdOut, "thing")
		return 1
	}}
	var stdout bytes.Buffer
	err := connect(t, serve(t, s, nil)).Exec(t.Context(), agents.Agent{Node: "a", Pod: "one"},
		[]string{"signet", "status", "-o", "json"}, &stdout)
	var exit *agents.ExitError
	if !errors.As(err, &exit) || exit.Code != 1 || exit.Stderr != "first line\nsecond" || stdout.String() != "something" {
		t.Errorf("stdout %q, error %#v", stdout.String(), err)
	}
}

func TestExecSucceeds(t *testing.T) {
	s := &apiServer{run: func(*session, string, []string) int { return 0 }}
	if err := connect(t, serve(t, s, nil)).Exec(t.Context(), agents.Agent{Pod: "one"}, []string{"x"}, &bytes.Buffer{}); err != nil {
		t.Error(err)
	}
}

// A command that follows ends when the one who asked leaves.
func TestExecEndsWithItsContext(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	s := &apiServer{run: func(session *session, _ string, _ []string) int {
		close(begun)
		session.untilInputEnds()
		close(ended)
		return 0
	}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	err := connect(t, serve(t, s, nil)).Exec(ctx, agents.Agent{Pod: "one"}, []string{"x"}, &bytes.Buffer{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the command goes on")
	}
}

// failures are what a user can meet before any agent is asked.
func TestFailuresSayWhatToDo(t *testing.T) {
	const pods = "/api/v1/namespaces/kube-system/pods"
	certificate, key := expired(t)
	gone := httptest.NewTLSServer(http.NotFoundHandler())
	gone.Close()
	for name, test := range map[string]struct {
		server *apiServer
		change func(*clientcmdapi.Config)
		want   []string
	}{
		"no Signet": {server: &apiServer{nodes: []string{"a"}}, want: []string{"no Signet agent", "kubectl apply"}},
		"forbidden": {
			server: &apiServer{refuse: map[string]int{pods: http.StatusForbidden}},
			want:   []string{"not allowed", "list on pods"},
		},
		"logged out": {
			server: &apiServer{refuse: map[string]int{pods: http.StatusUnauthorized}},
			want:   []string{"does not accept", "log in again"},
		},
		"expired certificate": {
			server: &apiServer{refuse: map[string]int{pods: http.StatusUnauthorized}},
			change: func(c *clientcmdapi.Config) {
				c.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
			},
			want: []string{"expired on 2021-01-01", "new kubeconfig"},
		},
		"another cluster's CA": {
			server: &apiServer{},
			change: func(c *clientcmdapi.Config) { c.Clusters["test"].CertificateAuthorityData = certificate },
			want:   []string{"is not the one of the kubeconfig"},
		},
		"no API server": {
			server: &apiServer{},
			change: func(c *clientcmdapi.Config) { c.Clusters["test"].Server = gone.URL },
			want:   []string{"does not answer", "is the cluster up"},
		},
	} {
		_, err := connect(t, serve(t, test.server, test.change)).Agents(t.Context())
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %q, want %q in one line", name, err, want)
			}
		}
	}
}

func TestKubeconfigProblems(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	good := kubeconfig(t, "https://127.0.0.1:1", nil, nil)
	for name, test := range map[string]struct {
		config agents.Config
		want   string
	}{
		"no file":    {agents.Config{Kubeconfig: "/nonexistent/config"}, "--kubeconfig"},
		"no context": {agents.Config{Kubeconfig: good, Context: "nope"}, "get-contexts"},
	} {
		if _, err := agents.Connect(test.config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
