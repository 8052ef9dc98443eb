package main

import (
	"context"
	"fmt"
	"maps"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/tests/e2e/lab"
	"github.com/signet-cni/signet/tests/e2e/story"
)

// receivingHook is where a node takes packets out of the tunnel.
const receivingHook = "from_overlay"

// tags shows what the receiving nodes read from the packets of the matrix and
// how they judged.
func (d *demo) tags(ctx context.Context) error {
	d.out.title("What the receiving nodes read from the packets between nodes, and how they judged")
	flows := make([][]api.Flow, len(d.cluster.Nodes))
	for i := range d.cluster.Nodes {
		var err error
		if flows[i], err = d.cluster.Flows(ctx, i, d.since); err != nil {
			return err
		}
	}
	t := d.out.table("FROM", "TO", "PORT", "IDENTITY READ", "ITS LABELS", "VERDICT", "BY NODE", "EXPECTED", "")
	for _, r := range d.rows {
		if !r.CrossNode() {
			continue
		}
		read, verdict, ok := judge(r, flows[r.To.Node])
		t.row(r.From.Name, r.To.Name, fmt.Sprintf("%s %d", r.Protocol, r.Port),
			read.Identity, read.Namespace+": "+labels(read.Labels), verdict, d.cluster.Nodes[r.To.Node].Name,
			expectedVerdict(r), d.mark(ok && published(ctx, d.cluster, read)))
	}
	t.flush()
	d.out.text("The identity is the number in the packet's inner source address. Its labels are those of the\n" +
		"Identity object of that number, and have to be the sending pod's.")
	return nil
}

func expectedVerdict(r story.Row) string {
	if r.Open {
		return api.Admitted
	}
	return api.Dropped
}

// judge finds the row's flow among the verdicts of the receiving node, and
// reports whether all of them are what they have to be.
func judge(r story.Row, flows []api.Flow) (read api.End, verdict string, ok bool) {
	verdict = "none"
	for _, f := range flows {
		if f.Hook != receivingHook || f.Reply || f.Protocol != r.Protocol || f.Src.Addr != r.From.Addr ||
			f.Dst.Addr != r.To.Addr || int(f.Dst.Port) != r.Port {
			continue
		}
		fits := f.Verdict == expectedVerdict(r) && f.Src.Namespace == r.From.Namespace &&
			maps.Equal(f.Src.Labels, r.From.Labels)
		if verdict == "none" || !fits {
			read, verdict, ok = f.Src, f.Verdict, fits
		}
		if !fits {
			break
		}
	}
	return read, verdict, ok
}

// identityObject is the Identity that stands for a number.
type identityObject struct {
	Spec struct {
		Namespace string            `json:"namespace"`
		PodLabels map[string]string `json:"podLabels"`
	} `json:"spec"`
}

// published reports whether the API has the identity with these labels.
func published(ctx context.Context, cluster *lab.Cluster, read api.End) bool {
	var object identityObject
	if err := cluster.Get(ctx, &object, "identities.signet-cni.io", read.Identity.String()); err != nil {
		return false
	}
	return object.Spec.Namespace == read.Namespace && maps.Equal(object.Spec.PodLabels, read.Labels)
}
