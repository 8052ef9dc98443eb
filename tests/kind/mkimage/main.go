// Command mkimage writes container images from directories, without an engine and without a base image, as one archive
// that docker load and ctr images import read.
//
// Each line of its standard input is one image: its name, the directory that becomes its file system, and its entry
// point.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() { os.Exit(run()) }

func run() int {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: mkimage ARCHIVE <IMAGES")
		return 2
	}
	specs, err := parse(os.Stdin)
	if err == nil {
		err = write(os.Args[1], specs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		return 1
	}
	return 0
}

// spec is one line of the input.
type spec struct {
	name       string
	root       string
	entryPoint []string
}

func parse(r io.Reader) ([]spec, error) {
	var specs []spec
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 {
			return nil, fmt.Errorf("line %q: want name, directory and entry point", lines.Text())
		}
		specs = append(specs, spec{name: fields[0], root: fields[1], entryPoint: fields[2:]})
	}
	return specs, lines.Err()
}
