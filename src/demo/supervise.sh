# Makes a cluster if there is none, serves it while stdin is open, and clears up.
#
# stdin is a pipe whose other end the owner holds and never writes to. It closes when the owner
# ends, however it ends: kill -9 closes it too.
#
# $1 the programs' folder; $2 the run folder, removed at the end; $3 the data folder; $4 `--no-sync`
# or nothing, for initdb; $5 the signal that stops the server; the rest goes to the server.

# What the terminal sends is for the owner.
trap '' HUP INT QUIT TERM
exec 3<&0 </dev/null

bin=$1 run=$2 data=$3 sync=$4 stop=$5
shift 5

# initdb writes beside and moves, so that a half-made cluster is never taken for a whole one.
if [ ! -e "$data" ]; then
    rm -rf "$data.new"
    if ! "$bin/initdb" --pgdata="$data.new" --username=maskline --auth=trust --encoding=UTF8 \
        --locale=C --no-instructions ${sync:+"$sync"} 3<&- || ! mv "$data.new" "$data"; then
        rm -rf "$run"
        exit 1
    fi
fi

"$bin/postgres" -D "$data" "$@" 3<&- &
server=$!
(
    read -r _ <&3
    kill -s "$stop" "$server"
) &
watcher=$!
exec 3<&-

wait "$server"
status=$?
kill -s KILL "$watcher" 2>/dev/null
rm -rf "$run"
exit "$status"
