# A primary and its synchronous standby, as long as stdin is open. Each listens on a socket in its
# own folder. Says the folder once both run; then, for each line on stdin, does what it names.
#
# $1 is the folder of PostgreSQL's programs.
set -eu
bin=$1
folder=$(mktemp -d /tmp/maskline-pair-XXXXXXXX)
[ "$(id -u)" != 0 ] || chown postgres "$folder"

as_server() { # PostgreSQL does not run as root
    if [ "$(id -u)" = 0 ]; then (cd "$folder" && runuser -u postgres -- "$@"); else "$@"; fi
}
start() { # one | two
    as_server "$bin/pg_ctl" start -D "$folder/data-$1" -w -l "$folder/log-$1" \
        -o "-c listen_addresses= -c unix_socket_directories=$folder/$1 -c fsync=off" >&2
}
processes() { # of server one
    local parent
    parent=$(head -n 1 "$folder/data-one/postmaster.pid")
    echo "$parent" $(pgrep -P "$parent")
}
clear_up() {
    kill -CONT $(processes) 2>/dev/null || true
    for server in one two; do
        as_server "$bin/pg_ctl" stop -D "$folder/data-$server" -m immediate >/dev/null 2>&1 || true
    done
    rm -rf "$folder"
}
trap clear_up EXIT
trap '' HUP INT QUIT TERM

as_server mkdir "$folder/one" "$folder/two"
as_server "$bin/initdb" -D "$folder/data-one" --username=maskline --auth=trust --encoding=UTF8 \
    --locale=C --no-sync >&2
start one
as_server "$bin/pg_basebackup" -d "host=$folder/one user=maskline" -D "$folder/data-two" -R -c fast >&2
start two
ask() { as_server "$bin/psql" -qAtX -h "$folder/one" -U maskline postgres -c "$1"; }
ask "alter system set synchronous_standby_names = '*'"
ask "select pg_reload_conf()" >&2
until [ "$(ask "select count(*) from pg_stat_replication where sync_state = 'sync'")" = 1 ]; do
    sleep 0.1
done
echo "$folder"

while read -r order; do
    case $order in
        crash) as_server "$bin/pg_ctl" stop -D "$folder/data-one" -m immediate >&2 ;;
        freeze) kill -STOP $(processes) ;;
        promote) as_server "$bin/pg_ctl" promote -D "$folder/data-two" -w >&2 ;;
        restart) as_server "$bin/pg_ctl" stop -D "$folder/data-two" -m immediate >&2; start two ;;
    esac
    echo "done"
done
