package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube"
)

// settingsInterval is how often the configuration file is read again. The
// kubelet brings a changed ConfigMap to the node within about a minute.
const settingsInterval = 5 * time.Second

// Bounds and defaults of live settings.
const (
	defaultGrace        = 15 * time.Minute
	minGrace            = 20 * time.Second // it begins identity.Grace after the last pod has ended
	maxGrace            = 24 * time.Hour
	defaultPerNamespace = 1000
	minRotation         = time.Hour
)

// live are the settings that take effect while the agent runs.
type live struct {
	ignore      identity.Ignore
	audit       bool // policies, everywhere
	attestation datapath.Attestation
	// grace is how long an identity stays after its last pod.
	grace time.Duration
	// perNamespace is how many identities a namespace may have before a
	// warning; 0: any number.
	perNamespace int
	// keyRotation is how old the key gets; 0: any age.
	keyRotation time.Duration
	mtu         int // bytes, of the underlay; 0: what its devices say
}

// settings follows the configuration file. A file that cannot be used changes
// nothing: the last good one stays in force, also across a restart.
type settings struct {
	path, lastGood string
	fixed          fixed  // in force since the start
	changed        func() // called after live settings have changed
	log            *slog.Logger

	mu   sync.Mutex
	seen []byte
	now  live
	err  error // why the file as it is now is not in force; nil: it is
}

// loadFile reads the file, or what was last good if it cannot be used; err
// then says why. Without either, s is nil.
func loadFile(o *options) (parsed parsedFile, s *settings, err error) {
	s = &settings{path: o.configPath, lastGood: filepath.Join(o.runDir, "config.yaml"), log: slog.New(slog.DiscardHandler)}
	raw, err := os.ReadFile(s.path)
	if err == nil {
		parsed, err = parseFile(raw)
	}
	if err != nil {
		s.err = fmt.Errorf("configuration %s: %w", s.path, err)
		good, readErr := os.ReadFile(s.lastGood)
		if readErr != nil {
			return parsed, nil, s.err
		}
		if parsed, readErr = parseFile(good); readErr != nil {
			return parsed, nil, errors.Join(s.err, fmt.Errorf("%s: %w", s.lastGood, readErr))
		}
		s.err = fmt.Errorf("%w; the last good one is in force", s.err)
	}
	s.seen, s.fixed, s.now = raw, parsed.fixed, parsed.live
	return parsed, s, s.err
}

// current gives the settings in force.
func (s *settings) current() live {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// problem says why the file as it is now is not in force, nil if it is.
func (s *settings) problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// run follows the file until ctx ends.
func (s *settings) run(ctx context.Context) {
	s.keep()
	ticker := time.NewTicker(settingsInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.read()
		}
	}
}

// keep stores the file as the last good one, if it is good.
func (s *settings) keep() {
	s.mu.Lock()
	raw, err := s.seen, s.err
	s.mu.Unlock()
	if err != nil {
		return
	}
	err = os.WriteFile(s.lastGood+".new", raw, 0o600)
	if err == nil {
		err = os.Rename(s.lastGood+".new", s.lastGood)
	}
	if err != nil {
		s.log.Warn("the configuration is not kept for a restart", "error", err)
	}
}

// read takes in the file if it has changed.
func (s *settings) read() {
	raw, err := os.ReadFile(s.path)
	s.mu.Lock()
	known := err == nil && bytes.Equal(raw, s.seen) || err != nil && s.seen == nil && s.err != nil
	s.mu.Unlock()
	if known {
		return
	}
	s.take(raw, err)
	s.keep()
	s.changed()
}

func (s *settings) take(raw []byte, err error) {
	var parsed parsedFile
	if err == nil {
		parsed, err = parseFile(raw)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen, s.err = raw, nil
	if err != nil {
		s.err = fmt.Errorf("configuration %s: %w; the last good one is in force", s.path, err)
		s.log.Warn("configuration not used", "error", s.err)
		return
	}
	s.now = parsed.live
	s.log.Info("configuration read again", "path", s.path)
	if parsed.fixed != s.fixed {
		s.err = fmt.Errorf("configuration %s: ranges, ports, pod device and log level take effect when the agent restarts", s.path)
		s.log.Warn("configuration not wholly in force", "error", s.err)
	}
}

// problems tells of the file as an Event on the node.
func (s *settings) problems(node kube.Node) []kube.Problem {
	err := s.problem()
	if err == nil {
		return nil
	}
	return []kube.Problem{{Kind: "Node", Name: node.Name, UID: node.UID, Message: err.Error()}}
}
