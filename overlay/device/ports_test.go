package device

import "testing"

func TestWithPorts(t *testing.T) {
	for list, want := range map[string]string{
		"":                   "51872,51873",
		"80,8080-8090":       "80,8080-8090,51872,51873",
		"51872-51873":        "51872-51873",
		"51873,60000":        "51873,60000,51872",
		"1-51872":            "1-51872,51873",
		"51874-51880,1-4000": "51874-51880,1-4000,51872,51873",
	} {
		got, err := withPorts(list, []uint16{51872, 51873})
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", list, got, err, want)
		}
		again, err := withPorts(got, []uint16{51872, 51873})
		if err != nil || again != got {
			t.Errorf("%q again: %q, %v", got, again, err)
		}
	}
	for _, list := range []string{"x", "1-", "-2", "70000", "1,,2"} {
		if got, err := withPorts(list, []uint16{51872}); err == nil {
			t.Errorf("%q: %q and no error", list, got)
		}
	}
}
