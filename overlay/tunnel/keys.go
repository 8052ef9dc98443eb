package tunnel

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay/keys"
)

// detourSuffix makes the path of the second device's key of the first's.
const detourSuffix = ".detour"

// Keys are this node's two private keys, on disk and in memory. It is safe for
// concurrent use.
type Keys struct {
	path string

	mu            sync.Mutex
	first, second dated
}

// dated is a key and when it was made.
type dated struct {
	key wgtypes.Key
	at  time.Time
}

// LoadKeys loads both keys, or makes what is missing: the first device's at
// path, the second's beside it.
func LoadKeys(path string) (k *Keys, created bool, err error) {
	if err := keys.Tidy(path); err != nil {
		return nil, false, err
	}
	k = &Keys{path: path}
	if k.first, created, err = load(path); err != nil {
		return nil, false, err
	}
	if k.second, _, err = load(path + detourSuffix); err != nil {
		return nil, false, err
	}
	if k.first.key == k.second.key {
		return nil, false, fmt.Errorf("%s and %s hold the same key: remove the second", path, path+detourSuffix)
	}
	return k, created, nil
}

func load(path string) (m dated, created bool, err error) {
	if m.key, created, err = keys.LoadOrCreate(path); err != nil {
		return m, created, err
	}
	m.at, err = keys.Made(path)
	return m, created, err
}

// Public gives both public keys, and when the first was made.
func (k *Keys) Public() (first, second wgtypes.Key, keyed time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.first.key.PublicKey(), k.second.key.PublicKey(), k.first.at
}

// private gives both private keys.
func (k *Keys) private() (first, second wgtypes.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.first.key, k.second.key
}

// made says when both were made.
func (k *Keys) made() (first, second time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.first.at, k.second.at
}

// halfway reports that an agent changed the first key and ended before it
// changed the second.
func (k *Keys) halfway() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.second.at.Before(k.first.at)
}

func (k *Keys) replaceFirst() error { return k.replace(k.path, &k.first) }

func (k *Keys) replaceSecond() error { return k.replace(k.path+detourSuffix, &k.second) }

// replace also returns keys.ErrNotWiped, upon which the key is a new one.
func (k *Keys) replace(path string, old *dated) error {
	key, err := keys.Replace(path)
	if err != nil && !errors.Is(err, keys.ErrNotWiped) {
		return err
	}
	at, madeErr := keys.Made(path)
	if madeErr != nil {
		at = time.Now()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	*old = dated{key: key, at: at}
	return err
}
