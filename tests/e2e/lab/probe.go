package lab

import (
	"context"
	_ "embed"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Outcome is what became of a probe.
type Outcome string

// The outcomes of a probe.
const (
	Answer  Outcome = "answer"  // the right server answered the right client
	Silence Outcome = "silence" // nothing came back
	Refused Outcome = "refused" // somebody said no
	NoName  Outcome = "no name" // the name did not resolve
	Wrong   Outcome = "wrong"   // an answer of another server, or to another client
	Failed  Outcome = "failed"  // the probe itself
)

// Protocols of a probe.
const (
	TCP = "TCP"
	UDP = "UDP"
)

// Probe asks a server for its name and for the client's address, twice over
// the same flow.
type Probe struct {
	From     *Pod
	Protocol string
	Host     string // address or name
	Port     int
	Want     Outcome
	// Server is the name that the answer has to give, and Client the address
	// that the server has to see; "" and the zero value are not compared.
	Server string
	Client netip.Addr
	// Wait overrules how long an answer may take.
	Wait time.Duration
}

// Result is what a probe found.
type Result struct {
	Probe
	Got    Outcome
	Detail string // the answer, or what went wrong
}

// OK reports whether the probe found what it wanted.
func (r Result) OK() bool { return r.Got == r.Want }

// Answered is the name of the server that answered, "" if none did.
func (r Result) Answered() string {
	name, _, _ := strings.Cut(r.Detail, " ")
	if r.Got != Answer {
		return ""
	}
	return name
}

// String tells the whole of it.
func (r Result) String() string {
	return fmt.Sprintf("%s -> %s:%d/%s: want %s, got %s %s",
		r.From.Key(), r.Host, r.Port, r.Protocol, r.Want, r.Got, r.Detail)
}

const (
	// patience is for answers that should come: this machine may be slow.
	patience = 15 * time.Second
	// silenceTime is how long nothing may come for it to count as silence. It
	// includes the first repetition of a SYN.
	silenceTime = 3 * time.Second
	// resolveTime includes two attempts of the resolver.
	resolveTime = 7 * time.Second
)

// seconds is how long the probe waits.
func (p Probe) seconds() int {
	wait := p.Wait
	switch {
	case wait != 0:
	case p.Want == Silence:
		wait = silenceTime
	case p.Want == NoName:
		wait = resolveTime
	default:
		wait = patience
	}
	return int(wait.Seconds())
}

//go:embed probe.sh
var probeScript string

// tryTime is enough for all probes of a pod, which run at once.
const tryTime = time.Minute

// concurrent is how many pods probe at once.
const concurrent = 4

// Try makes all probes, those of one pod at once, and gives the results in the
// order of the probes.
func (c *Cluster) Try(ctx context.Context, probes []Probe) []Result {
	results := make([]Result, len(probes))
	byPod := map[*Pod][]int{}
	for i, p := range probes {
		results[i] = Result{Probe: p, Got: Failed, Detail: "no result"}
		byPod[p.From] = append(byPod[p.From], i)
	}
	slots := make(chan struct{}, concurrent)
	var running sync.WaitGroup
	for pod, numbers := range byPod {
		running.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			c.tryFrom(ctx, pod, numbers, results)
		})
	}
	running.Wait()
	return results
}

// tryFrom makes the probes with these numbers, all from one pod.
func (c *Cluster) tryFrom(ctx context.Context, pod *Pod, numbers []int, results []Result) {
	var questions strings.Builder
	for _, n := range numbers {
		p := results[n].Probe
		fmt.Fprintln(&questions, n, p.Protocol, p.Host, p.Port, p.seconds())
	}
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	out, err := c.Exec(ctx, pod.Namespace, pod.Name, questions.String(), "bash", "-c", probeScript)
	if err != nil {
		for _, n := range numbers {
			results[n].Detail = err.Error()
		}
	}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if n, err := strconv.Atoi(fields[0]); err == nil && n >= 0 && n < len(results) {
			results[n].Got, results[n].Detail = results[n].judge(fields[1], fields[2:])
		}
	}
}

// judge compares an answer with what the probe wanted to hear.
func (p Probe) judge(outcome string, answer []string) (Outcome, string) {
	switch outcome {
	case "silence":
		return Silence, ""
	case "refused":
		return Refused, ""
	case "no-name":
		return NoName, ""
	}
	detail := strings.Join(answer, " ")
	if outcome != "answer" || len(answer) != 2 {
		return Failed, outcome + " " + detail
	}
	client, err := netip.ParseAddrPort(answer[1])
	switch {
	case err != nil:
		return Failed, detail
	case p.Server != "" && p.Server != answer[0]:
		return Wrong, detail + ", want an answer of " + p.Server
	case p.Client.IsValid() && p.Client != client.Addr().Unmap():
		return Wrong, detail + ", want it to see " + p.Client.String()
	}
	return Answer, detail
}
