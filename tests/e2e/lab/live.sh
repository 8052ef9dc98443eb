# Asks $2:$3 again and again, until standard input ends, and tells of every attempt in a line: TIME OUTCOME
# With $1 = live, all over one TCP connection; with new, each with a new UDP socket. TIME is in seconds.

ask_live() {
	local line
	printf 'GET /hostname HTTP/1.1\r\nHost: x\r\n\r\n' >&3 || return
	while read -r -t 0.25 line <&3; do
		[[ $line != $'\r' ]] || break
	done || return
	read -r -t 0.25 -N "$length" line <&3
}

ask_new() {
	exec 4<>"/dev/udp/$1/$2" || return
	printf hostname >&4 && [[ -n $(timeout 0.25 dd bs=2048 count=1 <&4 2>/dev/null) ]]
	local status=$?
	exec 4>&-
	return $status
}

kind=$1 host=$2 port=$3 length=$4
[[ $kind != live ]] || exec 3<>"/dev/tcp/$host/$port" || exit 1
while ! read -r -t 0.02; do
	(($? > 128)) || exit 0 # the end of standard input, and not of the time
	asked=$EPOCHREALTIME
	if [[ $kind == live ]]; then ask_live; else ask_new "$host" "$port"; fi && outcome=answer || outcome=silence
	if [[ $outcome == answer ]]; then echo "$EPOCHREALTIME answer"; else echo "$asked silence"; fi
done
