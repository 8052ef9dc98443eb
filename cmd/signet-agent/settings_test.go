package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/signet-cni/signet/identity"
)

// lab is a configuration file, and an agent's view of it.
type lab struct {
	t       *testing.T
	options *options
	pokes   int
}

func newLab(t *testing.T, text string) *lab {
	o := defaultOptions()
	o.nodeName, o.runDir = "node", t.TempDir()
	o.configPath = filepath.Join(t.TempDir(), "config.yaml")
	l := &lab{t: t, options: o}
	l.write(text)
	return l
}

func (l *lab) write(text string) {
	l.t.Helper()
	if err := os.WriteFile(l.options.configPath, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// start is what an agent does first.
func (l *lab) start() *settings {
	l.t.Helper()
	cfg, err := l.options.load()
	if err != nil {
		l.t.Fatal(err)
	}
	cfg.settings.changed = func() { l.pokes++ }
	cfg.settings.log = slog.New(slog.DiscardHandler)
	cfg.settings.keep()
	return cfg.settings
}

func (l *lab) expect(s *settings, globs []string, problem string) {
	l.t.Helper()
	if got := s.current().ignore.Globs(); !slices.Equal(got, globs) {
		l.t.Errorf("ignores %q, want %q", got, globs)
	}
	err := s.problem()
	if problem == "" && err != nil || problem != "" && (err == nil || !strings.Contains(err.Error(), problem)) {
		l.t.Errorf("problem %v, want %q", err, problem)
	}
}

func TestIgnoreListIsFollowed(t *testing.T) {
	l := newLab(t, goodConfig)
	s := l.start()
	l.expect(s, identity.DefaultGlobs(), "")
	s.read()
	if l.pokes != 0 {
		t.Error("a poke although nothing changed")
	}
	l.write(goodConfig + "ignoreLabels: [build, 'ci/*']\n")
	s.read()
	l.expect(s, []string{"build", "ci/*"}, "")
	l.write(goodConfig + "ignoreLabels: []\n")
	s.read()
	l.expect(s, nil, "")
	l.write(goodConfig)
	s.read()
	l.expect(s, identity.DefaultGlobs(), "")
	if l.pokes != 3 {
		t.Errorf("%d pokes for 3 changes", l.pokes)
	}
}

// A list that does not parse changes nothing, says so, and is forgotten once
// it is mended; a restart in between makes no difference.
func TestBadIgnoreListKeepsTheLastGood(t *testing.T) {
	for _, bad := range []string{"ignoreLabels: ['b$d']", "ignoreLabels: build", "ignoreLabels: [build", "ignoreLables: [a]"} {
		t.Run(bad, func(t *testing.T) {
			good := []string{"build"}
			l := newLab(t, goodConfig+"ignoreLabels: [build]\n")
			s := l.start()
			l.write(goodConfig + bad)
			s.read()
			l.expect(s, good, "the last good one is in force")
			s.read()
			if l.pokes != 1 {
				t.Errorf("%d pokes for one change", l.pokes)
			}
			s = l.start()
			l.expect(s, good, "the last good one is in force")
			l.write(goodConfig + "ignoreLabels: [build]\n")
			s.read()
			l.expect(s, good, "")
		})
	}
}

func TestVanishedConfigKeepsTheLastGood(t *testing.T) {
	l := newLab(t, goodConfig+"ignoreLabels: [build]\n")
	s := l.start()
	if err := os.Remove(l.options.configPath); err != nil {
		t.Fatal(err)
	}
	s.read()
	s.read()
	l.expect(s, []string{"build"}, "no such file")
	if l.pokes != 1 {
		t.Errorf("%d pokes", l.pokes)
	}
	l.expect(l.start(), []string{"build"}, "no such file")
}

func TestFixedSettingsWaitForARestart(t *testing.T) {
	l := newLab(t, goodConfig)
	s := l.start()
	l.write(strings.Replace(goodConfig, "51872", "51873", 1) + "ignoreLabels: [build]\n")
	s.read()
	l.expect(s, []string{"build"}, "when the agent restarts")
	if s.fixed.port != 51872 {
		t.Errorf("port %d", s.fixed.port)
	}
}

// The manifest's configuration is a good one, and spells the defaults out.
func TestManifestConfig(t *testing.T) {
	raw, err := os.ReadFile("../../deploy/signet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range strings.Split(string(raw), "\n---\n") {
		var object struct {
			Data map[string]string `json:"data"`
		}
		if yaml.Unmarshal([]byte(document), &object) != nil || object.Data["config.yaml"] == "" {
			continue
		}
		parsed, err := parseFile([]byte(object.Data["config.yaml"]))
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.live.ignore.Globs(); !slices.Equal(got, identity.DefaultGlobs()) {
			t.Errorf("the manifest ignores %q", got)
		}
		return
	}
	t.Error("the manifest has no config.yaml")
}
