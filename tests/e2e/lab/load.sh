# shellcheck shell=bash
# Runs live.sh ($1) in the background, against $3:$4, whose answers are $5 characters long: as one UDP stream, and $6
# times over a connection of its own that asks once a second. Each writes what it tells to a file in /tmp/load/told, and then
# that it has ended. They need nobody meanwhile, and end after $2 seconds, or when there is a file /tmp/load/end. It says
# at once that it has begun.
rm -rf /tmp/load
mkdir /tmp/load /tmp/load/told
mkfifo /tmp/load/clock
run() { # NAME KIND MORE...
	{
		bash -c "$script" live.sh "$2" "$host" "$port" "$length" "${@:3}" </tmp/load/clock 2>/dev/null
		echo "0 ended"
	} >"/tmp/load/told/$1" &
}
clock() { # who reads from it goes on as long as this runs
	while ((SECONDS < seconds)) && [[ ! -e /tmp/load/end ]]; do
		sleep 0.5
	done
}
script=$1 seconds=$2 host=$3 port=$4 length=$5
echo begun
exec </dev/null >/dev/null 2>&1 # who keeps the output open keeps the caller waiting
clock >/tmp/load/clock &
run stream stream
for ((i = 0; i < $6; i++)); do
	run "live-$i" live 1 20
done
