package identity

import "testing"

func TestName(t *testing.T) {
	for id, want := range map[ID]string{Unknown: "unknown", World: "world", 200: "reserved-200", 256: ""} {
		if got := id.Name(); got != want {
			t.Errorf("%s: name %q, want %q", id, got, want)
		}
	}
}
