# shellcheck shell=bash
# Asks $2:$3 again and again, until standard input ends, and tells of every attempt in a line: TIME OUTCOME
# With $1 = live, all over one TCP connection; with new, each over a new one. With stream it sends datagrams of one
# UDP flow without waiting, tells of every answer, and in the end how many it has sent. TIME is in seconds. Between
# attempts it waits $5 seconds (0.02), and for an answer over a live connection $6 (0.25).

ask_live() {
	local line
	printf 'GET /hostname HTTP/1.1\r\nHost: x\r\n\r\n' >&3 || return
	while read -r -t "$patience" line <&3; do
		[[ $line != $'\r' ]] || break
	done || return
	read -r -t "$patience" -N "$length" line <&3
}

ask_new() {
	curl --silent --max-time 0.25 --output /dev/null "http://$host:$port/hostname"
}

# Every datagram says "echo ;": the answers, put together, are semicolons.
ask_stream() {
	printf 'echo ;' >&3
	((++sent))
}

kind=$1 host=$2 port=$3 length=$4 pause=${5:-0.02} patience=${6:-0.25} sent=0
case $kind in
live) exec 3<>"/dev/tcp/$host/$port" || exit 1 ;;
stream)
	exec 3<>"/dev/udp/$host/$port" || exit 1
	dd bs=2048 <&3 2>/dev/null | while read -r -d ';'; do echo "$EPOCHREALTIME answer"; done &
	trap 'sleep 1; echo "$sent sent"; kill %1' EXIT
	;;
esac
while :; do
	read -r -t "$pause"
	(($? > 128)) || exit 0 # the end of standard input, and not of the time
	asked=$EPOCHREALTIME
	if [[ $kind == stream ]]; then
		ask_stream
	elif "ask_$kind"; then
		echo "$EPOCHREALTIME answer"
	else
		echo "$asked silence"
	fi
done
