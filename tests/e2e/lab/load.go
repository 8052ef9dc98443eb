package lab

import (
	"bufio"
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"
)

//go:embed load.sh
var loadScript string

// Load is traffic that a pod makes on its own: nothing of it goes by the API
// server.
type Load struct {
	cluster     *Cluster
	from        *Pod
	ends        time.Time
	connections int
}

// Toll is what a Load has cost.
type Toll struct {
	Sent, Lost  int // datagrams of one UDP flow, of which each had to come back
	Connections int // that asked all the time
	Answers     int // they got, all together
	Unanswered  int // questions without an answer in 20 s, or on a connection that broke

	ended int // of the stream and the connections
}

func (t Toll) String() string {
	return fmt.Sprintf("%d of %d datagrams lost; %d connections, %d answers, %d questions without one",
		t.Lost, t.Sent, t.Connections, t.Answers, t.Unanswered)
}

// StartLoad lets a pod send to a port of another one until Toll is called, and for
// no longer than limit, whole seconds.
func (c *Cluster) StartLoad(ctx context.Context, from, to *Pod, port, connections int, limit time.Duration) (*Load, error) {
	ends := time.Now().Add(limit)
	out, err := c.Run(ctx, "", "exec", "-n", from.Namespace, from.Name, "--", "bash", "-c", loadScript, "load.sh",
		liveScript, strconv.Itoa(int(limit.Seconds())), to.Addr.String(), strconv.Itoa(port), strconv.Itoa(len(to.Name)),
		strconv.Itoa(connections))
	if err == nil && strings.TrimSpace(out) != "begun" {
		err = fmt.Errorf("it says %q", out)
	}
	if err != nil {
		return nil, fmt.Errorf("load of %s on %s: %w", from.Key(), to.Key(), err)
	}
	return &Load{cluster: c, from: from, ends: ends, connections: connections}, nil
}

// Ends is when the load ends by itself, at the earliest.
func (l *Load) Ends() time.Time { return l.ends }

// lastWords is how long the load may take to end: the wait for an answer of a
// connection, and some.
const lastWords = 30 * time.Second

// Toll ends the load, and counts. It fails if some of the load had ended before.
func (l *Load) Toll(ctx context.Context) (Toll, error) {
	toll, err := l.told(ctx)
	if err == nil && toll.ended > 0 {
		err = fmt.Errorf("load of %s: %d of %d had ended before", l.from.Key(), toll.ended, l.connections+1)
	}
	if err != nil {
		return Toll{}, err
	}
	if _, err := l.run(ctx, "touch", "/tmp/load/end"); err != nil {
		return Toll{}, err
	}
	for deadline := time.Now().Add(lastWords); ; time.Sleep(time.Second) {
		toll, err := l.told(ctx)
		if err != nil || toll.ended == l.connections+1 {
			return toll, err
		}
		if time.Now().After(deadline) {
			return Toll{}, fmt.Errorf("load of %s: %d of %d have ended after %s", l.from.Key(), toll.ended, l.connections+1, lastWords)
		}
	}
}

// told counts what there is by now.
func (l *Load) told(ctx context.Context) (Toll, error) {
	out, err := l.run(ctx, "grep", "-H", "", "-r", "/tmp/load/told")
	if err != nil {
		return Toll{}, err
	}
	return countToll(out, l.connections), nil
}

func (l *Load) run(ctx context.Context, command ...string) (string, error) {
	out, err := l.cluster.Run(ctx, "", append([]string{"exec", "-n", l.from.Namespace, l.from.Name, "--"}, command...)...)
	if err != nil {
		return "", fmt.Errorf("load of %s: %w", l.from.Key(), err)
	}
	return out, nil
}

// countToll reads lines "FILE:TIME OUTCOME".
func countToll(lines string, connections int) Toll {
	t := Toll{Connections: connections}
	back := 0
	for scan := bufio.NewScanner(strings.NewReader(lines)); scan.Scan(); {
		file, text, _ := strings.Cut(scan.Text(), ":")
		word, outcome, _ := strings.Cut(text, " ")
		stream := strings.HasSuffix(file, "/stream")
		switch {
		case stream && outcome == "sent":
			t.Sent, _ = strconv.Atoi(word) // 0 is not what anybody hopes for
		case stream && outcome == "answer":
			back++
		case outcome == "ended":
			t.ended++
		case outcome == "answer":
			t.Answers++
		case outcome == "silence":
			t.Unanswered++
		}
	}
	t.Lost = t.Sent - back
	return t
}
