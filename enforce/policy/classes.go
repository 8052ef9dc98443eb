package policy

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/signet-cni/signet/identity"
)

// class is a group of identities that match the same peers.
type class struct {
	digest digest
	peers  []*peer // scopeSelected
}

// classifier tells which peers a set of labels matches. It depends on the
// policies alone, so that an identity can be classified without the others.
type classifier struct {
	own     map[string]*podIndex // peers of one namespace, by its name
	every   podIndex             // peers that select namespaces
	nsMatch map[nsPair]bool
	classes map[string]*class // by the peers' positions
	ids     map[*peer]uint32
}

// nsPair names a namespace's labels and a selector over them.
type nsPair struct{ namespace, selector string }

// podIndex finds the peers whose pod selector can match some labels: through
// one requirement of operator In where they have one.
type podIndex struct {
	byLabel map[label][]*peer
	rest    []*peer
}

type label struct{ key, value string }

func newClassifier(peers map[string]*peer) *classifier {
	c := &classifier{
		own:     map[string]*podIndex{},
		every:   podIndex{byLabel: map[label][]*peer{}},
		nsMatch: map[nsPair]bool{},
		classes: map[string]*class{},
		ids:     map[*peer]uint32{},
	}
	for _, key := range slices.Sorted(maps.Keys(peers)) {
		p := peers[key]
		if p.scope != scopeSelected {
			continue
		}
		c.ids[p] = uint32(len(c.ids))
		c.index(p).add(p)
	}
	return c
}

func (c *classifier) index(p *peer) *podIndex {
	if p.namespaces != nil {
		return &c.every
	}
	if c.own[p.namespace] == nil {
		c.own[p.namespace] = &podIndex{byLabel: map[label][]*peer{}}
	}
	return c.own[p.namespace]
}

func (x *podIndex) add(p *peer) {
	for _, requirement := range p.pods.Requirements {
		if requirement.Operator != identity.In {
			continue
		}
		for _, value := range requirement.Values {
			at := label{requirement.Key, value}
			if !slices.Contains(x.byLabel[at], p) {
				x.byLabel[at] = append(x.byLabel[at], p)
			}
		}
		return
	}
	x.rest = append(x.rest, p)
}

// candidates calls visit for every peer that may match the labels, each once.
func (x *podIndex) candidates(labels map[string]string, visit func(*peer)) {
	for key, value := range labels {
		for _, p := range x.byLabel[label{key, value}] {
			visit(p)
		}
	}
	for _, p := range x.rest {
		visit(p)
	}
}

// classify gives the class of a set: a pointer that all sets of the class share.
func (c *classifier) classify(set identity.Set) *class {
	var matched []*peer
	if own := c.own[set.Namespace]; own != nil {
		own.candidates(set.PodLabels, func(p *peer) {
			if p.pods.MatchPods(set) == identity.Yes {
				matched = append(matched, p)
			}
		})
	}
	namespace := namespaceKey(set)
	c.every.candidates(set.PodLabels, func(p *peer) {
		if c.inNamespaces(namespace, set, p) && p.pods.MatchPods(set) == identity.Yes {
			matched = append(matched, p)
		}
	})
	return c.class(matched)
}

func (c *classifier) inNamespaces(namespace string, set identity.Set, p *peer) bool {
	pair := nsPair{namespace, p.nsKey}
	matches, known := c.nsMatch[pair]
	if !known {
		matches = p.namespaces.MatchNamespace(set) == identity.Yes
		c.nsMatch[pair] = matches
	}
	return matches
}

func (c *classifier) class(matched []*peer) *class {
	slices.SortFunc(matched, func(a, b *peer) int { return strings.Compare(a.key, b.key) })
	var positions []byte
	for _, p := range matched {
		positions = binary.BigEndian.AppendUint32(positions, c.ids[p])
	}
	known, ok := c.classes[string(positions)]
	if !ok {
		known = &class{digest: peersDigest(matched), peers: matched}
		c.classes[string(positions)] = known
	}
	return known
}

func peersDigest(peers []*peer) digest {
	keys := make([]string, 0, len(peers))
	for _, p := range peers {
		keys = append(keys, p.key)
	}
	return digestOf("class", keys...)
}

// namespaceKey gives a string that stands for the namespace and its labels.
func namespaceKey(set identity.Set) string {
	return string(identity.Set{Namespace: set.Namespace, NamespaceLabels: set.NamespaceLabels}.Canonical())
}
