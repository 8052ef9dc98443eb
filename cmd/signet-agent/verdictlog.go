package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/kube"
)

// verdictLog writes the verdicts that annotations ask for, one JSON object a
// line.
type verdictLog struct{ log *slog.Logger }

func newVerdictLog(w io.Writer) verdictLog { return verdictLog{slog.New(slog.NewJSONHandler(w, nil))} }

// write writes a flow if one of its policies, or the namespace of one of its
// ends, wants it.
func (l verdictLog) write(ctx context.Context, f *api.Flow, wanted kube.Annotations) {
	if mode := loggedAs(f, wanted); mode == kube.LogAll || mode == kube.LogDenied && denied(f) {
		l.log.InfoContext(ctx, "verdict", "flow", f)
	}
}

func denied(f *api.Flow) bool { return f.Verdict == api.Dropped || f.Verdict == api.Audited }

// loggedAs is the most that anyone concerned wants.
func loggedAs(f *api.Flow, wanted kube.Annotations) kube.LogMode {
	if len(wanted.LogPolicies)+len(wanted.LogNamespaces) == 0 {
		return kube.LogNone
	}
	mode := max(wanted.LogNamespaces[f.Src.Namespace], wanted.LogNamespaces[f.Dst.Namespace])
	for _, p := range f.Policies {
		mode = max(mode, wanted.LogPolicies[policy.PolicyRef{Namespace: p.Namespace, Name: p.Name}])
	}
	return mode
}
