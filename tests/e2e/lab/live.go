package lab

import (
	"bufio"
	"context"
	_ "embed"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kinds of traffic that Watch makes.
const (
	// Live asks over one TCP connection.
	Live = "live"
	// New asks over a new TCP connection every time.
	New = "new"
	// Stream sends UDP datagrams of one flow and hears their echo.
	Stream = "stream"
)

// Watch is a pod that asks another one many times a second.
type Watch struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}

	mu       sync.Mutex
	attempts []Attempt
	sent     int
}

// Attempt is one question: an answer has the time at which it came, silence
// the one at which was asked.
type Attempt struct {
	At       time.Time
	Answered bool
}

//go:embed live.sh
var liveScript string

// Watch starts asking a port of a pod. It ends with Stop.
func (c *Cluster) Watch(ctx context.Context, kind string, from, to *Pod, port int) (*Watch, error) {
	w := &Watch{done: make(chan struct{})}
	w.cmd = c.Command(ctx, "exec", "-i", "-n", from.Namespace, from.Name, "--", "bash", "-c", liveScript, "live.sh",
		kind, to.Addr.String(), strconv.Itoa(port), strconv.Itoa(len(to.Name)))
	stdin, err := w.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	w.stdin = stdin
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("watch %s -> %s: %w", from.Key(), to.Key(), err)
	}
	go w.read(stdout)
	return w, nil
}

func (w *Watch) read(lines io.Reader) {
	defer close(w.done)
	for scan := bufio.NewScanner(lines); scan.Scan(); {
		w.mu.Lock()
		w.line(scan.Text())
		w.mu.Unlock()
	}
}

// line takes in what the script says.
func (w *Watch) line(text string) {
	word, outcome, _ := strings.Cut(text, " ")
	if outcome == "sent" {
		w.sent, _ = strconv.Atoi(word) // 0 is not what anybody hopes for
		return
	}
	if at, err := parseTime(word); err == nil {
		w.attempts = append(w.attempts, Attempt{At: at, Answered: outcome == "answer"})
	}
}

// Lost gives how many datagrams of a Stream that was stopped were sent, and
// how many of them had no answer.
func (w *Watch) Lost() (lost, sent int) {
	return w.sent - len(w.Attempts()), w.sent
}

// parseTime reads seconds since 1970 with six decimals.
func parseTime(stamp string) (time.Time, error) {
	micros, err := strconv.ParseInt(strings.Replace(stamp, ".", "", 1), 10, 64)
	return time.UnixMicro(micros), err
}

// Stop ends the watch. It may be called again.
func (w *Watch) Stop() {
	_ = w.stdin.Close() // ends the script
	<-w.done
	_ = w.cmd.Wait() // its output is all that counts
}

// Attempts gives all so far.
func (w *Watch) Attempts() []Attempt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.attempts[:len(w.attempts):len(w.attempts)]
}

// settled is how many equal outcomes in a row count as a new state.
const settled = 3

// Await waits until the outcomes after a time are what is wanted, several in a
// row up to now, and gives the time of the first of them.
func (w *Watch) Await(answered bool, after time.Time, most time.Duration) (time.Time, error) {
	deadline := time.Now().Add(most)
	for {
		if first, n := run(w.Attempts(), answered, after); n >= settled {
			return first, nil
		}
		if time.Now().After(deadline) {
			return time.Time{}, fmt.Errorf("after %s still not answered=%t", most, answered)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// run gives the beginning and the length of the equal outcomes at the end.
func run(attempts []Attempt, answered bool, after time.Time) (first time.Time, n int) {
	for i := len(attempts) - 1; i >= 0 && attempts[i].Answered == answered && attempts[i].At.After(after); i-- {
		first = attempts[i].At
		n++
	}
	return first, n
}

// Gap gives the longest time without an answer between two answers.
func (w *Watch) Gap() time.Duration {
	var last time.Time
	var most time.Duration
	for _, a := range w.Attempts() {
		if !a.Answered {
			continue
		}
		if !last.IsZero() {
			most = max(most, a.At.Sub(last))
		}
		last = a.At
	}
	return most
}
