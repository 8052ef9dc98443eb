# shellcheck shell=bash
# An enemy of TestStart: it sends datagrams to all addresses that pods can have, again and again, but not to those that
# /tmp/spared names once it is there. Open pods ask it on port 7002, where it answers; guarded ones send to port 7001, which
# is closed, so that the kernel counts what comes. Arguments: the pods' ranges, /24, without the last byte

/agnhost netexec --http-port=7002 --udp-port=7002 &
trap 'kill %1; exit' TERM
until [[ -s /tmp/spared ]]; do sleep 0.1; done
spared=" $(</tmp/spared) "
while :; do
	for range; do
		for ((i = 1; i < 255; i++)); do
			[[ $spared == *" $range.$i "* ]] || printf x >"/dev/udp/$range.$i/9"
		done
	done 2>/dev/null
	sleep 0.05
done
