# Versions of everything that is built here. The Go modules under modules/ pin the same ones.
# shellcheck shell=bash disable=SC2034  # read by the scripts that source this file
KUBERNETES_VERSION=v1.34.4
ETCD_TAG=3.6.5-0
COREDNS_TAG=v1.12.1
PAUSE_TAG=3.10.1
AGNHOST_TAG=2.56
DEBIAN_RELEASE=bookworm

# The node image that this version of kind was released with, for machines that reach its registry.
UPSTREAM_NODE=${UPSTREAM_NODE:-kindest/node:v1.34.0@sha256:7416a61b42b1662ca6ca89f02028ac133a309a2a30ba309614e8ec94d976dc5a}

AGNHOST_IMAGE=registry.k8s.io/e2e-test-images/agnhost:$AGNHOST_TAG
TOOLBOX_IMAGE=signet.test/toolbox:1
PAUSE_IMAGE=registry.k8s.io/pause:$PAUSE_TAG
SIGNET_IMAGE=${SIGNET_IMAGE:-ghcr.io/signet-cni/signet:dev}
