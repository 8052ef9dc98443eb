package main

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"

	"github.com/signet-cni/signet/tests/bench/report"
)

// imageCommands are what the image consists of, and nothing else (deploy/image).
var imageCommands = []string{"signet", "signet-agent", "signet-cni", "signet-verifier", "signet-wg"}

// measureImage tells how large the image is: as it lies on a node, and as a node
// fetches it.
func measureImage(*lab) ([]report.Row, error) {
	var plain, packed counter
	compressed := gzip.NewWriter(&packed)
	layer := tar.NewWriter(io.MultiWriter(compressed, &plain))
	for _, name := range imageCommands {
		if err := addFile(layer, filepath.Join("build", name)); err != nil {
			return nil, err
		}
	}
	if err := layer.Close(); err != nil {
		return nil, err
	}
	if err := compressed.Close(); err != nil {
		return nil, err
	}
	return []report.Row{
		report.Single("image", "MB", float64(plain)/1e6, report.Target{}),
		report.Single("image-compressed", "MB", float64(packed)/1e6, report.Target{}),
	}, nil
}

func addFile(layer *tar.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return err
	}
	if err := layer.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(layer, file)
	return err
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(data []byte) (int, error) {
	*c += counter(len(data))
	return len(data), nil
}
