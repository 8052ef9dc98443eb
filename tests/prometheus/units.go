package prometheus

import (
	"fmt"
	"strconv"
)

// inUnit writes a value as Grafana's unit has it.
func inUnit(v float64, unit string) string {
	switch unit {
	case "percentunit":
		return trim(v*100, 1) + " %"
	case "s":
		if v < 1 {
			return trim(v*1000, 1) + " ms"
		}
		return trim(v, 1) + " s"
	case "bytes", "Bps":
		return scaled(v, 1024, []string{"B", "KiB", "MiB", "GiB"}) + map[string]string{"Bps": "/s"}[unit]
	case "ops", "pps":
		return trim(v, 2) + "/s"
	}
	return trim(v, 2)
}

func scaled(v, base float64, units []string) string {
	unit := 0
	for v >= base && unit < len(units)-1 {
		v, unit = v/base, unit+1
	}
	return fmt.Sprintf("%s %s", trim(v, 1), units[unit])
}

// trim writes at most so many decimals.
func trim(v float64, decimals int) string {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'f', decimals, 64), 64)
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}
