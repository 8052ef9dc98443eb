package main

import "slices"

// audit is where policies only tell what they deny.
type audit struct {
	everywhere bool
	namespaces []string // sorted
}

// auditMode is what the configuration and the annotations say now.
func (a *agent) auditMode() audit {
	annotations, _ := a.watcher.Annotations()
	return audit{everywhere: a.cfg.settings.current().audit, namespaces: annotations.Audit}
}

func (a audit) holds(namespace string) bool {
	_, found := slices.BinarySearch(a.namespaces, namespace)
	return a.everywhere || found
}

func (a audit) equal(other audit) bool {
	return a.everywhere == other.everywhere && slices.Equal(a.namespaces, other.namespaces)
}
