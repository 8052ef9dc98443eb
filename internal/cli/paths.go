package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/signet-cni/signet/internal/kube/trial"
	"github.com/signet-cni/signet/internal/probe"
)

// The columns of the test's table.
const (
	checkPod       = "pod"
	checkService   = "service"
	checkDNS       = "dns"
	checkNode      = "node"
	checkFromNode  = "from-node"
	checkPolicy    = "policy"
	checkEncrypted = "encrypted"
	checkWorld     = "world"
)

const (
	// answerWait is for answers that should come: nodes may be slow.
	answerWait = 10 * time.Second
	// silenceWait is how long nothing may come for it to count as silence. It
	// includes the first repetition of a SYN.
	silenceWait = 3 * time.Second
	// settleWait is how long Services and policies may take to be in force
	// everywhere.
	settleWait = 30 * time.Second
	// askTime bounds all questions of one pod.
	askTime = 2 * time.Minute
)

// PathResult is what one check found between two nodes.
type PathResult struct {
	From   string `json:"from"` // node
	To     string `json:"to"`   // node, or what --world names
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // what was tried, and what came of it
	// Unknown: it could not be tried.
	Unknown bool `json:"unknown,omitempty"`
}

// path is one thing to try, and what has to come of it.
type path struct {
	check    string
	from, to int       // numbers of nodes; to is -1 for the world
	pod      trial.Pod // that asks
	question probe.Question
	want     string     // outcome
	server   string     // name that the answer has to give, "": any
	client   netip.Addr // whom the server has to see; invalid: anyone
	addr     netip.Addr // that a name has to stand for
	about    string
}

// mark makes the text by which the test's own bytes are known.
func (r *connectivityRun) mark() error {
	random := make([]byte, 8)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	r.marker = "signet-probe-" + hex.EncodeToString(random) + "-"
	return nil
}

// pairText is what follows the marker in what goes from one node to another.
func pairText(from, to int) string { return fmt.Sprintf("%d:%d", from, to) }

// both gives a path over TCP and the same over UDP.
func (r *connectivityRun) both(p path, at netip.AddrPort) []path {
	var list []path
	for _, kind := range []string{probe.TCP, probe.UDP} {
		p.question = probe.Question{
			Kind: kind, At: at.String(), Say: r.marker + pairText(p.from, p.to) + " end", Wait: answerWait,
		}
		if p.want == probe.Silence {
			p.question.Wait = silenceWait
		}
		list = append(list, p)
	}
	return list
}

// pairs calls each for every node and every node.
func (r *connectivityRun) pairs(each func(from, to int)) {
	for from := range r.agents {
		for to := range r.agents {
			each(from, to)
		}
	}
}

// eachFamily calls each for the addresses of two pods, family by family.
func eachFamily(client trial.Pod, server []netip.Addr, each func(from, to netip.Addr)) {
	for _, from := range client.Addrs {
		for _, to := range server {
			if from.Is4() == to.Is4() {
				each(from, to)
			}
		}
	}
}

// openPaths are those that no policy isolates.
func (r *connectivityRun) openPaths() (list []path) {
	r.pairs(func(from, to int) { list = append(list, r.openPair(from, to)...) })
	for from := range r.agents {
		if r.flags.world != "" {
			list = append(list, path{
				check: checkWorld, from: from, to: -1, pod: r.clients[from], want: probe.Answer, about: "pod to the world",
				question: probe.Question{Kind: probe.Connect, At: r.flags.world, Wait: answerWait},
			})
		}
	}
	return list
}

// openPair are the open paths from one node to another.
func (r *connectivityRun) openPair(from, to int) (list []path) {
	client, server, host := r.clients[from], r.servers[to], r.hosts[to]
	services := r.trial.Services[server.Name]
	p := path{from: from, to: to, pod: client, want: probe.Answer, server: server.Name}
	eachFamily(client, server.Addrs, func(own, addr netip.Addr) {
		p.check, p.about, p.client = checkPod, "pod to pod", own
		for _, port := range []uint16{trial.Port, trial.PortNoIngress, trial.PortNoEgress} {
			list = append(list, r.both(p, netip.AddrPortFrom(addr, port))...)
		}
	})
	eachFamily(client, services, func(own, addr netip.Addr) {
		p.check, p.about, p.client = checkService, "pod to Service", own
		list = append(list, r.both(p, netip.AddrPortFrom(addr, trial.ServicePort))...)
	})
	for _, addr := range services {
		list = append(list, path{
			check: checkDNS, from: from, to: to, pod: client, want: probe.Answer, addr: addr, about: "name of a Service",
			question: probe.Question{Kind: probe.DNS, At: server.Name + "." + r.trial.Namespace + ".svc", Wait: answerWait},
		})
	}
	p.client = netip.Addr{} // a node may be seen by another address
	p.check, p.about, p.server = checkNode, "pod to node", host.Name
	list = append(list, r.both(p, netip.AddrPortFrom(host.HostAddr, r.flags.hostPort))...)
	p.check, p.about, p.server, p.pod = checkFromNode, "node to pod", server.Name, r.hosts[from]
	return append(list, r.both(p, netip.AddrPortFrom(server.Addrs[0], trial.Port))...)
}

