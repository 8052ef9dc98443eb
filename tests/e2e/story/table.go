package story

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// target is a column of a table: where probes go.
type target struct {
	pod      string // key
	port     int
	protocol string
}

// cell is one decision of a table.
type cell struct {
	from string // key of a pod
	to   target
	open bool
}

// parseTable reads a table of decisions, as people draw them. The first line
// names the columns, POD:PORT or POD:PORT/UDP, and any other line begins with
// the pod that its row is about. A decision is yes, no, or a dot for what is
// not tried. Pods of another namespace than the given one are written with it:
// NAMESPACE/POD.
func parseTable(text, namespace string) ([]cell, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	var columns []target
	for _, word := range strings.Fields(lines[0])[1:] {
		column, err := parseTarget(word, namespace)
		if err != nil {
			return nil, err
		}
		columns = append(columns, column)
	}
	var cells []cell
	for _, line := range lines[1:] {
		words := strings.Fields(line)
		if len(words) != len(columns)+1 {
			return nil, fmt.Errorf("row %q: want %d decisions", line, len(columns))
		}
		for i, word := range words[1:] {
			switch word {
			case "yes", "no":
				cells = append(cells, cell{from: key(words[0], namespace), to: columns[i], open: word == "yes"})
			case ".":
			default:
				return nil, fmt.Errorf("row %q: want yes, no or a dot", line)
			}
		}
	}
	return cells, nil
}

func parseTarget(word, namespace string) (target, error) {
	pod, rest, _ := strings.Cut(word, ":")
	number, protocol, found := strings.Cut(rest, "/")
	if !found {
		protocol = lab.TCP
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return target{}, fmt.Errorf("column %q: want POD:PORT or POD:PORT/UDP", word)
	}
	return target{pod: key(pod, namespace), port: int(port), protocol: protocol}, nil
}

func key(pod, namespace string) string {
	if strings.Contains(pod, "/") {
		return pod
	}
	return namespace + "/" + pod
}
