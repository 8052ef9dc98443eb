package main

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/bench/report"
)

func TestChoose(t *testing.T) {
	all, err := choose("all")
	if err != nil || len(all) != len(benchmarks) {
		t.Errorf("all are %d, error %v", len(all), err)
	}
	one, err := choose(benchmarks[0].name)
	if err != nil || len(one) != 1 || one[0].name != benchmarks[0].name {
		t.Errorf("one is %v, error %v", one, err)
	}
	if _, err := choose("tcp,nonsense"); err == nil {
		t.Error("nonsense is a case")
	}
}

func TestUntil(t *testing.T) {
	began := time.Now()
	least := began
	for i, b := range benchmarks {
		least = least.Add(b.least)
		if end := until(benchmarks, i, began); b.least <= 0 || !end.After(least) {
			t.Errorf("%s may take until %v, it needs until %v", b.name, end.Sub(began), least.Sub(began))
		}
	}
	if last := until(benchmarks, len(benchmarks)-1, began).Sub(began); last != within {
		t.Errorf("all have %v, want %v", last, within)
	}
	if early := until(benchmarks, 0, began).Sub(began); early >= within-benchmarks[1].least {
		t.Errorf("the first of all has %v, which leaves nothing to the others", early)
	}
	if alone := until(benchmarks[:1], 0, began).Sub(began); alone != within {
		t.Errorf("one alone has %v, want %v", alone, within)
	}
}

func TestLabCleansUp(t *testing.T) {
	var log bytes.Buffer
	cleaned := 0
	_, err := (&lab{log: &log}).run(func(l *lab) ([]report.Row, error) {
		l.Cleanup(func() { cleaned++ })
		l.Fatalf("no %s", "device")
		return nil, errors.New("not reached")
	})
	if err == nil || err.Error() != "no device" || cleaned != 1 {
		t.Errorf("error %v, cleaned up %d times", err, cleaned)
	}
}
