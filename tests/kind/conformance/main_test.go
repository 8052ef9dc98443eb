package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	report := `[{"SpecReports": [
		{"LeafNodeType": "BeforeSuite", "State": "passed"},
		{"LeafNodeType": "It", "LeafNodeText": "b", "State": "failed", "RunTime": 2500000000, "Failure": {"Message": "why"}},
		{"LeafNodeType": "It", "LeafNodeText": "a", "State": "passed", "RunTime": 1000000000},
		{"LeafNodeType": "It", "LeafNodeText": "c", "State": "skipped"}]}]`
	if err := os.WriteFile(path, []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	cases, err := read(path)
	if err != nil || len(cases) != 2 {
		t.Fatalf("got %d cases, %v", len(cases), err)
	}
	var out bytes.Buffer
	if passed := tell(&out, cases); passed != 1 {
		t.Errorf("%d passed", passed)
	}
	for _, want := range []string{"passed     1.0s  a", "failed     2.5s  b", "    why", "1 passed, 1 failed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q lacks %q", out.String(), want)
		}
	}
}

func TestReportRefused(t *testing.T) {
	if cases, err := read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Errorf("got %v", cases)
	}
}
