package policy

import "testing"

// An agent is asked for its status before it has compiled anything.
func TestSizeOfNothing(t *testing.T) {
	var result Result
	if got := result.Size(); got != (Size{}) {
		t.Errorf("%+v", got)
	}
}
