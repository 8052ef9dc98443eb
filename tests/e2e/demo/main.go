// Command demo shows on a running kind cluster what Signet does: who reaches
// whom, what the link between the nodes carried, and what the nodes read from
// the packets. It exits 0 only if all of it is as it has to be.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
	"github.com/signet-cni/signet/tests/e2e/story"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	began := time.Now()
	d := &demo{out: newPage(os.Stdout), concert: story.Concert("concert")}
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	return d.conclude(time.Since(began))
}

// demo is one run of it.
type demo struct {
	out     *page
	cluster *lab.Cluster
	concert *story.Story
	rows    []story.Row // of the matrix
	since   time.Time   // when the matrix began, by the clock of all nodes
	lines   int         // compared with what they have to be
	wrong   int         // of them
}

func (d *demo) run(ctx context.Context) error {
	var err error
	if d.cluster, err = lab.Open(ctx); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{d.setUp, d.matrix, d.encryption, d.tags} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// setUp puts the concert into the cluster. The policy comes before the pods
// that it is about, so that nothing has to wait for it.
func (d *demo) setUp(ctx context.Context) error {
	d.out.title("The concert: four pods on three nodes, each with its Service, and one NetworkPolicy")
	c := d.concert
	if err := d.cluster.CreateNamespaces(ctx, c.Namespaces); err != nil {
		return err
	}
	if err := c.Do(ctx, d.cluster, c.Steps[0]); err != nil {
		return err
	}
	if err := d.cluster.Create(ctx, nil, c.Pods); err != nil {
		return err
	}
	t := d.out.table("POD", "LABELS", "ADDRESS", "SERVICE", "NODE")
	for _, p := range c.Pods {
		t.row(p.Name, labels(p.Labels), p.Addr, p.Service, d.cluster.Nodes[p.Node].Name)
	}
	t.flush()
	d.out.text("policy on role=vip:  in   from role=security, to TCP 80, and nothing else\n" +
		"                     out  to role=backend, to TCP 8080, and nothing else")
	return nil
}

// matrix tries every pair of pods and every port in every way.
func (d *demo) matrix(ctx context.Context) error {
	d.out.title("Who reaches whom, by the address of the pod, of its Service and by the name of its Service")
	var err error
	if d.rows, err = d.concert.Rows(d.concert.Steps[0]); err != nil {
		return err
	}
	d.since = time.Now()
	story.Try(ctx, d.cluster, d.rows)
	t := d.out.table("FROM", "TO", "PORT", "EXPECTED", "POD IP", "SERVICE IP", "SERVICE NAME", "")
	for _, r := range d.rows {
		expected := "no"
		if r.Open {
			expected = "yes"
		}
		t.row(r.From.Name, r.To.Name, fmt.Sprintf("%s %d", r.Protocol, r.Port), expected,
			r.ByAddr.Got, r.ByService.Got, r.ByName.Got, d.mark(r.OK()))
	}
	t.flush()
	d.out.text("answer   the reply came, was that pod's own, and that pod had seen the client's own address\n" +
		"silence  nothing came back for 3 s\n" +
		"no name  the policy lets the vip out to the backend only, so it cannot ask the DNS server either")
	for _, r := range d.rows {
		for _, result := range []lab.Result{r.ByAddr, r.ByService, r.ByName} {
			if !result.OK() {
				d.out.text(result.String())
			}
		}
	}
	return nil
}

// mark counts a line and gives the sign that ends it.
func (d *demo) mark(ok bool) string {
	d.lines++
	if ok {
		return good
	}
	d.wrong++
	return bad
}

func (d *demo) conclude(took time.Duration) int {
	if d.wrong > 0 {
		d.out.title(fmt.Sprintf("%d of %d lines are not what they have to be (%.0f s)", d.wrong, d.lines, took.Seconds()))
		return 1
	}
	d.out.title(fmt.Sprintf("All %d lines are what they have to be (%.0f s)", d.lines, took.Seconds()))
	d.out.text("Look around:  kubectl --context " + d.cluster.Context + " get pods -A -o wide\n" +
		"Remove all:   make demo-down")
	return 0
}

// labels writes labels as kubectl does.
func labels(set map[string]string) string {
	var parts []string
	for _, key := range sortedKeys(set) {
		parts = append(parts, key+"="+set[key])
	}
	return strings.Join(parts, ",")
}
