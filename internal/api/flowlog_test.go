package api_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/api"
)

// revisions reads what a reader has, by the revision that numbers the flows.
func revisions(r *api.FlowReader, most int) (list []uint32, lost uint64) {
	buf := make([]api.Flow, most)
	n, lost := r.Poll(buf)
	for _, f := range buf[:n] {
		list = append(list, f.Revision)
	}
	return list, lost
}

func fill(l *api.FlowLog, from, to uint32) {
	for n := from; n <= to; n++ {
		l.Append(api.Flow{Revision: n})
	}
}

func TestFlowLogKeepsTheLatest(t *testing.T) {
	l := api.NewFlowLog(4)
	fill(l, 1, 6)
	got, lost := revisions(l.Read(), 10)
	if len(got) != 4 || got[0] != 3 || got[3] != 6 || lost != 0 {
		t.Errorf("got %v, lost %d; want 3 to 6, nothing lost", got, lost)
	}
}

func TestSlowReaderLearnsWhatItLost(t *testing.T) {
	l := api.NewFlowLog(4)
	r := l.Read()
	fill(l, 1, 3)
	if got, lost := revisions(r, 2); len(got) != 2 || lost != 0 {
		t.Fatalf("got %v, lost %d; want 1 and 2", got, lost)
	}
	fill(l, 4, 9)
	if got, lost := revisions(r, 2); len(got) != 2 || got[0] != 6 || lost != 3 {
		t.Errorf("got %v, lost %d; want 6 and 7 after 3 lost", got, lost)
	}
	if got, lost := revisions(r, 9); len(got) != 2 || got[1] != 9 || lost != 0 {
		t.Errorf("got %v, lost %d; want 8 and 9", got, lost)
	}
}

func TestWait(t *testing.T) {
	l := api.NewFlowLog(4)
	r := l.Read()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := r.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("waiting for nothing gave %v", err)
	}
	go fill(l, 1, 1)
	if err := r.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ := revisions(r, 9); len(got) != 1 {
		t.Errorf("got %v after Wait", got)
	}
}

// What the kernel did not send is told to each reader once, and wakes it.
func TestUnsent(t *testing.T) {
	l := api.NewFlowLog(4)
	l.Unsent(api.Unsent{RingFull: 5})
	r := l.Read()
	if got := r.Unsent(); got != (api.Unsent{}) {
		t.Errorf("what was lost before the reader came: %+v", got)
	}
	go l.Unsent(api.Unsent{RingFull: 7, Suppressed: 1})
	if err := r.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.Unsent(); got != (api.Unsent{RingFull: 2, Suppressed: 1}) {
		t.Errorf("%+v, want 2 and 1", got)
	}
	if got := r.Unsent(); got != (api.Unsent{}) {
		t.Errorf("told twice: %+v", got)
	}
}

// Every reader gets every flow once, in order, or is told how many it missed.
func TestReadersWhileFlowsCome(t *testing.T) {
	const total = 20000
	l := api.NewFlowLog(512)
	var wait sync.WaitGroup
	for range 4 {
		r := l.Read()
		wait.Go(func() {
			var seen, lostAll uint64
			for seen+lostAll < total {
				if err := r.Wait(t.Context()); err != nil {
					t.Error(err)
					return
				}
				got, lost := revisions(r, 100)
				lostAll += lost
				for _, n := range got {
					if seen++; uint64(n) != seen+lostAll {
						t.Errorf("flow %d came as number %d", n, seen+lostAll)
						return
					}
				}
			}
		})
	}
	fill(l, 1, total)
	wait.Wait()
}

func BenchmarkAppend(b *testing.B) {
	l := api.NewFlowLog(api.DefaultFlows)
	f := api.Flow{Node: "n"}
	b.ReportAllocs()
	for b.Loop() {
		l.Append(f)
	}
}
