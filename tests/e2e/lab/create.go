package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Namespace is a namespace with its labels.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// readyTime is how long pods may take to become ready.
const readyTime = 2 * time.Minute

// Create makes namespaces, pods and Services, as far as they are not there,
// and waits until the pods are ready. It fills in their addresses.
func (c *Cluster) Create(ctx context.Context, namespaces []Namespace, pods []*Pod) error {
	if err := c.CreateNamespaces(ctx, namespaces); err != nil {
		return err
	}
	var manifest strings.Builder
	for _, p := range pods {
		part, err := p.manifest(c.Nodes[p.Node])
		if err != nil {
			return err
		}
		manifest.WriteString(part)
	}
	err := c.Apply(ctx, manifest.String())
	if err != nil && strings.Contains(err.Error(), "pod updates may not change") {
		err = c.replace(ctx, pods, manifest.String())
	}
	if err != nil {
		return err
	}
	return c.WaitReady(ctx, pods)
}

// replace makes pods anew that an earlier version of these programs made: what
// matters of a pod cannot be changed.
func (c *Cluster) replace(ctx context.Context, pods []*Pod, manifest string) error {
	for _, p := range pods {
		_, err := c.Run(ctx, "", "delete", "pod", "-n", p.Namespace, p.Name, "--ignore-not-found", "--wait=true")
		if err != nil {
			return err
		}
	}
	return c.Apply(ctx, manifest)
}

// CreateNamespaces makes namespaces and waits for what their pods need.
func (c *Cluster) CreateNamespaces(ctx context.Context, namespaces []Namespace) error {
	var manifest strings.Builder
	for _, ns := range namespaces {
		labels, err := toJSON(ns.Labels)
		if err != nil {
			return err
		}
		fmt.Fprintf(&manifest, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: %s}\n", ns.Name, labels)
	}
	if manifest.Len() > 0 {
		if err := c.Apply(ctx, manifest.String()); err != nil {
			return err
		}
	}
	for _, ns := range namespaces {
		// A pod that comes before its namespace's service account is refused.
		_, err := c.Run(ctx, "", "wait", "--for=create", "serviceaccount/default", "-n", ns.Name, "--timeout=30s")
		if err != nil {
			return err
		}
	}
	return nil
}

// Delete removes namespaces and all in them, without waiting.
func (c *Cluster) Delete(ctx context.Context, namespaces []Namespace) error {
	args := []string{"delete", "namespace", "--ignore-not-found", "--wait=false"}
	for _, ns := range namespaces {
		args = append(args, ns.Name)
	}
	_, err := c.Run(ctx, "", args...)
	return err
}

// WaitReady waits until the pods are ready and fills in their addresses.
func (c *Cluster) WaitReady(ctx context.Context, pods []*Pod) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, errors.New("the time is up"))
	defer cancel()
	for {
		waiting, err := c.locate(ctx, pods)
		if err != nil || len(waiting) == 0 {
			return err
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("pods not ready after %s: %s", readyTime, strings.Join(waiting, ", "))
		}
	}
}

type podList struct {
	Items []struct {
		Metadata objectMeta `json:"metadata"`
		Status   struct {
			Phase  string `json:"phase"`
			PodIPs []struct {
				IP netip.Addr `json:"ip"`
			} `json:"podIPs"`
			Conditions []struct {
				Type   string `json:"type"`
				Status string `json:"status"`
			} `json:"conditions"`
		} `json:"status"`
	} `json:"items"`
}

type serviceList struct {
	Items []struct {
		Metadata objectMeta `json:"metadata"`
		Spec     struct {
			ClusterIP string `json:"clusterIP"`
		} `json:"spec"`
	} `json:"items"`
}

type objectMeta struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// locate fills in what is known and names the pods that are not ready.
func (c *Cluster) locate(ctx context.Context, pods []*Pod) (waiting []string, err error) {
	byKey := map[string]*Pod{}
	ready := map[string]bool{}
	namespaces := map[string]bool{}
	for _, p := range pods {
		byKey[p.Key()] = p
		namespaces[p.Namespace] = true
	}
	for namespace := range namespaces {
		if err := c.locateIn(ctx, namespace, byKey, ready); err != nil {
			return nil, err
		}
	}
	for _, p := range pods {
		if !ready[p.Key()] {
			waiting = append(waiting, p.Key())
		}
	}
	return waiting, nil
}

func (c *Cluster) locateIn(ctx context.Context, namespace string, byKey map[string]*Pod, ready map[string]bool) error {
	var list podList
	if err := c.Get(ctx, &list, "pods", "-n", namespace); err != nil {
		return err
	}
	for _, item := range list.Items {
		p := byKey[item.Metadata.Namespace+"/"+item.Metadata.Name]
		if p == nil {
			continue
		}
		var own []netip.Addr // none until the kubelet has told
		for _, ip := range item.Status.PodIPs {
			own = append(own, ip.IP)
		}
		p.Addr, p.Addr6 = byFamily(own)
		for _, condition := range item.Status.Conditions {
			if condition.Type == "Ready" && condition.Status == "True" {
				ready[p.Key()] = true
			}
		}
	}
	return c.locateServices(ctx, namespace, byKey)
}

func (c *Cluster) locateServices(ctx context.Context, namespace string, byKey map[string]*Pod) error {
	var services serviceList
	if err := c.Get(ctx, &services, "services", "-n", namespace); err != nil {
		return err
	}
	for _, item := range services.Items {
		if p := byKey[item.Metadata.Namespace+"/"+item.Metadata.Name]; p != nil {
			p.Service, _ = netip.ParseAddr(item.Spec.ClusterIP) // "None" for a headless one
		}
	}
	return nil
}
