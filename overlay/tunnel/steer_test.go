package tunnel

import (
	"fmt"
	"testing"
)

// A pair goes where it is wanted as soon as it has a session there, and leaves
// a device with a session for no other reason.
func TestChoose(t *testing.T) {
	type state struct{ on, want, first, detour bool }
	for s, next := range map[state]bool{
		{want: true, first: true, detour: true}: true,
		{want: true, first: true}:               false,
		{want: true, detour: true}:              true,
		{want: true}:                            false,
		{first: true, detour: true}:             false,
		{first: true}:                           false,
		{detour: true}:                          false,
		{}:                                      false,
		{on: true, want: true, first: true, detour: true}: true,
		{on: true, want: true, first: true}:               false,
		{on: true, want: true, detour: true}:              true,
		{on: true, want: true}:                            false,
		{on: true, first: true, detour: true}:             false,
		{on: true, first: true}:                           false,
		{on: true, detour: true}:                          true,
		{on: true}:                                        false,
	} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			if got := choose(s.on, s.want, s.first, s.detour); got != next {
				t.Errorf("got %v, want %v", got, next)
			}
		})
	}
}
