package plugin

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const installUsage = `usage: signet-cni install [--bin-dir DIR] [PLUGIN...]

Copies this program into DIR as "signet", and each further PLUGIN, a path,
under its own name unless DIR has one of that name already.
`

// Install is the command that puts the plugin where the container runtime
// looks for it; args are the arguments behind "install". It returns an error
// that says which file could not be installed, or flag.ErrHelp.
func Install(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("install", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = fmt.Fprint(stderr, installUsage) // nowhere to report it
		flags.PrintDefaults()
	}
	dir := flags.String("bin-dir", "/host/opt/cni/bin", "directory of the CNI plugins")
	if err := flags.Parse(args); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	for _, plugin := range flags.Args() {
		target := filepath.Join(*dir, filepath.Base(plugin))
		if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
			continue // the node's own
		}
		if err := installFile(plugin, target); err != nil {
			return err
		}
	}
	return installFile(self, filepath.Join(*dir, "signet"))
}

// installFile copies a program so that target is at any time the old or the
// whole new one: a pod may be starting.
func installFile(source, target string) error {
	in, err := os.Open(source)
	if err != nil {
		return fmt.Errorf("install %s: %w", target, err)
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*.tmp")
	if err != nil {
		return fmt.Errorf("install %s: %w", target, err)
	}
	_, err = io.Copy(out, in)
	err = errors.Join(err, out.Chmod(0o755), out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), target)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("install %s: %w", target, err), os.Remove(out.Name()))
	}
	return nil
}
