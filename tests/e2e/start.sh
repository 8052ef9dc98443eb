# shellcheck shell=bash
# What a pod of TestStart does from its first process on, as an init container and again as the main one: it hammers the
# enemies on UDP and TCP, and asks its friend. It ends after some time; an open pod only when it has heard from enemies.
# Its termination message: how many datagrams have come since its network exists, whether an enemy said a word over TCP
# (yes, a refusal included, or no), and what the friend said.
# Arguments: KIND PORT FRIEND ENEMY...

# A datagram to a closed port counts as one, and nobody but enemies sends any.
datagrams() {
	local name received closed bad _
	while read -r name received closed bad _; do
		[[ $name != Udp: || $received == In* ]] || echo $((received + closed + bad))
	done </proc/net/snmp
}

# Silence is the one thing that takes curl so long.
knock() {
	curl --silent --output /dev/null --max-time 0.5 "http://$1/"
	(($? == 28)) || echo yes
}

kind=$1 port=$2 friend=$3
shift 3
end=$((SECONDS + 2))
limit=$((SECONDS + 20))
answer='' word=no
while ((SECONDS < end)) || [[ $kind == open && ($word == no || $(datagrams) == 0) && $SECONDS -lt $limit ]]; do
	for enemy; do
		for _ in 1 2 3 4 5; do
			printf %s "$kind" >"/dev/udp/$enemy/$port"
		done 2>/dev/null
		[[ ! $(knock "$enemy:$port") ]] || word=yes
	done
	[[ $answer ]] || answer=$(curl --silent --max-time 1 "http://$friend/hostname")
done
[[ $answer ]] || answer=$(curl --silent --max-time 15 "http://$friend/hostname")
printf '%s %s %s' "$(datagrams)" "$word" "${answer:-silence}" >/dev/termination-log
