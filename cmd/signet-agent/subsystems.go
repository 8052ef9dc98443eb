package main

import (
	"fmt"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/reconcile"
)

// publishing is the subsystem that opens the node for pods, last of all.
const publishing = "cni"

// subsystemOrder is the order in which the parts need each other.
var subsystemOrder = []string{
	"configuration", "api-server", "tunnel", "policy", "services", "masquerade", "guard", "endpoints", "attested", "verified", "hooks",
	publishing, "events", "metrics",
}

// remedies say in one line what to do about a subsystem that fails.
var remedies = map[string]string{
	"start":         "the message says what the node lacks; the agent tries again by itself once that is there",
	"configuration": "correct config.yaml in the ConfigMap signet-config; if it is about ranges or ports, then restart the agents",
	"api-server":    "check that the node reaches the API server, and that \"kubectl apply -f deploy/signet.yaml\" was done for this version",
	"tunnel":        "see \"kubectl get tunnels\" and the Events on the Tunnel; on a kernel without WireGuard signet-wg must run: \"kubectl -n kube-system get pods -l app.kubernetes.io/name=signet-wg\"",
	"policy":        "the node goes on with the policy before; if the message is about a full table, fewer distinct policies or ports help: \"signet policy list\"",
	"services":      "pods reach the Services as they were before; see the Events on the Service that the message names",
	"masquerade":    "the kernel needs nftables with NAT (CONFIG_NFT_NAT, CONFIG_NFT_MASQ): \"nft list table ip signet\" on the node",
	"guard":         "the kernel needs nftables for inet (CONFIG_NF_TABLES_INET): \"nft list table inet signet-guard\" on the node",
	"endpoints":     "see the Events of the pod that the message names; deleting the pod makes it anew",
	"verified":      "look whether signet-verifier runs: \"kubectl -n kube-system get pods -l app.kubernetes.io/name=signet-verifier\"; it never finds static pods",
	"attested":      "see \"kubectl get tunnels\": this node cannot use what another one publishes",
	"hooks":         "another program may have taken the interface: \"bpftool net\" on the node; restarting the agent attaches anew",
	publishing:      "see the other problems of the node first; /etc/cni/net.d must be writable",
	"events":        "nothing is at risk; the agent may not create Events: was \"kubectl apply -f deploy/signet.yaml\" done for this version?",
	"metrics":       "give another metricsAddress in the ConfigMap signet-config and restart the agents",
}

// failing makes the state of a subsystem that does not work.
func failing(name, problem string) api.Subsystem {
	return api.Subsystem{Name: name, State: api.Failing, Problem: problem, Advice: remedies[name]}
}

// subsystems tells of every part of the agent, in order.
func (s *status) subsystems(watches []api.Watch) []api.Subsystem {
	states := map[string]api.Subsystem{}
	for name, loop := range s.agent.loops.named() {
		states[name] = loopState(name, loop.Stats())
	}
	states["events"] = loopState("events", s.agent.loops.report.Stats())
	if s.agent.loops.failing() == nil { // else it only repeats the others
		states[publishing] = loopState(publishing, s.agent.loops.publish.Stats())
	}
	states["api-server"] = watchState(watches)
	if err := s.agent.cfg.settings.problem(); err != nil {
		states["configuration"] = failing("configuration", err.Error())
	}
	if waits := s.agent.rules.unverified(); waits != "" {
		states["verified"] = failing("verified", waits)
	}
	if err := s.agent.noMetrics.Load(); err != nil {
		states["metrics"] = failing("metrics", (*err).Error())
	}
	list := make([]api.Subsystem, 0, len(subsystemOrder))
	for _, name := range subsystemOrder {
		state, told := states[name]
		if !told {
			state = api.Subsystem{Name: name, State: api.Works}
			if name == publishing {
				state.State = api.Waiting
			}
		}
		list = append(list, state)
	}
	return list
}

func loopState(name string, stats reconcile.Stats) api.Subsystem {
	switch {
	case stats.Error != nil:
		return failing(name, stats.Error.Error())
	case stats.Success.IsZero():
		return api.Subsystem{Name: name, State: api.Waiting}
	}
	return api.Subsystem{Name: name, State: api.Works}
}

// watchState tells of the first kind of object that cannot be watched.
func watchState(watches []api.Watch) api.Subsystem {
	for _, w := range watches {
		switch {
		case w.Error != "":
			return failing("api-server", fmt.Sprintf("cannot watch %s: %s", w.Kind, w.Error))
		case !w.Synced:
			return failing("api-server", "not in sync about "+w.Kind)
		}
	}
	return api.Subsystem{Name: "api-server", State: api.Works}
}
