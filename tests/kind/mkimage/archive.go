package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
)

// manifest is an element of manifest.json in Docker's image archive, version 1.2 of its image specification.
type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// archive is the image archive being written.
type archive struct {
	tar    *tar.Writer
	layers map[string]string // directory to layer digest: images of one directory share its layer
}

func write(path string, specs []spec) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()

	out := archive{tar: tar.NewWriter(file), layers: map[string]string{}}
	var manifests []manifest
	for _, image := range specs {
		m, err := out.image(image)
		if err != nil {
			return fmt.Errorf("image %s: %w", image.name, err)
		}
		manifests = append(manifests, m)
	}
	if err := out.json("manifest.json", manifests); err != nil {
		return err
	}
	return out.tar.Close()
}

func (a *archive) image(image spec) (manifest, error) {
	layer, err := a.layer(image.root)
	if err != nil {
		return manifest{}, err
	}
	config := map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config": map[string]any{
			"Env":        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			"Entrypoint": image.entryPoint,
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + layer}},
	}
	encoded, err := json.Marshal(config)
	if err != nil {
		return manifest{}, err
	}
	digest := sha256.Sum256(encoded)
	name := hex.EncodeToString(digest[:]) + ".json"
	return manifest{Config: name, RepoTags: []string{image.name}, Layers: []string{layer + ".tar"}},
		a.bytes(name, encoded)
}

// layer appends the tar of root, once, and returns its SHA-256.
func (a *archive) layer(root string) (string, error) {
	if digest, ok := a.layers[root]; ok {
		return digest, nil
	}
	temporary, err := os.CreateTemp("", "mkimage-")
	if err != nil {
		return "", err
	}
	defer temporary.Close()
	if err := os.Remove(temporary.Name()); err != nil {
		return "", err
	}

	sum := sha256.New()
	layer := tar.NewWriter(io.MultiWriter(temporary, sum))
	if err := errors.Join(layer.AddFS(os.DirFS(root)), layer.Close()); err != nil {
		return "", err
	}
	size, err := temporary.Seek(0, io.SeekCurrent)
	if err != nil {
		return "", err
	}
	if _, err := temporary.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	a.layers[root] = digest
	return digest, a.file(digest+".tar", size, temporary)
}

func (a *archive) json(name string, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return a.bytes(name, encoded)
}

func (a *archive) bytes(name string, content []byte) error {
	if err := a.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := a.tar.Write(content)
	return err
}

func (a *archive) file(name string, size int64, content io.Reader) error {
	if err := a.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	_, err := io.Copy(a.tar, content)
	return err
}
