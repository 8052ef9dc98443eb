package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// labelText gives labels as KEY=VALUE, in order, with commas between.
func labelText(labels map[string]string) string {
	parts := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, ",")
}

// byteText gives a number of bytes with three digits and a binary unit.
func byteText[N int64 | uint64](bytes N) string {
	const units = "KMGTPE"
	value, unit := float64(bytes), -1
	for value >= 1000 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	switch {
	case unit < 0:
		return fmt.Sprintf("%d B", bytes)
	case value < 10:
		return fmt.Sprintf("%.1f %ciB", value, units[unit])
	default:
		return fmt.Sprintf("%.0f %ciB", value, units[unit])
	}
}

// ageText says how long ago something was.
func ageText(at, now time.Time) string {
	age := now.Sub(at)
	switch {
	case at.IsZero():
		return "never"
	case age < 2*time.Second:
		return "now"
	case age < 2*time.Minute:
		return fmt.Sprintf("%ds ago", int(age.Seconds()))
	case age < 2*time.Hour:
		return fmt.Sprintf("%dm ago", int(age.Minutes()))
	case age < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(age.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(age.Hours()/24))
	}
}

// count gives a number and its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// writeJSON writes one indented document.
func writeJSON(w io.Writer, document any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}

func addrText(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// shortID cuts a container's name to the length that the tools of container
// engines show.
func shortID(id string) string { return id[:min(len(id), 13)] }
