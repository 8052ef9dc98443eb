package cli_test

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/signet-cni/signet/internal/cli"
)

// commandPaths gives every command there is, by its help.
func commandPaths(t *testing.T, path []string) [][]string {
	t.Helper()
	all := [][]string{path}
	help := run(t, nil, append(slices.Clone(path), "--help")...)
	_, list, found := strings.Cut(help.stdout, "Available Commands:\n")
	if !found {
		return all
	}
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" {
			break
		}
		if name != "help" {
			all = append(all, commandPaths(t, append(slices.Clone(path), name))...)
		}
	}
	return all
}

func TestHelpHasExamples(t *testing.T) {
	paths := commandPaths(t, nil)
	if len(paths) < 20 {
		t.Fatalf("only %d commands: %v", len(paths), paths)
	}
	for _, path := range append(paths, []string{"probe", "serve"}, []string{"probe", "sniff"}, []string{"node-facts"}) {
		got := run(t, nil, append(path, "--help")...)
		if got.code != 0 || !strings.Contains(got.stdout, "Examples:\n  ") || strings.Contains(got.stdout, "while-stdin") {
			t.Errorf("%q: %s", path, got)
		}
	}
}

func TestComplete(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"commands":         {[]string{"sta"}, []string{"status"}},
		"namespaces":       {[]string{"flows", "--namespace", "co"}, []string{"concert"}},
		"nodes":            {[]string{"status", "--node", ""}, []string{"worker-1", "worker-2"}},
		"more nodes":       {[]string{"status", "--node", "worker-1,"}, []string{"worker-1,worker-1", "worker-1,worker-2"}},
		"pods":             {[]string{"flows", "--pod", "h"}, []string{"hall/door"}},
		"pods of one":      {[]string{"policy", "why", "--from", "concert/v"}, []string{"concert/vip"}},
		"services":         {[]string{"policy", "why", "--to", "service/concert/"}, []string{"service/concert/vip"}},
		"identity":         {[]string{"identity", "show", ""}, []string{"1001"}},
		"verdicts":         {[]string{"flows", "--verdict", "a"}, []string{"admitted", "audit"}},
		"formats":          {[]string{"flows", "-o", ""}, []string{"compact", "json", "wide"}},
		"a cluster's name": {[]string{"--context", "x", "flows", "-n", "h"}, []string{"hall"}},
	} {
		got := run(t, concert(t), append([]string{"__complete"}, test.args...)...)
		var list []string
		for line := range strings.Lines(got.stdout) {
			if !strings.HasPrefix(line, ":") {
				word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
				list = append(list, word)
			}
		}
		if !slices.Equal(list, test.want) {
			t.Errorf("%s: %q, want %q", name, list, test.want)
		}
	}
}

// Without a cluster a completion says nothing.
func TestCompleteWithoutCluster(t *testing.T) {
	if got := run(t, nil, "__complete", "flows", "--pod", ""); got.code != 0 || got.stdout != ":4\n" {
		t.Errorf("%s", got)
	}
}

func TestCompletionScriptIsShell(t *testing.T) {
	script := run(t, nil, "completion", "bash")
	check := exec.CommandContext(t.Context(), "bash", "-n")
	check.Stdin = strings.NewReader(script.stdout)
	if out, err := check.CombinedOutput(); err != nil || len(script.stdout) < 1000 {
		t.Errorf("%v: %s: %d bytes", err, out, len(script.stdout))
	}
}

// kubectl calls the binary by two names.
func TestKubectlPlugin(t *testing.T) {
	for name, test := range map[string]struct {
		called, arg, want string
	}{
		"help":       {"/usr/local/bin/kubectl-signet", "--help", "kubectl signet [command]"},
		"completion": {"/usr/local/bin/kubectl_complete-signet", "connect", "connectivity\t"},
	} {
		var stdout, stderr bytes.Buffer
		env := environment(concert(t), &stdout, &stderr)
		env.Name = test.called
		if code := cli.Run(t.Context(), []string{test.arg}, env); code != 0 || !strings.Contains(stdout.String(), test.want) {
			t.Errorf("%s: exit code %d: %s%s", name, code, stdout.String(), stderr.String())
		}
	}
}
