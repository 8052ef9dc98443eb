package main

import (
	"errors"
	"testing"
)

func TestSearch(t *testing.T) {
	for _, limit := range []float64{1000, 1001, 5000, 77_000, 127_999} {
		tried := 0
		got, err := search(slowestUDP, fastestUDP, udpHalvings, func(rate float64) (bool, error) {
			tried++
			if rate < slowestUDP || rate > fastestUDP {
				t.Errorf("%v is out of bounds", rate)
			}
			return rate <= limit, nil
		})
		if err != nil || got > limit || got < limit*0.96 {
			t.Errorf("the limit %v was found to be %v, error %v", limit, got, err)
		}
		if tried != udpHalvings+1 {
			t.Errorf("%d rates were tried", tried)
		}
	}
}

func TestSearchFails(t *testing.T) {
	if _, err := search(1, 2, 1, func(float64) (bool, error) { return false, nil }); err == nil {
		t.Error("a search that finds nothing is no error")
	}
	broken := errors.New("broken")
	if _, err := search(1, 2, 1, func(float64) (bool, error) { return true, broken }); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}
