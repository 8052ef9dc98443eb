package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/signet-cni/signet/overlay"
)

// rangeList is one range of IPv4 and at most one of IPv6: a text that separates
// them by a comma, as Kubernetes has it, or a list.
type rangeList []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *rangeList) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err == nil {
		*l = strings.Split(text, ",")
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("want a range, two separated by a comma, or a list: %w", err)
	}
	*l = list
	return nil
}

// String is the text that Kubernetes would have.
func (l rangeList) String() string { return strings.Join(l, ",") }

// parse says what field would want, should it be anything else.
func (l rangeList) parse(field, example string) (overlay.Ranges, error) {
	var list []netip.Prefix
	for _, text := range l {
		p, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			return overlay.Ranges{}, fmt.Errorf("%s %q: want an IPv4 range and perhaps an IPv6 range, such as %s", field, l, example)
		}
		list = append(list, p)
	}
	r, err := overlay.RangesOf(list)
	if err != nil {
		return r, fmt.Errorf("%s %q: want an IPv4 range and perhaps an IPv6 range, such as %s: %w", field, l, example, err)
	}
	return r, nil
}
