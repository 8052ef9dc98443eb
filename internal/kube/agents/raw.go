package agents

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// logTime bounds the reading of one container's log.
const logTime = time.Minute

// maxLog is how much of the end of a log is read, in bytes.
const maxLog = 8 << 20

// Raw gets what the API server has at a path, as JSON.
func (c *Cluster) Raw(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	raw, err := c.core.RESTClient().Get().RequestURI(path).SetHeader("Accept", "application/json").DoRaw(ctx)
	if err != nil {
		return nil, c.explain(err, "get "+path)
	}
	return raw, nil
}

// maxNames is how many objects are named.
const maxNames = "500"

// Names lists the objects at a path, by name: NAME, or NAMESPACE/NAME.
func (c *Cluster) Names(ctx context.Context, path string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	raw, err := c.core.RESTClient().Get().AbsPath(path).Param("limit", maxNames).
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").DoRaw(ctx)
	if err != nil {
		return nil, c.explain(err, "list "+path)
	}
	var list metav1.PartialObjectMetadataList
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("list %s: %w", path, err)
	}
	var names []string
	for i := range list.Items {
		name := list.Items[i].Name
		if namespace := list.Items[i].Namespace; namespace != "" {
			name = namespace + "/" + name
		}
		names = append(names, name)
	}
	return names, nil
}

// LogSource is a container of Signet's that has a log.
type LogSource struct {
	Node, Pod, Container string
	Previous             bool // the run before the last start
}

// LogSources lists the logs of Signet's own pods.
func (c *Cluster) LogSources(ctx context.Context) ([]LogSource, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	pods, err := c.core.Pods(c.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name in (signet, signet-wg)"})
	if err != nil {
		return nil, c.explain(err, "list pods in namespace "+c.namespace)
	}
	var list []LogSource
	for i := range pods.Items {
		pod := &pods.Items[i]
		for _, s := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			source := LogSource{Node: pod.Spec.NodeName, Pod: pod.Name, Container: s.Name}
			list = append(list, source)
			if s.RestartCount > 0 {
				source.Previous = true
				list = append(list, source)
			}
		}
	}
	return list, nil
}

// Log copies the end of a log.
func (c *Cluster) Log(ctx context.Context, source LogSource, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	limit := int64(maxLog)
	stream, err := c.core.Pods(c.namespace).GetLogs(source.Pod, &corev1.PodLogOptions{
		Container: source.Container, Previous: source.Previous, Timestamps: true, LimitBytes: &limit, TailLines: tail(),
	}).Stream(ctx)
	if err != nil {
		return c.explain(err, "read the log of pod "+source.Pod)
	}
	defer func() { _ = stream.Close() }() // it has been read
	if _, err := io.Copy(w, stream); err != nil {
		return fmt.Errorf("read the log of pod %s: %w", source.Pod, err)
	}
	return nil
}

// tail keeps the limit from cutting the end: lines are shorter than this makes
// them.
func tail() *int64 {
	lines := int64(maxLog / 400)
	return &lines
}
