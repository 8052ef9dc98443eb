package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLastWords(t *testing.T) {
	console := filepath.Join(t.TempDir(), "console")
	text := "[    0.000000] Linux\r\nnetns#1 noise\r\n[   12.345678] Kernel panic\r\n[  123.456789] end\r\n"
	if err := os.WriteFile(console, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	words, err := lastWords(console, 2)
	if want := []string{"[   12.345678] Kernel panic", "[  123.456789] end"}; err != nil || !slices.Equal(words, want) {
		t.Errorf("got %q, %v", words, err)
	}
	if words, err := lastWords(console, 9); err != nil || len(words) != 3 {
		t.Errorf("got %q, %v", words, err)
	}
	if got := withLastWords("it died", console); !strings.HasSuffix(got, "Kernel panic\n[  123.456789] end") {
		t.Errorf("got %q", got)
	}
	if got := withLastWords("it died", console+".none"); !strings.Contains(got, "cannot be read") {
		t.Errorf("got %q", got)
	}
}
