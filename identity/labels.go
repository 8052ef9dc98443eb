package identity

import (
	"fmt"
	"strings"
)

// Longest parts of a label, in bytes, as the API defines them.
const (
	maxPrefix = 253 // of a key, before the slash
	maxName   = 63  // of a key after the slash, and of a value
)

// checkKey accepts what the API accepts as a label key: an optional DNS
// subdomain and a slash, and a name.
func checkKey(key string) error {
	prefix, name, qualified := strings.Cut(key, "/")
	if !qualified {
		prefix, name = "", key
	}
	if qualified {
		if err := checkSubdomain(prefix); err != nil {
			return fmt.Errorf("label key %q: prefix: %w", key, err)
		}
	}
	if name == "" {
		return fmt.Errorf("label key %q: no name", key)
	}
	if err := checkName(name); err != nil {
		return fmt.Errorf("label key %q: %w", key, err)
	}
	return nil
}

// checkValue accepts what the API accepts as a label value, "" included.
func checkValue(value string) error {
	if value == "" {
		return nil
	}
	if err := checkName(value); err != nil {
		return fmt.Errorf("label value %q: %w", value, err)
	}
	return nil
}

func checkName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("%d bytes, more than %d", len(name), maxName)
	}
	for _, r := range name {
		if !isNameByte(r) {
			return fmt.Errorf("character %q: want letters, digits, '-', '_' and '.'", r)
		}
	}
	if !isAlphanumeric(rune(name[0])) || !isAlphanumeric(rune(name[len(name)-1])) {
		return fmt.Errorf("must begin and end with a letter or digit")
	}
	return nil
}

func checkSubdomain(domain string) error {
	if domain == "" || len(domain) > maxPrefix {
		return fmt.Errorf("%d bytes, want 1 to %d", len(domain), maxPrefix)
	}
	for part := range strings.SplitSeq(domain, ".") {
		if part == "" || part[0] == '-' || part[len(part)-1] == '-' {
			return fmt.Errorf("part %q: must begin and end with a letter or digit", part)
		}
		for _, r := range part {
			if !isAlphanumeric(r) && r != '-' || r >= 'A' && r <= 'Z' {
				return fmt.Errorf("character %q: want lower-case letters, digits, '-' and '.'", r)
			}
		}
	}
	return nil
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

func isNameByte(r rune) bool {
	return isAlphanumeric(r) || r == '-' || r == '_' || r == '.'
}
