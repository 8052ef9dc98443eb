package main

import (
	"bytes"
	"errors"
	"testing"

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
