#!/bin/bash
# Install the Debian packages that a cluster takes and that are missing: packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

needs=(containerd=containerd runc=runc debootstrap=debootstrap iptables=iptables flock=util-linux tar=tar ip=iproute2)
# A docker client alone does not help where no engine answers.
docker info >/dev/null 2>&1 || needs+=(dockerd=docker.io)
"$REPO/hack/packages.sh" "${needs[@]}"