// policyPaths are those that the trial's policies decide.
func (r *connectivityRun) policyPaths() (list []path) {
	r.pairs(func(from, to int) {
		server := r.servers[to]
		p := path{check: checkPolicy, from: from, to: to, server: server.Name}
		eachFamily(r.clients[from], server.Addrs, func(_, addr netip.Addr) {
			p.pod, p.want, p.about = r.clients[from], probe.Answer, "admitted by both policies"
			list = append(list, r.both(p, netip.AddrPortFrom(addr, trial.Port))...)
			p.want, p.about = probe.Silence, "not admitted by the servers' policy"
			list = append(list, r.both(p, netip.AddrPortFrom(addr, trial.PortNoIngress))...)
			p.about = "not admitted by the clients' policy"
			list = append(list, r.both(p, netip.AddrPortFrom(addr, trial.PortNoEgress))...)
		})
		p.pod, p.want, p.about = r.hosts[from], probe.Silence, "from a node that no rule admits"
		if from == to {
			p.want, p.about = probe.Answer, "from the pod's own node"
		}
		list = append(list, r.both(p, netip.AddrPortFrom(server.Addrs[0], trial.Port))...)
	})
	return list
}

// askUntilRight tries paths and keeps the results. What is not right is tried
// again while what was created may not be in force everywhere.
func (r *connectivityRun) askUntilRight(ctx context.Context, paths []path) {
	deadline := time.Now().Add(settleWait)
	for {
		var wrong []path
		for n, result := range r.outcomes(ctx, paths) {
			if result.OK || time.Now().After(deadline) || ctx.Err() != nil {
				r.results = append(r.results, result)
				continue
			}
			wrong = append(wrong, paths[n])
		}
		if paths = wrong; len(paths) == 0 {
			return
		}
		r.progress(fmt.Sprintf("trying %s again", count(len(paths), "path", "paths")))
		sleep(ctx, time.Second)
	}
}

// outcomes tries paths, from all pods at the same time.
func (r *connectivityRun) outcomes(ctx context.Context, paths []path) []PathResult {
	results := make([]PathResult, len(paths))
	byPod := map[string][]int{}
	for n, p := range paths {
		byPod[p.pod.Name] = append(byPod[p.pod.Name], n)
		results[n] = r.result(p, probe.Outcome{}, errors.New("was not tried"))
	}
	var asking sync.WaitGroup
	slots := make(chan struct{}, sessions)
	for name, numbers := range byPod {
		asking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			r.askFrom(ctx, name, numbers, paths, results)
		})
	}
	asking.Wait()
	return results
}

// askFrom tries the paths with these numbers, all from one pod.
func (r *connectivityRun) askFrom(ctx context.Context, pod string, numbers []int, paths []path, results []PathResult) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var questions []probe.Question
	for _, n := range numbers {
		q := paths[n].question
		q.ID = strconv.Itoa(n)
		questions = append(questions, q)
	}
	stdin, err := json.Marshal(questions)
	var out bytes.Buffer
	if err == nil {
		err = r.target.cluster.RunIn(ctx, r.trial.Namespace, pod, []string{binaryPath, "probe", "ask"}, stdin, &out)
	}
	if err != nil {
		for _, n := range numbers {
			results[n] = r.result(paths[n], probe.Outcome{}, err)
		}
	}
	lines := json.NewDecoder(&out)
	for {
		var o probe.Outcome
		if err := lines.Decode(&o); errors.Is(err, io.EOF) || err != nil {
			return
		}
		if n, err := strconv.Atoi(o.ID); err == nil && slices.Contains(numbers, n) {
			results[n] = r.result(paths[n], o, nil)
		}
	}
}

// result judges an outcome; err is why there is none.
func (r *connectivityRun) result(p path, o probe.Outcome, err error) PathResult {
	result := PathResult{From: r.agents[p.from].Node, To: r.flags.world, Check: p.check}
	if p.to >= 0 {
		result.To = r.agents[p.to].Node
	}
	what := fmt.Sprintf("%s, %s %s", p.about, p.question.Kind, p.question.At)
	if err != nil {
		result.Unknown, result.Detail = true, what+": "+remoteError(err).Error()
		return result
	}
	wrong := p.judge(o)
	result.OK, result.Detail = wrong == "", what+": "+o.Got
	if wrong != "" {
		result.Detail = what + ": " + wrong
	}
	return result
}

// judge says what is wrong with an outcome, "" if nothing.
func (p path) judge(o probe.Outcome) string {
	switch {
	case o.Got != p.want && o.Detail != "":
		return fmt.Sprintf("want %s, got %s (%s)", p.want, o.Got, o.Detail)
	case o.Got != p.want:
		return fmt.Sprintf("want %s, got %s", p.want, o.Got)
	case o.Got != probe.Answer:
		return ""
	case p.server != "" && o.Server != p.server:
		return fmt.Sprintf("%s answered, want %s", o.Server, p.server)
	case p.client.IsValid() && o.Client != p.client:
		return fmt.Sprintf("the server saw %s, want the client's own address %s", o.Client, p.client)
	case p.addr.IsValid() && !slices.Contains(o.Addrs, p.addr):
		return fmt.Sprintf("it stands for %v, want %s", o.Addrs, p.addr)
	}
	return ""
}
