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
	for i := range benchmarks {
		end := until(benchmarks, i, began)
		if before := began; i > 0 {
			before = until(benchmarks, i-1, began)
			if least := benchmarks[i].least; end.Sub(before) < least || least <= 0 {
				t.Errorf("%s has %v, it takes %v", benchmarks[i].name, end.Sub(before), least)
			}
		}
	}
	if last := until(benchmarks, len(benchmarks)-1, began).Sub(began).Round(time.Second); last != within {
		t.Errorf("all have %v, want %v", last, within)
	}
	if alone := until(benchmarks[:1], 0, began).Sub(began).Round(time.Second); alone != within {
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
