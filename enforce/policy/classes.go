package policy

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/signet-cni/signet/identity"
)

// class is a group of identities that match the same peers.
type class struct {
	content
	key        string  // of classifier.classes
	peers      []*peer // scopeSelected
	identities int     // that have it
	listed     bool    // it has rows
}

// anyPodClass and nonPodClass stand for the classes with a fixed number.
var (
	anyPodClass = &class{content: content{number: uint64(ClassAnyPod)}}
	nonPodClass = &class{content: content{number: uint64(ClassNonPod)}}
)

// classifier tells which peers a set of labels matches. It depends on the
// policies alone, so that an identity can be classified without the others.
type classifier struct {
	own     map[string]*podIndex // peers of one namespace, by its name
	every   podIndex             // peers that select namespaces
	nsMatch map[nsPair]bool
	classes map[string]*class // by the peers' serials
	serials map[*peer]uint32
	last    uint32 // serial
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

func newClassifier() *classifier {
	return &classifier{
		own:     map[string]*podIndex{},
		every:   podIndex{byLabel: map[label][]*peer{}},
		nsMatch: map[nsPair]bool{},
		classes: map[string]*class{},
		serials: map[*peer]uint32{},
	}
}

// add lets a peer count from now on.
func (c *classifier) add(p *peer) {
	c.last++
	c.serials[p] = c.last
	c.index(p).add(p)
}

// remove lets a peer count no more.
func (c *classifier) remove(p *peer) {
	delete(c.serials, p)
	c.index(p).remove(p)
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
	at, ok := p.labels()
	if !ok {
		x.rest = append(x.rest, p)
	}
	for _, label := range at {
		x.byLabel[label] = append(x.byLabel[label], p)
	}
}

func (x *podIndex) remove(p *peer) {
	is := func(other *peer) bool { return other == p }
	at, ok := p.labels()
	if !ok {
		x.rest = slices.DeleteFunc(x.rest, is)
	}
	for _, label := range at {
		if x.byLabel[label] = slices.DeleteFunc(x.byLabel[label], is); len(x.byLabel[label]) == 0 {
			delete(x.byLabel, label)
		}
	}
}

// labels gives labels of which a pod must have one to match, each once; ok is
// false if there are none such.
func (p *peer) labels() (labels []label, ok bool) {
	for _, requirement := range p.pods.Requirements {
		if requirement.Operator != identity.In {
			continue
		}
		for _, value := range requirement.Values {
			if at := (label{requirement.Key, value}); !slices.Contains(labels, at) {
				labels = append(labels, at)
			}
		}
		return labels, true
	}
	return nil, false
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
	var serials []byte
	for _, p := range matched {
		serials = binary.BigEndian.AppendUint32(serials, c.serials[p])
	}
	known, ok := c.classes[string(serials)]
	if !ok {
		known = &class{content: content{digest: peersDigest(matched)}, key: string(serials), peers: matched}
		c.classes[known.key] = known
	}
	return known
}

// drop forgets a class that nobody has any more.
func (c *classifier) drop(gone *class) { delete(c.classes, gone.key) }

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
