# shellcheck shell=bash disable=SC2086,SC2016  # answers are split into words; the inner script gets arguments
# Makes all probes at once that it reads, one a line: NUMBER PROTOCOL HOST PORT SECONDS
# Answers with a line each: NUMBER OUTCOME [SERVER CLIENT], in which SERVER is the name that the server gave for itself
# and CLIENT the address and port that it was asked from.

tcp() {
	local url=http://$2:$3 out
	if out=$(curl --silent --show-error --fail-early --max-time "$4" --write-out '\n' \
		"$url/hostname" "$url/clientip" 2>&1); then
		echo "$1" answer $out
		return
	fi
	case $out in
	*"resolv"* | *"Resolv"*) echo "$1" no-name ;;
	*"timed out"*) echo "$1" silence ;;
	*) echo "$1" refused ;;
	esac
}

udp() {
	local out
	local host=${2//[\[\]]/} # of an IPv6 address
	out=$(timeout "$4" bash -c 'exec 3<>"/dev/udp/$0/$1" || exit 3
		for question in hostname clientip; do
			printf %s "$question" >&3 && timeout "$2" dd bs=2048 count=1 <&3 2>/dev/null
			case $? in 0) echo ;; 1) exit 4 ;; *) exit 5 ;; esac
		done' "$host" "$3" "$4" 2>/dev/null)
	case $? in
	0) echo "$1" answer $out ;;
	3) echo "$1" no-name ;;
	4) echo "$1" refused ;;
	*) echo "$1" silence ;;
	esac
}

while read -r number protocol host port seconds; do
	case $protocol in
	TCP) tcp "$number" "$host" "$port" "$seconds" & ;;
	UDP) udp "$number" "$host" "$port" "$seconds" & ;;
	esac
done
wait
