package datapath

import "testing"

// relabelStories tell what happens to a live flow when a label changes.
var relabelStories = []story{
	{"a far pod that gains a right", []step{
		{loads(ingress(openTable(), idA, idOther)), ""},
		{far(idFar, farOpens), "policy-ingress"},
		{far(idOther, farOpens), "pod"},
		{far(idFar, farOpens), "policy-ingress"}, // sent before the change
		{far(idOther, farOpens), "pod"},
	}},
	{"a far pod that loses its right", []step{
		{loads(ingress(openTable(), idA, idFar)), ""},
		{far(idFar, farOpens), "pod"},
		{far(idFar, tcp(addrFar+":4000", addrA+":80", "A")), "pod"},
		{far(idOther, tcp(addrFar+":4000", addrA+":80", "A")), "policy-ingress"},
		{far(idFar, tcp(addrFar+":4000", addrA+":80", "A")), "pod"}, // sent before the change
	}},
	{"a pod here that becomes isolated", []step{
		{loads(ingress(openTable(), idOther, idB)), ""},
		{far(idFar, farOpens), "pod"},
		{relabels(podA(), idOther), ""},
		{far(idFar, tcp(addrFar+":4000", addrA+":80", "A")), "policy-ingress"},
		{relabels(podA(), idA), ""},
		{far(idFar, farOpens), "pod"},
	}},
	{"a pod here that loses its right on a live flow", []step{
		{loads(egress(openTable(), idOther, idFar)), ""},
		{pod(podA(), opensB), "pod"},
		{relabels(podA(), idOther), ""},
		{pod(podA(), tcp(addrA+":4000", addrB+":80", "A")), "policy-egress"},
	}},
	{"an answer to a pod that has changed", []step{
		{loads(egress(openTable(), idOther, idFar)), ""},
		{pod(podA(), opensB), "pod"},
		{relabels(podA(), idOther), ""},
		{pod(podB(), tcp(addrB+":80", addrA+":4000", "A")), "policy-egress"},
	}},
}

func TestRelabel(t *testing.T) { tell(t, relabelStories) }
