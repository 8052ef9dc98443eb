package api

// States of a subsystem.
const (
	Works   = "ok"
	Failing = "failing"
	Waiting = "waiting" // for the first success; nothing has failed
)

// Subsystem is one part of an agent.
type Subsystem struct {
	Name    string `json:"name"`
	State   string `json:"state"`             // Works, Failing or Waiting
	Problem string `json:"problem,omitempty"` // what is wrong, if it fails
	Advice  string `json:"advice,omitempty"`  // what to do about it, in one line
}

// AuditMode is where policies only tell what they would drop.
type AuditMode struct {
	Everywhere bool     `json:"everywhere"`
	Namespaces []string `json:"namespaces,omitempty"` // sorted
}

// On reports whether any policy is not enforced.
func (m AuditMode) On() bool { return m.Everywhere || len(m.Namespaces) > 0 }

// MapUsage is how full a table of the kernel is.
type MapUsage struct {
	Name    string `json:"name"`
	Entries int    `json:"entries"`
	Max     int    `json:"max"`
}
