package archive

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// removed stands for what was taken out.
const removed = "(removed)"

// credentials are texts that are never meant for others: private keys in PEM,
// and tokens (RFC 7519, compact form).
var credentials = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----|` +
	`\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}`)

// scrub takes credentials out of a text.
func scrub(text []byte) []byte { return credentials.ReplaceAll(text, []byte(removed)) }

// Objects makes JSON of the API server fit to be handed on: without the values
// of environment variables, command lines and copies of the whole object. It
// refuses Secrets.
func Objects(raw []byte) ([]byte, error) {
	var document any
	if err := json.Unmarshal(raw, &document); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", " ")
	err := encoder.Encode(clean(document))
	return out.Bytes(), err
}

// dropped are fields without any use for a report.
var dropped = []string{"managedFields", "kubectl.kubernetes.io/last-applied-configuration"}

// hidden are the fields of containers and their probes that may hold passwords.
var hidden = []string{"command", "args", "httpHeaders"}

func clean(value any) any {
	switch v := value.(type) {
	case []any:
		for n := range v {
			v[n] = clean(v[n])
		}
	case map[string]any:
		if kind, _ := v["kind"].(string); strings.HasPrefix(kind, "Secret") {
			return removed
		}
		for key, field := range v {
			switch {
			case slices.Contains(dropped, key):
				delete(v, key)
			case slices.Contains(hidden, key) && field != nil:
				v[key] = removed
			case key == "env":
				v[key] = environment(field)
			default:
				v[key] = clean(field)
			}
		}
	}
	return value
}

// environment keeps the names alone.
func environment(field any) any {
	list, _ := field.([]any)
	for _, item := range list {
		if variable, ok := item.(map[string]any); ok && variable["value"] != nil {
			variable["value"] = removed
		}
	}
	return field
}
