package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Kinds of question.
const (
	TCP     = "tcp"     // a line to a server of Serve
	UDP     = "udp"     // a datagram to it, repeated
	Connect = "connect" // a TCP connection to whoever listens
	DNS     = "dns"     // a name
)

// Outcomes of a question.
const (
	Answer  = "answer"
	Silence = "silence"
	Refused = "refused"
	NoName  = "no-name"
	Wrong   = "wrong" // an answer that is none
	Failed  = "failed"
)

const (
	// repeat is how often a datagram without an answer is sent again.
	repeat = 500 * time.Millisecond
	// atOnce is how many questions are asked at the same time.
	atOnce = 32
)

// Question is one thing to try.
type Question struct {
	ID   string        `json:"id"`
	Kind string        `json:"kind"`
	At   string        `json:"at"`             // host:port; DNS: a name
	Say  string        `json:"say,omitempty"`  // to the server, of at most 256 bytes
	Wait time.Duration `json:"wait,omitempty"` // for the answer
}

// Outcome is what became of a question.
type Outcome struct {
	ID     string       `json:"id"`
	Got    string       `json:"got"`              // Answer, …
	Server string       `json:"server,omitempty"` // name that the answer gives
	Client netip.Addr   `json:"client,omitzero"`  // whom the server saw
	Addrs  []netip.Addr `json:"addrs,omitempty"`  // of a name
	Detail string       `json:"detail,omitempty"`
}

// Ask asks all questions and calls each for every outcome, one at a time.
func Ask(ctx context.Context, questions []Question, each func(Outcome) error) error {
	outcomes := make(chan Outcome)
	var asking sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	go func() {
		for _, q := range questions {
			slots <- struct{}{}
			asking.Go(func() {
				outcomes <- ask(ctx, q)
				<-slots
			})
		}
		asking.Wait()
		close(outcomes)
	}()
	var failed error
	for o := range outcomes {
		if failed == nil {
			failed = each(o)
		}
	}
	return failed
}

func ask(ctx context.Context, q Question) Outcome {
	ctx, cancel := context.WithTimeout(ctx, q.Wait)
	defer cancel()
	o := Outcome{ID: q.ID, Got: Answer}
	var err error
	switch q.Kind {
	case TCP:
		err = stream(ctx, q, &o)
	case UDP:
		err = datagram(ctx, q, &o)
	case Connect:
		var conn net.Conn
		if conn, err = new(net.Dialer).DialContext(ctx, "tcp", q.At); err == nil {
			err = conn.Close()
		}
	case DNS:
		o.Addrs, err = new(net.Resolver).LookupNetIP(ctx, "ip", q.At)
		for n := range o.Addrs {
			o.Addrs[n] = o.Addrs[n].Unmap()
		}
	default:
		err = fmt.Errorf("unknown kind of question %q", q.Kind)
	}
	if err != nil {
		o.Got, o.Detail = outcomeOf(err), err.Error()
	}
	return o
}

var errWrong = errors.New("not an answer of a probe's server")

func outcomeOf(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return NoName
	case errors.Is(err, errWrong):
		return Wrong
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Silence
	}
	return Failed
}

func stream(ctx context.Context, q Question, o *Outcome) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", q.At)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the answer is what counts
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, q.Say+"\n"); err != nil {
		return err
	}
	line, err := bufio.NewReaderSize(conn, 2*maxLine).ReadString('\n')
	if err != nil {
		return err
	}
	return o.read(line, q)
}

func datagram(ctx context.Context, q Question, o *Outcome) error {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", q.At)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the answer is what counts
	deadline, _ := ctx.Deadline()
	answer := make([]byte, 2*maxLine)
	for time.Now().Before(deadline) {
		if _, err := io.WriteString(conn, q.Say); err != nil {
			return err
		}
		next := time.Now().Add(repeat)
		if deadline.Before(next) {
			next = deadline
		}
		if err := conn.SetReadDeadline(next); err != nil {
			return err
		}
		n, err := conn.Read(answer)
		if err == nil {
			return o.read(string(answer[:n]), q)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return os.ErrDeadlineExceeded
}

// read takes in an answer: name, address, question.
func (o *Outcome) read(line string, q Question) error {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return errWrong
	}
	from, err := netip.ParseAddrPort(fields[1])
	if err != nil || strings.Join(fields[2:], " ") != strings.TrimSpace(q.Say) {
		return errWrong
	}
	o.Server, o.Client = fields[0], from.Addr().Unmap()
	return nil
}
