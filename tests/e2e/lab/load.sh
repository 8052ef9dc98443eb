# shellcheck shell=bash
# Runs live.sh ($1) for $2 seconds in the background, against $3:$4, whose answers are $5 characters long: as one
# UDP stream, and $6 times over a connection of its own that asks once a second. Each writes what it tells to a file
# in /tmp/load. It needs nobody meanwhile, and says at once that it has begun.
rm -rf /tmp/load
mkdir /tmp/load
run() { # NAME KIND MORE...
	sleep "$seconds" | bash -c "$script" live.sh "$2" "$host" "$port" "$length" "${@:3}" >"/tmp/load/$1" 2>/dev/null &
}
script=$1 seconds=$2 host=$3 port=$4 length=$5
{
	run stream stream
	for ((i = 0; i < $6; i++)); do
		run "live-$i" live 1 20
	done
} </dev/null >/dev/null 2>&1
echo begun
