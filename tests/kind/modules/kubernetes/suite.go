// Package suite pins what the upstream end-to-end suite, e2e.test, is made of.
package suite

import _ "k8s.io/kubernetes/test/e2e"
