# Versions of everything that is built here. The Go modules under modules/ pin the same ones.
# shellcheck shell=bash disable=SC2034  # read by the scripts that source this file
KUBERNETES_VERSION=v1.34.4
ETCD_TAG=3.6.5-0
COREDNS_TAG=v1.12.1
PAUSE_TAG=3.10.1
AGNHOST_TAG=2.56
DEBIAN_RELEASE=bookworm

AGNHOST_IMAGE=registry.k8s.io/e2e-test-images/agnhost:$AGNHOST_TAG
TOOLBOX_IMAGE=signet.test/toolbox:1
PAUSE_IMAGE=registry.k8s.io/pause:$PAUSE_TAG
