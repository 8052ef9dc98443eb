package ui

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/signet-cni/signet/internal/flowmap"
)

const (
	// pace is how often a reader is told what has changed.
	pace = 400 * time.Millisecond
	// heartbeat is how often a reader hears anything, so that it notices when
	// the command has ended.
	heartbeat = 3 * time.Second
	// writeTime is how long a reader may keep one line waiting.
	writeTime = 30 * time.Second
)

// line is one line of the stream.
type line struct {
	Info *Info `json:"info,omitempty"` // in the first one
	*flowmap.Update
}

// stream tells the map, and what changes of it, until the reader leaves. A
// reader that takes its time holds up nothing: it is told less often.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	control := http.NewResponseController(w)
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	first, seen, told := line{Info: &s.info}, uint64(0), time.Time{}
	for {
		update, next, changed := s.flows.Changes(seen)
		if changed {
			first.Update, seen = &update, next
		}
		if changed || time.Since(told) >= heartbeat {
			_ = control.SetWriteDeadline(time.Now().Add(writeTime)) // the writer may know none
			if out.Encode(first) != nil || control.Flush() != nil {
				return
			}
			first, told = line{}, time.Now()
		}
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
	}
}
