package cli

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
)

const (
	// refreshAfter is how often pods are asked for again while flows have
	// ends without a name.
	refreshAfter = 10 * time.Second
	refreshTime  = 3 * time.Second // for one such question
)

// podNames knows the pods of the cluster by address.
type podNames struct {
	target  target
	now     func() time.Time
	byAddr  map[netip.Addr]api.Endpoint
	fetched time.Time
}

// fetch asks all nodes. Those that do not answer are missed out: they will not
// tell flows either, and the user learns of it then.
func (p *podNames) fetch(ctx context.Context) error {
	p.fetched = p.now()
	answer, err := endpoints(ctx, p.target)
	if err != nil {
		return err
	}
	p.set(answer.Items)
	return nil
}

func (p *podNames) set(pods []api.Endpoint) {
	p.byAddr = make(map[netip.Addr]api.Endpoint, len(pods))
	for _, e := range pods {
		for _, addr := range e.Addrs() {
			p.byAddr[addr] = e
		}
	}
}

// refresh fetches again, not too often, if one of the records has an end that
// should have a name and has none.
func (p *podNames) refresh(ctx context.Context, records []nodeRecord) {
	if p.now().Sub(p.fetched) < refreshAfter {
		return
	}
	for _, record := range records {
		if record.Flow != nil && (p.nameless(&record.Src) || p.nameless(&record.Dst)) {
			ctx, cancel := context.WithTimeout(ctx, refreshTime)
			defer cancel()
			_ = p.fetch(ctx) // the names there are must do
			return
		}
	}
}

func (p *podNames) nameless(end *api.End) bool {
	_, known := p.byAddr[end.Addr]
	return !known && end.Pod == "" && !end.Identity.Reserved()
}

// addresses gives those of the pods that a filter names.
func (p *podNames) addresses(pod string) []netip.Addr {
	namespace, name, qualified := strings.Cut(pod, "/")
	if !qualified {
		namespace, name = "", pod
	}
	var found []netip.Addr
	for addr, e := range p.byAddr {
		if e.Pod == name && (!qualified || e.Namespace == namespace) {
			found = append(found, addr)
		}
	}
	return found
}

// complete names the ends that the node could not name. An address alone is no
// proof for a source, which can be forged, or which another pod had before.
func (p *podNames) complete(flow *api.Flow) {
	p.completeEnd(&flow.Src)
	if e, ok := p.byAddr[flow.Dst.Addr]; ok && flow.Dst.Identity == identity.Unknown {
		flow.Dst.Identity, flow.Dst.IdentityName = e.Identity, ""
		flow.Dst.Namespace, flow.Dst.Labels = e.Namespace, e.Labels
	}
	p.completeEnd(&flow.Dst)
}

func (p *podNames) completeEnd(end *api.End) {
	e, ok := p.byAddr[end.Addr]
	if !ok || end.Pod != "" || end.Identity.Reserved() {
		return
	}
	if end.Namespace == e.Namespace || end.Namespace == "" && end.Identity == e.Identity {
		end.Namespace, end.Pod = e.Namespace, e.Pod
	}
}
