package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

const (
	// batch is how many flows are copied out of the log at once.
	batch = 256
	// pace is how long new flows may wait for others, so that a stream at full
	// load wakes a few times a second and not for every flow.
	pace = 20 * time.Millisecond
	// lastWrite is how long a client may keep a write waiting once the agent
	// ends; less than shutdownTime.
	lastWrite = shutdownTime / 4
)

// flows answers with the flows of the past and, if asked, goes on with new
// ones until the client leaves. A client may take its time, as one does whose
// output is paused: it holds up nothing, and loses flows.
func (s *Server) flows(w http.ResponseWriter, r *http.Request) {
	query, err := ParseQuery(r.URL.Query())
	if err != nil {
		s.fail(w, http.StatusBadRequest, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := &stream{
		query: query, buf: make([]Flow, batch), reader: s.source.Flows().Read(),
		encoder: json.NewEncoder(w), control: http.NewResponseController(w),
	}
	err = out.control.SetWriteDeadline(time.Time{})
	stop := context.AfterFunc(r.Context(), func() { _ = out.control.SetWriteDeadline(time.Now().Add(lastWrite)) })
	defer stop()
	if err == nil {
		err = out.past()
	}
	for err == nil && query.Follow {
		err = out.news(r.Context())
	}
	if err != nil && r.Context().Err() == nil {
		s.log.Debug("a stream of flows ended", "err", err)
	}
}

// stream is one answer of the flows handler.
type stream struct {
	query   Query
	reader  *FlowReader
	buf     []Flow
	encoder *json.Encoder
	control *http.ResponseController
}

// past sends the last flows of those kept. What the log overwrites meanwhile
// is not told: it would not have been among the last.
func (s *stream) past() error {
	var fit []Flow
	for {
		n, _ := s.reader.Poll(s.buf)
		for _, f := range s.buf[:n] {
			if s.query.wants(&f) {
				fit = append(fit, f)
			}
		}
		if n < len(s.buf) {
			break
		}
	}
	if last := s.query.Last; last >= 0 && len(fit) > last {
		fit = fit[len(fit)-last:]
	}
	return s.send(fit, Record{})
}

// news waits for new flows and sends them.
func (s *stream) news(ctx context.Context) error {
	if err := s.reader.Wait(ctx); err != nil {
		return err
	}
	select {
	case <-time.After(pace):
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		n, lost := s.reader.Poll(s.buf)
		fit := make([]Flow, 0, n)
		for _, f := range s.buf[:n] {
			if s.query.wants(&f) {
				fit = append(fit, f)
			}
		}
		missing := Record{Lost: lost, Unsent: s.reader.Unsent()}
		if err := s.send(fit, missing); err != nil || n < len(s.buf) {
			return err
		}
	}
}

// send writes a note of what is missing, and flows, and flushes.
func (s *stream) send(flows []Flow, missing Record) error {
	if missing != (Record{}) {
		if err := s.encoder.Encode(missing); err != nil {
			return err
		}
	}
	for i := range flows {
		if err := s.encoder.Encode(Record{Flow: &flows[i]}); err != nil {
			return err
		}
	}
	return s.control.Flush()
}

// wants reports whether a flow fits the filter and is young enough.
func (q Query) wants(f *Flow) bool {
	return !f.Time.Before(q.Since) && q.Match(f)
}
